"""MaxBoxAcc: components and boxes by hand, parity with the published protocol, its variants, errors."""

import math

import cv2
import numpy as np
import pytest
import torch

from camutils import normalise, upsample
from camutils.evaluation.metrics import max_box_accuracy
from camutils.evaluation.metrics.boxes import THRESHOLDS, component_boxes


def drawn(*rows):
    """A map from rows of digits: 9 is 0.9."""
    return torch.tensor([[int(c) for c in row] for row in rows]) / 10


def test_component_boxes_by_hand():
    shown = drawn("90000", "09000", "00000", "00099", "00099").numpy() > 0
    assert component_boxes(shown, False).tolist() == [[0, 0, 2, 2], [3, 3, 5, 5]]  # pixels touch across corners
    assert component_boxes(shown, True).tolist() == [[3, 3, 5, 5]]
    assert component_boxes(shown[:2], True).tolist() == component_boxes(shown[:2], False).tolist() == [[0, 0, 2, 2]]
    ring = drawn("999", "909", "999").numpy() > 0
    assert component_boxes(ring, False).tolist() == [[0, 0, 3, 3]]  # its hole is none
    assert component_boxes(ring & False, True).shape == component_boxes(ring & False, False).shape == (0, 4)


def test_accuracy_by_hand():
    """The large spot is the first image's object, its second's is the small one; at a high threshold only the small ones stay."""
    L = drawn("440009", "440000", "440000")
    maps, large, small = torch.stack([L, L]), [[0, 0, 2, 3]], [[5, 0, 6, 1]]
    assert max_box_accuracy(maps, [large, small]) == 0.5
    assert max_box_accuracy(maps, [large, small], contours="all") == 1
    assert max_box_accuracy(maps, [large, large]) == max_box_accuracy(maps, [small, small]) == 1
    assert max_box_accuracy(maps, [large, large], thresholds=[0.5]) == 0
    assert max_box_accuracy(maps, [large, [*small, *large]]) == 1  # any box of the image will do
    assert max_box_accuracy(torch.zeros(2, 3, 6), [large, small]) == 0  # shows nothing at any threshold


def test_one_threshold_for_all_images_and_so_contrast_counts():
    spot = drawn("0990", "0990", "0000")
    wide = torch.full((3, 4), 0.5).maximum(spot)
    maps, boxes = torch.stack([spot, wide]), [[[1, 0, 3, 2]], [[0, 0, 4, 3]]]
    assert max_box_accuracy(maps, boxes) == 1  # at 0.5 both
    maps[0] = drawn("1991", "1991", "1111")  # a ground of 0.1 changes nothing at 0.5
    assert max_box_accuracy(maps, boxes) == 1 and max_box_accuracy(maps**4, boxes) == 1
    powers = torch.tensor([1, 40.0])[:, None, None]  # the second map's ground sinks below the first one's
    assert max_box_accuracy(maps**powers, boxes) == 0.5


def test_versions_by_hand():
    """IoU of the found box [0, 0, 4, 1] with the boxes: 4 / 4, 4 / 8 and 4 / 12."""
    maps = drawn("9999", "0000", "0000").repeat(3, 1, 1)
    boxes = [[[0, 0, 4, 1]], [[0, 0, 4, 2]], [[0, 0, 4, 3]]]
    assert [max_box_accuracy(maps, boxes, iou) for iou in (0.3, 0.5, 0.7)] == pytest.approx([1, 2 / 3, 1 / 3])
    assert max_box_accuracy(maps, boxes, (0.3, 0.5, 0.7), contours="all") == pytest.approx(2 / 3)
    assert max_box_accuracy(maps, boxes) == max_box_accuracy(maps, boxes, 0.5)


