"""The explorer in words: the Python call that makes the maps, the text of a picture, the table of measures."""

import math
from html import escape

from torch import Tensor

from ...evaluation.metrics import effective_area
from ...networks.load import default_device
from ..figures import LABELS
from .words import MEASURES, NO_BOX, NONE, SAID_MOVES, SAID_STAYS, Choice
from .work import Side, State, Work

PLACES = (("upper", "middle", "lower"), ("left", "centre", "right"))


def value_in_words(value: object) -> str:
    """A value of a knob as a list of choices shows it."""
    if value is None:
        return NONE
    if isinstance(value, tuple | list):
        return ", ".join(f"{v:.3g}" if isinstance(v, float) else str(v) for v in value)
    return str(value)


def side_in_words(side: Side) -> str:
    """A method with its options that are not its defaults: "GIG-CAM, steps 10"."""
    options = [f"{name} {value_in_words(value)}" for name, value in side.options]
    return ", ".join([LABELS[side.method], *options])


def titles(state: State) -> list[str]:
    """A title for each map, no two alike."""
    found = [side_in_words(side) for side in state.sides]
    return found if len(set(found)) == len(found) else [f"{title} ({i})" for i, title in enumerate(found, 1)]


def read_line(state: State, work: Work) -> str:
    """The Python that gives the picture as the network takes it."""
    given, picture = work.network(state.network), state.picture
    sizes = f"resize={given.resize}, crop={given.crop}"
    if picture.kind == "scene":
        drawn = f'cam.scene("test", {picture.name}).image'
        text = drawn if state.network.startswith("scenes") else f"cam.to_input({drawn}, {sizes})"
    else:
        source = f"cam.photograph({picture.name!r})" if picture.kind == "photograph" else repr(picture.name)
        text = f"cam.to_input({source}, {sizes})"
    place = "" if default_device().type == "cpu" else ".to(cam.default_device())"
    return f"x = {text}[None]{place}"


def method_line(name: str, state: State, side: Side, target: int) -> str:
    """The Python that gives one map, called `name`."""
    options = "".join(f", {key}={list(value) if key == 'layer' and isinstance(value, tuple) else value!r}"
                      for key, value in side.options)
    call = f"cam.{side.method}(network, x, {target}{options})"
    return f"{name} = {call}" if state.gamma == 1 else f"{name} = cam.sharpen({call}, {state.gamma!r})"


def call(state: State, work: Work) -> str:
    """The Python that makes what is shown: network, picture, maps, what the threshold leaves, the difference."""
    target = work.target(state)
    names = ["heat", "other"][: len(state.sides)]
    lines = ["import camutils as cam", "", f"network = cam.load_model({state.network!r})", read_line(state, work)]
    made = [method_line(name, state, side, target) for name, side in zip(names, state.sides, strict=True)]
    lines += [f"{made[0]}  # {work.called(state.network, target)}", *made[1:]]
    if len(names) == 2:
        lines.append("difference = heat - other")
    if state.threshold > 0:
        lines.append(f"above = heat >= {state.threshold!r}")
    shown = ", ".join(f'"{title}": {name}' for title, name in zip(titles(state), names, strict=True))
    return "\n".join([*lines, f"cam.show_maps(x, {{{shown}}})"])


def hottest(L: Tensor) -> str:
    """Where a map (h, w) is hottest: "upper left"."""
    row, column = divmod(int(L.argmax()), L.shape[1])
    down, across = (PLACES[axis][min(2, 3 * n // size)] for axis, (n, size) in
                    enumerate(((row, L.shape[0]), (column, L.shape[1]))))
    return "centre" if (down, across) == ("middle", "centre") else f"{down} {across}"


def alt_of_map(state: State, side: Side, what: str, L: Tensor) -> str:
    """The text of a map's picture, for a reader who does not see it."""
    if not L.any():
        return f"{side_in_words(side)} for {what} on {state.picture.label}: nothing to show."
    spread = float(effective_area(L[None]))
    text = f"{side_in_words(side)} for {what} on {state.picture.label}: hottest at the {hottest(L)}, "
    text += f"spread over {spread:.0%} of the picture"
    if state.threshold > 0:
        text += f"; {float((L >= state.threshold).float().mean()):.0%} of it at {state.threshold:g} or above"
    return f"{text}."


def number(name: str, value: float) -> str:
    """A measure's value with its unit."""
    measure = MEASURES[name]
    return "none" if math.isnan(value) else f"{value:.1f}{measure.unit}" if measure.unit else f"{value:.3f}"


def table(columns: dict[str, dict[str, float]], box: bool) -> str:
    """The measures as an HTML table: a row for each, a column for each map; what contrast moves is said in the last one."""
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in columns)
    rows = ""
    for name, measure in MEASURES.items():
        if any(name in values for values in columns.values()):
            cells = "".join(f"<td>{number(name, values[name]) if name in values else ''}</td>" for values in columns.values())
            good = f" ({measure.good} is good)" if measure.good else ""
            rows += (f'<tr><th scope="row">{escape(measure.label)}{good}</th>{cells}'
                     f"<td>{SAID_MOVES if measure.moves else SAID_STAYS}</td></tr>")
    below = "" if box else f"<p>{escape(NO_BOX)}</p>"
    return f'<table class="camutils-measures"><thead><tr><th scope="col">measure</th>{head}<th scope="col"></th></tr></thead>' \
           f"<tbody>{rows}</tbody></table>{below}"


def choices(knob: Choice) -> list[tuple[str, object]]:
    """(what the list says, value) of a list of choices; NONE stands for None, which a list of widgets takes for no choice."""
    return [(value_in_words(value), NONE if value is None else value) for value in knob.values]

