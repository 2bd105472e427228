"""Tables of results: intervals and verdicts are those of `statistics`, runs on other images are refused."""

import shutil

import numpy as np
import pytest

from camutils.evaluation import tables
from camutils.evaluation.results import as_csv
from camutils.evaluation.statistics import bootstrap_mean, paired_bootstrap

rng = np.random.default_rng(0)
IMAGES = [f"i{n // 2}" for n in range(40)]
NAMES = ["image", "class", "method", "energy", "drop"]


def rows(method, shift=0.0, images=IMAGES):
    noise = rng.normal(0, 0.01, len(images))
    return [{"image": i, "class": n % 2, "method": method, "energy": 0.3 + n / 100 + shift + e, "drop": 10 - 10 * shift + e}
            for n, (i, e) in enumerate(zip(images, noise, strict=True))]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "DATA", tmp_path)
    runs = {"a": rows("grad_cam") + rows("centre"), "b": rows("better", 0.05) + rows("grad_cam", 1) + rows("centre"),
            "half": rows("dear", images=IMAGES[:20]) + rows("centre", images=IMAGES[:20]),
            "other": rows("x", images=[f"j{n}" for n in range(40)]) + rows("centre", images=[f"j{n}" for n in range(40)])}
    for name, lines in runs.items():
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / "results.csv").write_text(as_csv(lines, NAMES))
    return tmp_path


def test_runs_join_and_the_first_wins(folder):
    found = tables.read_results("a", "b")
    assert list(dict.fromkeys(r["method"] for r in found)) == ["grad_cam", "centre", "better"] and len(found) == 120
    assert tables.column(found, "grad_cam", "energy").mean() < 1
    with pytest.raises(ValueError, match="other was measured on other images"):
        tables.read_results("a", "other")
    with pytest.raises(FileNotFoundError, match="no results of c; `camutils results`"):
        tables.read_results("c")
    with pytest.raises(ValueError, match="'nope' was not measured; accepted: grad_cam"):
        tables.column(found, "nope", "energy")


def test_runs_on_fewer_images_join_on_those_that_all_have(folder):
    with pytest.raises(ValueError, match="half was measured on other images"):
        tables.read_results("a", "half")
    found = tables.read_results("a", "half", common=True)
    assert {len(tables.column(found, m, "energy")) for m in ("grad_cam", "dear", "centre")} == {20}
    assert [*tables.column(found, "grad_cam", "image")] == [*tables.column(found, "dear", "image")] == IMAGES[:20]
    assert tables.read_results("half", "a", common=True)[-1]["image"] == "i9" and len(tables.read_results("a", common=True)) == 80
    with pytest.raises(ValueError, match="other was measured on other images"):
        tables.read_results("a", "other", common=True)


def test_several_sets_are_read_and_what_was_asked_of_one_alone_is_read_there(folder):
    for name, run in (("a_net", "a"), ("a_other", "a"), ("b_net", "b")):
        shutil.copytree(folder / "results" / run, folder / "results" / name)
    found = tables.read_sets(["a", "b"], {"net": "Net", "other": "Other", "third": "Third"})
    assert {name: [*dict.fromkeys(row["method"] for row in rows)] for name, rows in found.items()} == {
        "Net": ["grad_cam", "centre", "better"], "Other": ["grad_cam", "centre"]}
    assert list(tables.read_sets(["b", "a"], {"net": "Net", "other": "Other"})) == ["Net"]
    with pytest.raises(FileNotFoundError, match="no results of b for other, third; `camutils results`"):
        tables.read_sets(["b", "a"], {"other": "Other", "third": "Third"})


def test_a_run_without_the_centre_keeps_its_rows():
    """Runs of `sanity` have no such line."""
    found, asked = tables.read_results("42_scenes_resnet"), tables.read_config("42_scenes_resnet")["config"]["methods"]
    assert len(found) > 1000 and all(any(row["method"].startswith(m) for row in found) for m in asked)


def test_intervals_and_verdicts(folder):
    found = tables.read_results("a", "b")
    ours, base = (tables.column(found, m, "energy") for m in ("better", "grad_cam"))
    assert tables.interval(found, "better", "energy") == bootstrap_mean(ours, IMAGES)
    assert tables.mean(found, "better", "energy") == pytest.approx(bootstrap_mean(ours, IMAGES).mean, rel=1e-12)
    assert tables.difference(found, "better", "grad_cam", "energy") == paired_bootstrap(ours, base, IMAGES)
    assert tables.verdict(found, "better", "grad_cam", "energy") == "+" == tables.verdict(found, "better", "grad_cam", "drop")
    assert tables.verdict(found, "grad_cam", "better", "energy") == "-"
    assert tables.verdict(found, "grad_cam", "grad_cam", "energy") == " "
    text = tables.table(found, {"Grad-CAM": "grad_cam", "ours": "better"}, ["energy", "drop"], "grad_cam").split("\n")
    assert len(text) == 3 and "energy" in text[0] and text[2].startswith("ours") and text[2].count("+") == 2


def test_the_mean_of_the_pointing_game_is_that_of_its_interval():
    # hits of class a: 1 of 3, of class b: 1 of 1, so (1/3 + 1) / 2; of the rows one in two is a hit
    found = [{"image": f"i{n}", "class": c, "method": "m", "pointing": hit, "energy": hit}
             for n, (c, hit) in enumerate([("a", 1.0), ("a", 0.0), ("a", 0.0), ("b", 1.0)])]
    assert tables.mean(found, "m", "pointing") == tables.interval(found, "m", "pointing").mean == pytest.approx(2 / 3)
    assert tables.mean(found, "m", "energy") == 0.5
    with pytest.raises(ValueError, match="'road' was not measured; accepted: image, class, method, pointing, energy"):
        tables.mean(found, "m", "road")


def test_front():
    points = {"a": (1, 1), "b": (2, 2), "worse": (2, 1.5), "c": (0.5, 0.2), "same as a": (1, 1)}
    assert tables.on_front(points) == ["a", "b", "c", "same as a"]


def test_a_stored_run_is_known_by_its_name():
    means, rows = tables.read_summary("02_deciding_scenes_resnet"), tables.read_results("02_deciding_scenes_resnet")
    energy = [row["energy"] for row in rows if row["method"] == "grad_cam"]
    assert means["grad_cam"]["energy"]["mean"] == pytest.approx(sum(energy) / len(energy), abs=1e-4)
    assert means["grad_cam"]["energy"]["low"] < means["grad_cam"]["energy"]["mean"] < means["grad_cam"]["energy"]["high"]
    assert tables.read_config("02_deciding_scenes_resnet")["config"]["model"] == "scenes_resnet"
    for read in (tables.read_summary, tables.read_config, tables.read_results):
        with pytest.raises(FileNotFoundError, match="of 99_nothing; `camutils results` measures what data/experiments ask"):
            read("99_nothing")
