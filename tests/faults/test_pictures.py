"""Pictures that are none, or that unpack to more than memory holds: each is skipped with its reason; nothing runs or swells."""

import os
import resource
import struct
import sys
import zlib
from io import BytesIO

import numpy as np
import pytest
from benchmark_child import network
from PIL import Image

from camutils.datasets import Skipped, folder
from camutils.datasets.annotations import read_objects
from camutils.datasets.own_boxes import own_boxes
from camutils.datasets.reader import BadFile, read_picture
from camutils.evaluation.benchmark import benchmark
from camutils.evaluation.results import read_table

PROGRAM = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\n(made) print\nshowpage\n%%EOF\n"


def png(width: int, height: int, rows: bytes = b"", extra: bytes = b"") -> bytes:
    """A grey PNG of one bit a pixel that says it has this size, and holds these rows."""
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def unpacked(width: int, height: int) -> bytes:
    return png(width, height, bytes((width // 8 + 1) * height))


def text_chunk(count: int) -> bytes:
    """A comment of `count` bytes, packed."""
    content = b"Comment\0\0" + zlib.compress(bytes(count), 9)
    return struct.pack(">I", len(content)) + b"zTXt" + content + struct.pack(">I", zlib.crc32(b"zTXt" + content))


def as_jpeg(width: int, height: int) -> bytes:
    """A JPEG of 8 x 8 whose header says another size."""
    out = BytesIO()
    Image.new("L", (8, 8)).save(out, "JPEG")
    content = bytearray(out.getvalue())
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(content)


GOOD = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
BAD = {  # file -> what it holds, and what is said
    "empty.png": (b"", "not a readable image"),
    "text.png": (b"a text, and no picture\n" * 50, "not a readable image"),
    "vector.png": (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/hostname"/></svg>', "not a readable image"),
    "head_only.png": (unpacked(64, 64)[:40], "not a readable image"),
    "cut.png": (png(64, 64, bytes(300)), "not a readable image"),
    "no_size.png": (png(0, 0), "not a readable image"),
    "says_huge.png": (png(2**31 - 1, 2**31 - 1), "not a readable image .DecompressionBombError"),
    "unpacks_huge.png": (unpacked(20_000, 20_000), "not a readable image .DecompressionBombError"),
    "comment_huge.png": (png(64, 64, bytes(9 * 64), text_chunk(200_000_000)), "image .ValueError: Decompressed data"),
    "says_huge.gif": (b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0;", "not a readable image"),
    "says_huge.bmp": (b"BM" + struct.pack("<IIIIiiHHIIiiII", 70, 0, 54, 40, 2**31 - 1, 2**31 - 1, 1, 24, 0, 0, 0, 0, 0, 0),
                      "not a readable image .DecompressionBombError"),
    "says_huge.ppm": (b"P6 99999999 99999999 255\n", "not a readable image .DecompressionBombError"),
    "says_huge.jpg": (as_jpeg(65_500, 65_500), "not a readable image .DecompressionBombError"),
    "strip.png": (unpacked(100_000, 1), "100000 x 1 pixels; accepted"),
    "strip_says.png": (png(1_000_000, 100), "1000000 x 100 pixels; accepted"),  # refused by its head: there are no rows
    "program.png": (PROGRAM, "EPS is a program for a printer"),
}


@pytest.fixture
def bad(tmp_path):
    """A folder with all of them, a folder and a pipe that are called pictures, and one good picture."""
    place = tmp_path / "set"
    place.mkdir()
    for name, (content, _) in BAD.items():
        (place / name).write_bytes(content)
    Image.fromarray(GOOD).save(place / "good.png")
    return place


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_picture_is_refused_with_its_reason(name, bad):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadFile, match=BAD[name][1]):
        read_picture(bad / name)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / (1 if sys.platform == "darwin" else 1024)
    assert grown < 400  # MB; unpacked some are tens of thousands


def test_a_run_over_all_of_them_measures_the_good_one_and_names_the_others(bad, tmp_path, capsys):
    data = folder(bad, resize=40, crop=40)
    assert [type(data[i]) is Skipped for i in range(len(data))] == [name != "good.png" for name in data.names]
    benchmark(data, network(), "grad_cam:layer=2", "drop", out=tmp_path / "out", device="cpu")
    notes = read_table(tmp_path / "out" / "notes.csv")
    assert {row["image"] for row in notes if row["what"] == "skipped"} == set(BAD)
    assert {row["image"] for row in read_table(tmp_path / "out" / "results.csv")} == {"good.png"}
    assert str(tmp_path) not in (tmp_path / "out" / "notes.csv").read_text()
    assert f"skipped: {len(BAD)}" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_folders_and_endless_files_are_no_pictures(bad):
    os.mkfifo(bad / "pipe.png")
    (bad / "folder.png").mkdir()
    (bad / "endless.png").symlink_to("/dev/zero")
    (bad / "circle.png").symlink_to("circle.png")
    (bad / "gone.png").symlink_to("nowhere.png")
    for name in ("pipe", "folder", "endless", "circle", "gone"):
        with pytest.raises(BadFile, match="image file is missing"):
            read_picture(bad / f"{name}.png")
    assert not {"pipe.png", "folder.png", "endless.png", "circle.png", "gone.png"} & {*folder(bad).names}


def test_no_printers_program_is_run(bad, tmp_path, monkeypatch):
    """Pillow hands EPS to Ghostscript, by its first bytes, whatever the file is called: a program from a stranger would run."""
    (tmp_path / "bin").mkdir()
    fake, ran = tmp_path / "bin" / "gs", tmp_path / "ran"
    fake.write_text(f"#!/bin/sh\ntouch {ran}\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=os.pathsep)
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # look for it again
    with pytest.raises(BadFile, match="EPS is a program for a printer"):
        read_picture(bad / "program.png")
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / "good.png").write_bytes(PROGRAM)
    with pytest.raises(BadFile, match="mask cannot be read"):
        own_boxes(masks, ["good.png"])("good.png")
    assert not ran.exists()
    with pytest.raises(Exception), Image.open(bad / "program.png") as given:  # noqa: B017 - read without care it runs
        given.load()
    assert ran.exists()


@pytest.mark.parametrize("name", sorted(set(BAD) - {"strip.png", "strip_says.png"}))
def test_masks_that_are_none_are_refused(name, bad, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / "good.png").write_bytes(BAD[name][0])
    with pytest.raises(BadFile, match="mask cannot be read"):
        own_boxes(masks, ["good.png"])("good.png")


LAUGHS = "<!DOCTYPE a [<!ENTITY e0 'ha'>" + "".join(
    f"<!ENTITY e{i + 1} '{f'&e{i};' * 10}'>" for i in range(10)) + "]><a><object><name>&e10;</name></object></a>"
OUTSIDE = ("<!DOCTYPE a [<!ENTITY out SYSTEM 'file:///etc/hostname'>]><annotation><object><name>&out;</name><bndbox><xmin>1</xmin>"
           "<ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object></annotation>")


@pytest.mark.parametrize("text", [LAUGHS, OUTSIDE, "<a>" * 100_000, "<a>" * 50_000 + "</a>" * 50_000],
                         ids=["laughs", "outside", "open", "deep"])
def test_annotations_that_swell_or_reach_out_are_refused(text, tmp_path):
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(BadFile, match="annotation file .XML. cannot be read|no annotated object"):
        read_objects(path, 1)
