"""The explorer's widgets. What the reader has chosen stands in them; what it means is `work`'s and `said`'s business."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from io import BytesIO
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure
from torch import Tensor

from ...datasets.reader import BadFile
from ...evaluation.metrics import spearman
from ...methods import METHODS
from ..figures import HEAT, LABELS
from . import words
from .knobs import changed, knobs_of
from .pictures import DIVERGING, drawn, enlarged, gradient, sheet, source
from .said import alt_of_map, call, choices, side_in_words, table, titles
from .work import Side, State, Work, networks_here

WRONG = (ValueError, TypeError, OSError, ImportError, RuntimeError)  # becomes a sentence in the page
VIEW = "application/vnd.jupyter.widget-view+json"
WIDE, NARROW = {"description_width": "13em"}, {"description_width": "6em"}
# JupyterLab's shortcuts pass by what has this attribute: else an "x" typed at a list of the explorer cuts the whole cell.
KEYS = """document.addEventListener('focusin', event => { if (event.target.closest('.camutils-explorer'))
  event.target.setAttribute('data-lm-suppress-shortcuts', 'true') })"""
STYLE = f"""<style onload="{KEYS}">""" + """
.camutils-pictures { display: flex; flex-wrap: wrap; gap: 12px; line-height: 1.4 }
.camutils-pictures figure { margin: 0; flex: 1 1 12rem; max-width: 18rem }
.camutils-pictures img { width: 100%; display: block }
.camutils-pictures figcaption { padding-top: 4px; white-space: normal }
.camutils-bar { display: inline-block; width: 10rem; height: 0.8em; vertical-align: middle; margin: 0 6px }
.camutils-bars { line-height: 1.8; white-space: normal }
.camutils-measures { border-collapse: collapse; line-height: 1.5 }
.camutils-measures th, .camutils-measures td { padding: 1px 12px 1px 0; text-align: right; font-weight: normal;
  font-variant-numeric: tabular-nums; white-space: normal }
