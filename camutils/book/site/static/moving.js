// A slider chooses the frame of its figure, and says what the frame shows.
for (const figure of document.querySelectorAll(".moving")) {
  const frames = JSON.parse(figure.dataset.frames);
  const [slider, picture, says] = ["input", "img", "output"].map((name) => figure.querySelector(name));
  frames.forEach((frame) => { new Image().src = frame.src; }); // so that nothing flickers

  const show = () => {
    const frame = frames[Number(slider.value)];
    picture.src = frame.src;
    picture.alt = says.textContent = frame.text;
    slider.setAttribute("aria-valuetext", frame.text);
  };
  slider.addEventListener("input", show);
  show(); // a browser may keep where the slider was
}