def official_boxes(L, t):
    """The published protocol with OpenCV: heats are bytes, {byte > int(t max)}, the outline of largest area; inclusive corners,
    of which the right lower one is a pixel too far, but inside the image."""
    byte = (L * 255).astype(np.uint8)
    shown = (byte > int(t * byte.max())).astype(np.uint8)
    outlines, _ = cv2.findContours(shown, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    if not outlines:
        return [0, 0, 0, 0]
    x, y, w, h = cv2.boundingRect(max(outlines, key=cv2.contourArea))
    return [x, y, min(x + w, L.shape[1] - 1), min(y + h, L.shape[0] - 1)]


def inclusive_iou(a, b):
    """Overlap of two boxes whose corners both belong to them."""
    sides = [min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + 1 for i in (0, 1)]
    area = lambda box: (box[2] - box[0] + 1) * (box[3] - box[1] + 1)  # noqa: E731
    both = max(sides[0], 0) * max(sides[1], 0)
    return both / (area(a) + area(b) - both)


@pytest.fixture(scope="module")
def stored():
    """Twelve smooth maps of 56 x 64 pixels, each a spot on some ground, and a box round the spot, moved by up to 4 pixels."""
    rng = torch.Generator().manual_seed(3)
    H, W = 56, 64
    row, column = torch.arange(H)[:, None], torch.arange(W)
    ground = upsample(torch.rand(12, 4, 4, generator=rng), (H, W))
    maps, boxes = [], []
    for g in ground:
        y, x, r = (int(torch.randint(*span, (), generator=rng)) for span in ((16, 40), (16, 48), (5, 12)))
        maps.append(torch.exp(-((row - y) ** 2 + (column - x) ** 2) / r**2) + 0.3 * g)
        dy, dx = torch.randint(-4, 5, (2,), generator=rng).tolist()
        boxes.append([max(x - r + dx, 0), max(y - r + dy, 0), min(x + r + dx, W), min(y + r + dy, H)])
    maps = normalise(torch.stack(maps))
    return (maps * 255).floor() / 255, boxes  # as bytes, since the protocol cuts the rest off


def test_parity_with_the_published_protocol(stored):
    """Box by box the same component, then the same accuracy, once the boxes are made as wide as theirs."""
    maps, boxes = stored
    kinds, wide = set(), torch.zeros(len(maps), 255)
    for b, (L, box) in enumerate(zip(maps.numpy(), boxes, strict=True)):
        given = [box[0], box[1], box[2] - 1, box[3] - 1]  # inclusive
        for j, t in enumerate(THRESHOLDS):
            x0, y0, x1, y1 = (int(v) for v in component_boxes(L >= t, True)[0])
            theirs = official_boxes(L, j / 255)
            assert theirs == [x0, y0, min(x1, 63), min(y1, 55)], (b, t)
            kinds.add((x1 - x0, y1 - y0))
            wide[b, j] = inclusive_iou(theirs, given)
    assert len(kinds) > 200
    ours = [max_box_accuracy(maps, [[box] for box in boxes], iou) for iou in (0.3, 0.5, 0.7)]
    theirs = [float((wide >= iou).float().mean(0).max()) for iou in (0.3, 0.5, 0.7)]
    np.testing.assert_allclose(ours, theirs, atol=1.01 / 12)  # one pixel of width may move one image over the limit
    assert 0.2 < ours[2] < ours[0]


def test_batches_lists_and_images_without_boxes(stored):
    maps, boxes = stored[0], [[box] for box in stored[1]]
    whole = max_box_accuracy(maps, boxes)
    assert max_box_accuracy([*maps], boxes) == max_box_accuracy(maps.double(), boxes) == whole
    assert max_box_accuracy(torch.cat([maps, maps[:1]]), [*boxes, []]) == whole
    assert math.isnan(max_box_accuracy(maps[:1], [[]]))


@pytest.mark.parametrize("change, error, says", [
    (dict(iou=0), ValueError, "iou 0 given"), (dict(iou=[]), ValueError, "iou"), (dict(iou=(0.5, 1.2)), ValueError, "1.2"),
    (dict(thresholds=[]), ValueError, "thresholds"), (dict(thresholds=[0.0]), ValueError, "above 0"),
    (dict(contours="biggest"), ValueError, "'biggest'; accepted: largest, all"),
    (dict(maps=torch.full((1, 4, 4), 1.5)), ValueError, "1.5; accepted: 0 to 1"),
    (dict(maps=torch.rand(4, 4)), ValueError, r"\(4, 4\)"), (dict(maps=[[1]]), TypeError, "list"),
    (dict(boxes=[[[2, 0, 2, 2]]]), ValueError, "x0 < x1"), (dict(boxes=[]), ValueError, "boxes of 0 images")])
def test_errors(change, error, says):
    with pytest.raises(error, match=says):
        max_box_accuracy(**(dict(maps=torch.rand(1, 4, 4), boxes=[[[0, 0, 2, 2]]]) | change))