.camutils-measures th:first-child { text-align: left }
.camutils-measures thead th { font-weight: bold; border-bottom: 1px solid currentColor }
.camutils-says { white-space: normal; line-height: 1.5 }
.camutils-explorer textarea { font-family: var(--jp-code-font-family, monospace) }
.camutils-explorer :focus-visible { outline: 2px solid #1976d2; outline-offset: 1px }
</style>"""


def wide(kind: type[Any], description: str, style: dict[str, str] = WIDE, **options: Any) -> Any:
    """A widget as wide as its place."""
    return kind(description=description, style=style, layout=widgets.Layout(width="98%"), **options)


def knob_widget(knob: words.Knob, default: Any) -> Any:
    """The widget of one knob at its default."""
    if isinstance(knob, words.Tick):
        return wide(widgets.Checkbox, knob.label, {"description_width": "0"}, value=default, indent=False)
    if isinstance(knob, words.Choice):
        return wide(widgets.Dropdown, knob.label, options=choices(knob), value=words.NONE if default is None else default)
    kind = widgets.IntSlider if isinstance(default, int) else widgets.FloatSlider
    return wide(kind, knob.label, value=default, min=knob.low, max=knob.high, step=knob.step, continuous_update=False)


class SideView:
    """One method and its knobs; `changed` is called when any of them was turned."""

    def __init__(self, title: str, method: str, tell: Callable[[], object]):
        self.tell, self.layers = tell, list[str]()
        self.knobs: dict[str, Any] = {}
        self.method = wide(widgets.Dropdown, words.METHOD, value=method, options=[(LABELS[m], m) for m in METHODS])
        self.more = widgets.Checkbox(description=words.MORE, indent=False, value=False)
        self.place = widgets.VBox()
        self.box = widgets.VBox([widgets.HTML(f"<b>{escape(title)}</b>"), self.method, self.place, self.more],
                                layout=widgets.Layout(width="50%", min_width="22em"))
        self.method.observe(lambda change: self._rebuild(), "value")
        self.more.observe(lambda change: self._arrange(), "value")

    def offer(self, layers: Sequence[str]) -> None:
        """Make the knobs anew for a network with these stages."""
        if self.layers != list(layers):
            self.layers = list(layers)
            self._make()

    def side(self) -> Side:
        """What is chosen."""
        values = {name: None if knob.value == words.NONE else knob.value for name, knob in self.knobs.items()}
        return Side(self.method.value, changed(self.method.value, values))

    def _make(self) -> None:
        method = self.method.value
        found = {name: knob_widget(knob, default) for name, (knob, default) in knobs_of(method).items()}
        offered = words.Choice(words.LAYER, (None, *self.layers))
        listed = [*choices(offered), (words.EVERY, tuple(self.layers))] if len(self.layers) > 1 else choices(offered)
        found["layer"] = wide(widgets.Dropdown, words.LAYER, options=listed, value=words.NONE)
        self.knobs = found
        for knob in found.values():
            knob.observe(lambda change: self.tell(), "value")
        self._arrange()

    def _rebuild(self) -> None:
        self._make()
        self.tell()

    def _arrange(self) -> None:
        seen = [knob for name, knob in self.knobs.items() if self.more.value or name in words.FIRST]
        self.more.layout.display = "none" if all(name in words.FIRST for name in self.knobs) else None
        self.place.children = seen


class Explorer:
    """Choose a picture, a network, a class, one or two methods and their knobs, and see the maps; a cell's last line shows it.

    picture: "scene 0" or a photograph's name; network: one that is on this machine; first, second: methods, "" for no second.
    Where no kernel runs, the picture of the first state stands in its place. Raises ValueError for what is not there.
    """

    def __init__(self, picture: str = "scene 0", network: str = "scenes_resnet", first: str = "grad_cam",
                 second: str = "integrative_cam"):
        self.work, self.silent = Work(), False
        self.work.watch = self._watch
        self._seen = 0.0
        offered = {p.label: p for p in self.work.pictures()}
        here = networks_here()
        for what, value, known in (("picture", picture, [*offered]), ("network", network, here),
                                   *(("method", m, [*METHODS]) for m in (first, second) if m)):
            if value not in known:
                raise ValueError(f"{what} {value!r}; accepted: {', '.join(known)}")
        self.picture = wide(widgets.Dropdown, words.PICTURE, NARROW, options=list(offered.items()), value=offered[picture])
        self.upload = widgets.FileUpload(description=words.UPLOAD, accept="image/*", multiple=False,
                                         layout=widgets.Layout(width="14em"))
        self.network = wide(widgets.Dropdown, words.NETWORK, NARROW, options=here, value=network)
        self.target = wide(widgets.Dropdown, words.CLASS, NARROW)
        self.typed = wide(widgets.Text, words.TYPED, NARROW, placeholder=words.TYPED_HINT, continuous_update=False)
        self.compare = widgets.Checkbox(description=words.COMPARE, indent=False, value=bool(second))
        self.sides = [SideView(title, method, self.refresh)
                      for title, method in zip(words.SIDES, (first, second or "integrative_cam"), strict=True)]
        self.gamma = wide(widgets.FloatLogSlider, words.GAMMA, NARROW, base=2, min=-2, max=3, step=0.25, value=1,
                          readout_format=".2f")
        self.threshold = wide(widgets.FloatSlider, words.THRESHOLD, NARROW, min=0, max=1, step=0.01, value=0)
        self.progress = widgets.FloatProgress(min=0, max=1, value=0, layout=widgets.Layout(width="20em", visibility="hidden"))
        self.counted = widgets.Label()
        self.go = widgets.Button(description=words.COMPUTE, button_style="primary", layout=widgets.Layout(display="none"))
        self.message, self.pictures, self.measures = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.call = widgets.Textarea(rows=8, layout=widgets.Layout(width="98%"))
        self.box = self._arranged()
        self._listen()
        self._network_changed()

    def _arranged(self) -> Any:
        def column(*children: Any) -> Any:
            return widgets.VBox(children, layout=widgets.Layout(width="50%", min_width="22em"))

        def row(*children: Any) -> Any:
            return widgets.HBox(children, layout=widgets.Layout(flex_flow="row wrap", align_items="flex-start"))

        top = row(column(self.picture, self.network), column(self.target, self.typed))
        box = widgets.VBox([
            widgets.HTML(STYLE), top, widgets.HBox([self.upload, self.compare]), row(*(side.box for side in self.sides)),
            row(column(self.gamma), column(self.threshold)), self.message, widgets.HBox([self.go, self.progress, self.counted]),
            self.pictures, self.measures, widgets.HTML(f"<b>{escape(words.CALL)}</b>"), self.call])
        box.add_class("camutils-explorer")
        return box

    def _listen(self) -> None:
        self.picture.observe(lambda change: self._picture_changed(), "value")
        self.network.observe(lambda change: self._network_changed(), "value")
        self.typed.observe(lambda change: self._typed(), "value")
        self.upload.observe(lambda change: self._uploaded(), "value")
        for widget in (self.target, self.compare, self.gamma, self.threshold):
            widget.observe(lambda change: self.refresh(), "value")
        self.go.on_click(lambda button: self.refresh(anyway=True))

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Inside, widgets may be set without an answer to each."""
        before, self.silent = self.silent, True
        try:
            yield
        finally:
            self.silent = before

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """What goes wrong inside becomes a sentence in the page."""
        try:
            yield
        except KeyboardInterrupt:
            self._say(words.STOPPED)
        except WRONG as error:
            self._say(f"{' '.join(str(error).split())}")

    def _say(self, text: str) -> None:
        self.message.value = f'<div class="camutils-says" role="status" aria-live="polite">{escape(text)}</div>'

    def _watch(self, done: float) -> None:
        """A pass is over: move the bar, ten times a second at most."""
        now = time.monotonic()
        if now - self._seen > 0.1:
            self._seen = now
            self.progress.value = min(done, self.progress.max)
            self.counted.value = f"{done:.0f} of about {self.progress.max:.0f} {words.WORKING}. {words.STOP_HINT}"

    def _network_changed(self) -> None:
        if self.silent:
            return
        with self._telling(), self._quietly():
            for side in self.sides:
                side.offer(self.work.stages(self.picture.value, self.network.value))
        self._picture_changed()

    def _picture_changed(self) -> None:
        if self.silent:
            return
        with self._telling():
            with self._quietly():
                self._offer_classes(self.work.likeliest(self.picture.value, self.network.value))
                self.typed.value = ""
            self.refresh()

    def _offer_classes(self, classes: list[int], chosen: int | None = None) -> None:
        """Put the likeliest classes into their list, and the one that was typed above them."""
        p = self.work.probabilities(self.picture.value, self.network.value)
        listed = classes if chosen is None or chosen in classes else [chosen, *classes]
        self.target.options = [(f"{self.work.called(self.network.value, c)} ({p[c]:.3f})", c) for c in listed]
        self.target.value = listed[0] if chosen is None else chosen

    def _typed(self) -> None:
        if self.silent or not self.typed.value.strip():
            return
        with self._telling():
            chosen = self.work.typed(self.typed.value, self.picture.value, self.network.value)
            with self._quietly():
                self._offer_classes(self.work.likeliest(self.picture.value, self.network.value), chosen)
            self.refresh()

    def _uploaded(self) -> None:
        if self.silent or not self.upload.value:
            return
        file = self.upload.value[0]
        with self._quietly():
            self.upload.value = ()  # the same file may be chosen again
        try:
            chosen = self.work.upload(file["name"], bytes(file["content"]))
        except BadFile as error:
            self._say(words.BAD_FILE.format(name=file["name"], reason=error))
            return
        with self._quietly():
            self.picture.options = [(p.label, p) for p in self.work.pictures()]
            self.picture.value = chosen
        self._picture_changed()

    def state(self) -> State:
        """What is chosen now."""
        sides = tuple(side.side() for side in (self.sides if self.compare.value else self.sides[:1]))
        return State(self.picture.value, self.network.value, self.target.value, sides,
                     round(float(self.gamma.value), 3), round(float(self.threshold.value), 2))

    def refresh(self, anyway: bool = False) -> None:
        """Show what is chosen now; what takes long is only announced, unless `anyway`."""
        if self.silent:
            return
        self.sides[1].box.layout.display = None if self.compare.value else "none"
        self.go.layout.display = "none"
        with self._telling():
            state = self.state()
            for side in state.sides:
                if self.work.is_long(state, side) and not anyway:
                    self.go.layout.display = None
                    self._say(words.DEAR.format(label=side_in_words(side), passes=self.work.passes(state, side),
                                                network=state.network, button=words.COMPUTE))
                    return
            self._say("")
            for side in state.sides:
                self._make(state, side)
            self._show(state)

    def _make(self, state: State, side: Side) -> Tensor:
        """A map, with the bar moving while it is made."""
        self.progress.max, self.progress.value, self._seen = self.work.passes(state, side), 0, time.monotonic()
        self.progress.layout.visibility = "visible" if self.progress.max > 1 else "hidden"
        try:
            return self.work.map(state, side)
        finally:
            self.progress.layout.visibility, self.counted.value = "hidden", ""

    def _show(self, state: State) -> None:
        self.pictures.value = pictures_html(state, self.work)
        columns = {title: self.work.measures(state, side) for title, side in zip(titles(state), state.sides, strict=True)}
        self.measures.value = table(columns, self.work.box(state) is not None)
        self.call.value = call(state, self.work)
        flat = [side_in_words(side) for side in state.sides if not self.work.map(state, side).any()]
        if flat:
            self._say(" ".join(words.NOTHING.format(label=label) for label in flat))

    def sheet(self) -> Figure:
        """What is chosen now, as a figure for a page without a kernel."""
        return sheet(self.state(), self.work)

    def __repr__(self) -> str:
        state = self.state()
        what = self.work.called(state.network, self.work.target(state))
        return f"{' beside '.join(titles(state))}: {what} in {state.picture.label}, asked of {state.network}"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widgets where a kernel runs; else the sheet of what is chosen now."""
        stream = BytesIO()
        self.sheet().savefig(stream, format="png", dpi=100)
        return {"text/plain": repr(self), "image/png": stream.getvalue(),
                VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}}


def pictures_html(state: State, work: Work) -> str:
    """The pictures of a state side by side, each with its text, and what the colours mean."""
    p, target = work.probabilities(state.picture, state.network), work.target(state)
    what = f"{work.called(state.network, target)} ({p[target]:.3f})"
    maps = [work.shown(state, side) for side in state.sides]
    texts = [f"{state.picture.label}, as {state.network} sees it; asked about {what}."]
    texts += [alt_of_map(state, side, what, L) for side, L in zip(state.sides, maps, strict=True)]
    if len(maps) == 2:
        r, apart = float(spearman(maps[0][None], maps[1][None])), float((maps[0] - maps[1]).abs().mean())
        texts.append(f"{words.DIFFERENCE}: rank correlation {r:.2f}, mean distance {apart:.2f}.")
    box, found = work.box(state), ""
    for (title, pixels), text in zip(drawn(state, work).items(), texts, strict=True):
        seen = enlarged(pixels, None if title == words.DIFFERENCE else box)
        found += (f'<figure><img alt="{escape(text)}" src="{source(seen)}"><figcaption><b>{escape(title)}</b><br>'
                  f"{escape(text)}</figcaption></figure>")
    bars = bar(HEAT, words.BAR, "0", "1") + (bar(DIVERGING, words.DIFFERENCE_BAR, "−1", "1") if len(maps) == 2 else "")
    return f'<div class="camutils-pictures">{found}</div><div class="camutils-bars">{bars}</div>'


def bar(colours: str, text: str, low: str, high: str) -> str:
    """A colour bar as HTML."""
    return (f'<span role="img" aria-label="{escape(text)}">{low}<span class="camutils-bar" style="background: '
            f'{gradient(colours)}"></span>{high}</span> {escape(text)}. ')
