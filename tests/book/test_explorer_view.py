"""The explorer's widgets without a browser: what a changed one makes of the pictures, the knobs, the sentences."""

import io
from datetime import UTC, datetime

import pytest
from PIL import Image

pytest.importorskip("ipywidgets", reason="pip install 'camutils[book]'")

from camutils import METHODS, photograph
from camutils.book.explorer import words
from camutils.book.explorer.knobs import options_of
from camutils.book.explorer.view import VIEW, Explorer


@pytest.fixture
def explorer():
    return Explorer()


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def made(explorer):
    return dict(explorer.work.memory.made)


def upload(explorer, name, content):
    explorer.upload.value = ({"name": name, "type": "", "size": len(content), "content": memoryview(content),
                              "last_modified": datetime.now(UTC)},)


def test_the_first_state(explorer):
    assert explorer.pictures.value.count("<img ") == explorer.pictures.value.count('<img alt="') == 4
    assert made(explorer)["map"] == 2 and "cam.integrative_cam(network, x, 4)" in explorer.call.value
    shown = explorer._repr_mimebundle_()
    assert shown["text/plain"] == "Grad-CAM beside Integrative CAM: digit 4 in scene 0, asked of scenes_resnet"
    assert shown[VIEW]["model_id"] == explorer.box.model_id and Image.open(io.BytesIO(shown["image/png"])).size == (1080, 350)


def test_every_method_shows_its_own_knobs_and_no_choice_changes_its_default(explorer):
    side = explorer.sides[0]
    explorer.silent = True  # some take long
    for method in METHODS:
        side.method.value = method
        assert [*side.knobs] == [*options_of(method), "layer"] and side.side().options == ()
        seen = {id(knob) for knob in side.place.children}
        assert {name for name, knob in side.knobs.items() if id(knob) in seen} == {*side.knobs} & {*words.FIRST}
        side.more.value = True
        assert len(side.place.children) == len(side.knobs)
        side.more.value = False


def test_contrast_and_threshold_make_no_map(explorer):
    before, pictures = made(explorer), explorer.pictures.value
    explorer.gamma.value = 2
    explorer.threshold.value = 0.5
    assert made(explorer) == before | {"measures": before["measures"] + 2}
    assert explorer.pictures.value != pictures and "cam.sharpen(cam.grad_cam(network, x, 4), 2.0)" in explorer.call.value


def test_a_knob_makes_the_one_map_that_it_turns(explorer):
    before = made(explorer)
    explorer.sides[1].knobs["bias"].value = "none"
    explorer.sides[1].knobs["layer"].value = "layer3"
    assert made(explorer)["map"] == before["map"] + 2 and "bias='none', layer='layer3'" in explorer.call.value
    explorer.sides[1].knobs["bias"].value = words.NONE
    assert "bias" not in explorer.call.value


def test_another_network_brings_its_stages_and_classes(explorer):
    explorer.network.value = "scenes_vgg"
    offered = [label for label, _ in explorer.sides[0].knobs["layer"].options]
    assert offered[0] == words.NONE and offered[-1] == words.EVERY and "layer4" not in offered
    assert len(explorer.target.options) == 5
    explorer.sides[0].knobs["layer"].value = explorer.sides[0].knobs["layer"].options[-1][1]
    assert f"layer={list(explorer.sides[0].layers)!r}" in explorer.call.value and explorer.pictures.value.count("<img ") == 4


def test_a_typed_class(explorer):
    explorer.typed.value = "9"
    assert explorer.target.value == 9 and "network, x, 9)" in explorer.call.value and len(explorer.target.options) >= 5
    explorer.typed.value = "nine"
    assert "unknown class" in explorer.message.value and explorer.target.value == 9
    explorer.picture.value = dict(explorer.picture.options)["scene 1"]
    assert explorer.typed.value == "" and "unknown" not in explorer.message.value


def test_an_upload_and_a_wrong_file(explorer):
    upload(explorer, "cup.png", png(photograph("coffee")[:200, :200]))
    assert explorer.picture.label == "cup.png" and explorer.upload.value == () and "'cup.png'" in explorer.call.value
    assert words.NO_BOX in explorer.measures.value
    before = explorer.pictures.value
    upload(explorer, "<b>notes.txt", b"these are notes")
    assert "&lt;b&gt;notes.txt cannot be used: not a readable image" in explorer.message.value
    assert explorer.pictures.value == before and explorer.picture.label == "cup.png"


def test_options_that_do_not_go_together_are_a_sentence(explorer):
    explorer.sides[0].method.value = "combined_cam"
    explorer.sides[0].knobs["path"].value = "line"
    before = explorer.pictures.value
    explorer.sides[0].knobs["channel_weight"].value = "score"
    assert "accepted: path" in explorer.message.value and explorer.pictures.value == before


def test_an_interrupt_stops_and_says_so(explorer, monkeypatch):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setitem(METHODS, "layer_cam", stopped)
    explorer.sides[0].method.value = "layer_cam"
    assert words.STOPPED in explorer.message.value and explorer.progress.layout.visibility == "hidden"


def test_the_bar_moves_and_what_is_long_waits(explorer):
    heard = []
    explorer.progress.observe(lambda change: heard.append((change["name"], change["new"])), ["value", "max"])
    explorer.sides[0].method.value = "score_cam"
    assert ("max", 129) in heard and explorer.progress.layout.visibility == "hidden"
    explorer.sides[0].method.value = "gig_cam_m"
    assert explorer.go.layout.display is None and "gig_cam_m" not in explorer.call.value
    explorer.sides[0].knobs["scales"].value = (1, 1.5, 2)
    assert explorer.go.layout.display == "none" and "cam.gig_cam_m(network, x, 4, scales=(1, 1.5, 2))" in explorer.call.value
    moved = [value for name, value in heard if name == "value"]
    assert max(moved) > 1


def test_one_map(explorer):
    explorer.compare.value = False
    assert explorer.pictures.value.count("<img ") == 2 and explorer.sides[1].box.layout.display == "none"
    assert Explorer(second="").pictures.value.count("<img ") == 2


@pytest.mark.parametrize("wrong", [{"picture": "scene 99"}, {"network": "alexnet"}, {"first": "cam"}, {"second": "gradcam"}])
def test_what_is_not_there_is_refused(wrong):
    with pytest.raises(ValueError, match="accepted: "):
        Explorer(**wrong)
