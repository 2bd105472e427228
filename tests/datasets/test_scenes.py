"""The embedded data: the same on every machine, splits apart, boxes and masks exact, digits visible."""

import hashlib
from itertools import combinations

import numpy as np
import pytest
import torch
from PIL.JpegImagePlugin import JpegImageFile
from skimage import data as skimage_data
from sklearn.datasets import load_digits, load_sample_image
from torch.utils.data import DataLoader, Subset

from camutils import Scenes, photograph, scene
from camutils.datasets import scene as scenes
from camutils.datasets.scene import BACKGROUNDS, CONTRAST, DIGIT_SHARE, LARGEST, LENGTH, LUMINANCE, SIZE, SMALLEST, STRIP
from camutils.places import DATA

FIXED = {("train", 0): "9cc09d1c963d9942", ("train", 19999): "46b5d08422e517e0",
         ("tune", 0): "5a389add2bba3ecb", ("tune", 123): "63b8e38bd1e5b1a6",
         ("test", 0): "57afa72d09c10ae7", ("test", 999): "05d9aeb7afb1d68a"}
BITS = {"train": "462bd4960d58e994 1a61c350f3ce0a01 da10ed7aa77bdf59 f908ebca10907b66 "
                 "93cfef8bc1d98b08 059766a19f7ac650 f97d0e49ed2a8fc6 9baad8a8dbed4d05",
        "tune": "724f7bd80f489614 caa52ce80f50d5e6 2ee87b12fd6b72fc f5145208b9d9f6f4 "
                 "01636b2015f30ec7 782de002b02ac9d4 9a4dfd919c036b24 43c4d19b2f6e0883",
        "test": "1b1a76331da7a0a5 83739c022e9d29f4 351df6329e509499 574ea04cf8da1b92 "
                 "61688df0d201b0bb c72233afc79bf298 77c852eae1c0493e 86f576d5dd6211db"}  # every word: eight scenes in a row
SAMPLE = [(split, index) for split in LENGTH for index in range(40)]


def digest(s):
    """Of the picture as 8-bit pixels, and of all labels."""
    parts = ((s.image * 255).round().byte(), s.classes, s.boxes, s.masks)
    return hashlib.sha256(b"".join(p.numpy().tobytes() for p in parts)).hexdigest()[:16]


def block_digest(split, start):
    """Of all bits of eight scenes in a row: float32 pixels, classes, boxes, masks."""
    parts = [part for index in range(start, start + 8) for part in scene(split, index)]
    return hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest()[:16]


@pytest.mark.parametrize("split, index", FIXED)
def test_fixed_scenes(split, index):
    assert digest(scene(split, index)) == FIXED[split, index]


@pytest.mark.parametrize("split", BITS)
def test_the_same_bits_everywhere(split):
    """The first 64 scenes, whatever the processor, Pillow and BLAS (tests/datasets/elsewhere.py tries some)."""
    assert [block_digest(split, start) for start in range(0, 64, 8)] == BITS[split].split()


def test_sums_are_the_exact_ones():
    """Luminance against integers; a mean that loses nothing: in float64, 1 + 1e16 - 1e16 added in turn would be 0."""
    colours = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
    assert np.allclose(scenes._luminance(colours), [0.2126, 0.7152, 0.0722, 1])
    assert scenes._mean(np.array([1, 1e16, -1e16, 3])) == 1 and 1 + 1e16 - 1e16 == 0


def test_colours_are_drawn_as_by_uniform():
    ours, numpys = np.random.default_rng(0), np.random.default_rng(0)
    for low in np.linspace(0, 0.6, 50):
        assert np.allclose(scenes._between(low, 1, ours.random(3)), numpys.uniform(low, 1, 3), rtol=1e-15, atol=0)


def test_independent_of_order_and_of_the_random_state():
    forwards = [digest(scene("test", i)) for i in range(12)]
    np.random.seed(5)
    torch.manual_seed(5)
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
    backwards = [digest(scene("test", i)) for i in reversed(range(12))][::-1]
    assert forwards == backwards and len(set(forwards)) == 12
    assert np.array_equal(np.random.get_state()[1], numpy_state) and torch.equal(torch.get_rng_state(), torch_state)
    assert [digest(s) for s in DataLoader(Subset(Scenes("test"), [3, 7]), batch_size=None)] == [forwards[3], forwards[7]]
    assert len({digest(scene(split, 0)) for split in LENGTH}) == 3


def test_lengths():
    assert {split: len(Scenes(split)) for split in LENGTH} == LENGTH
    assert len(Scenes("train", 5)) == 5 and len(list(Scenes("test", 3))) == 3


