// The gallery's two lists: a figure is shown where both fit.
const lists = ["method", "part"].map((id) => document.getElementById(id));
const items = [...document.querySelectorAll(".gallery > li")];

function choose() {
  const [method, part] = lists.map((list) => list.value);
  for (const item of items) {
    const fits = (!method || item.dataset.methods.split(" ").includes(method)) && (!part || item.dataset.part === part);
    item.hidden = !fits;
  }
  const shown = items.filter((item) => !item.hidden).length;
  document.getElementById("count").textContent = shown === 1 ? "1 figure" : `${shown} figures`;
}

lists.forEach((list) => list.addEventListener("change", choose));
document.querySelector(".choose").addEventListener("submit", (event) => event.preventDefault());
choose(); // a browser may keep what was chosen before