def test_splits_share_no_digit():
    """Index sets by the module's rule; and no 8 x 8 picture of one split is, pixel for pixel, in another."""
    data = load_digits()
    for c in range(10):
        count = int((data.target == c).sum())
        rows = {s: set(range(int(low * count), int(high * count))) for s, (low, high) in DIGIT_SHARE.items()}
        assert not any(rows[a] & rows[b] for a, b in combinations(rows, 2))
        assert set().union(*rows.values()) == set(range(count))
    of_class = {c: {(d / 16).astype(np.float32).tobytes() for d in data.images[data.target == c]} for c in range(10)}
    held = {}
    for split in LENGTH:
        digits = scenes._digits(split)
        assert len(digits) == 10 and all(len(group) > 20 for group in digits)
        for c, group in enumerate(digits):
            assert {d.tobytes() for d in group} <= of_class[c]
        held[split] = {d.tobytes() for group in digits for d in group}
    assert not any(held[a] & held[b] for a, b in combinations(held, 2))


def test_photographs_need_no_jpeg_decoder(monkeypatch):
    """All fourteen are read while Pillow cannot open a JPEG; the packages' own file of one that is stored here needs that."""
    def refuse(self):
        raise AssertionError("a JPEG is opened")

    monkeypatch.setattr(JpegImageFile, "_open", refuse)
    with pytest.raises(AssertionError, match="a JPEG is opened"):
        load_sample_image("china.jpg")
    for name in BACKGROUNDS:
        pixels = photograph.__wrapped__(name)  # past the cache
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and not pixels.flags.writeable


def test_stored_photographs_are_those_of_the_packages():
    """Whole and unchanged: this machine's decoder of JPEG gives what is stored here, up to its rounding."""
    theirs = {"china": load_sample_image("china.jpg"), "flower": load_sample_image("flower.jpg"), "rocket": skimage_data.rocket(),
              "retina": skimage_data.retina(), "hubble": skimage_data.hubble_deep_field()}
    assert {f.stem for f in (DATA / "photographs").iterdir()} == {*theirs}
    for name, pixels in theirs.items():
        assert pixels.shape == photograph(name).shape
        assert np.abs(photograph(name).astype(int) - pixels).mean() < 1


def test_splits_share_no_region_of_a_photograph():
    """Intervals of pixels along the longer side do not meet, and the strips in use are exactly these pixels."""
    for name in BACKGROUNDS:
        pixels = photograph(name)
        axis = int(pixels.shape[1] >= pixels.shape[0])
        side = pixels.shape[axis]
        intervals = {s: range(int(low * side), int(high * side)) for s, (low, high) in STRIP.items()}
        assert not any(set(intervals[a]) & set(intervals[b]) for a, b in combinations(intervals, 2))
        for split, interval in intervals.items():
            strip = scenes._strip(split, name)
            assert np.array_equal(strip, np.take(pixels, list(interval), axis)) and min(strip.shape[:2]) >= SIZE


@pytest.mark.parametrize("split", LENGTH)
def test_shapes_ranges_and_counts(split):
    counts = []
    for index in range(150):
        s = scene(split, index)
        n = len(s.classes)
        counts.append(n)
        assert s.image.shape == (3, SIZE, SIZE) and s.image.dtype == torch.float32
        assert 0 <= s.image.min() and s.image.max() <= 1 and s.image.std() > 0.01
        assert s.classes.dtype == torch.int64 and s.boxes.dtype == torch.int64 and s.masks.dtype == torch.bool
        assert s.boxes.shape == (n, 4) and s.masks.shape == (n, SIZE, SIZE)
        assert len(set(s.classes.tolist())) == n and set(s.classes.tolist()) <= set(range(10))
    assert set(counts) == {1, 2, 3}


def test_boxes_are_tight_and_digits_apart():
    heights = []
    for split, index in SAMPLE:
        s = scene(split, index)
        for box, mask in zip(s.boxes.tolist(), s.masks, strict=True):
            x0, y0, x1, y1 = box
            rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
            assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == [x0, y0, x1, y1]
            heights.append(y1 - y0)
        assert (s.masks.sum(0) <= 1).all()
        for a, b in combinations(s.boxes.tolist(), 2):
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert max(heights) <= LARGEST and min(heights) > SMALLEST // 2 and len(set(heights)) > 10


def test_contrast_of_the_drawn_pixels():
    """A digit's full ink is one colour; its luminance is at least CONTRAST from the mean of what the digit's mask covers."""
    for split, index in SAMPLE:
        s = scene(split, index)
        bare = scenes._background(split, np.random.default_rng([list(LENGTH).index(split), index]))  # drawn before the digits
        drawn = s.image.numpy().transpose(1, 2, 0)
        untouched = ~np.abs(drawn - bare).any(2)
        assert untouched.mean() > 0.3
        for mask in s.masks.numpy():
            colours, counts = np.unique(drawn[mask].round(5), axis=0, return_counts=True)
            ink = colours[counts.argmax()]
            assert counts.max() > 0.2 * mask.sum()  # full ink, not a blend
            assert abs(ink @ LUMINANCE - (bare[mask] @ LUMINANCE).mean()) >= CONTRAST - 1e-4
