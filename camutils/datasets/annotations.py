"""PASCAL's XML annotations, which ILSVRC shares: objects with a class name, a box, a difficult flag."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, Generic, NamedTuple

from .reader import BadFile
from .sample import Named, Object


class Annotation(NamedTuple, Generic[Named]):
    """What stands beside one image: its objects, the image's (H, W) where it is stated, and notes."""

    objects: list[Object[Named]]
    stated: tuple[int, int] | None
    notes: tuple[str, ...] = ()


def read_objects(path: Path, first: int) -> Annotation[str]:
    """Objects (class name, [x0, y0, x1, y1] half open from 0, difficult), the image's (H, W) where the file states it, and notes.

    first: number of the first pixel: 1 in VOC, whose boxes name their last pixel (x0 = xmin - 1, x1 = xmax); 0 in ILSVRC,
    whose boxes run from 0 to the image's width (x0 = xmin, x1 = xmax). Fractions are rounded. An object without a name or a box
    is left out with a note. Raises BadFile for a missing or unreadable file, or one without objects that have both.
    """
    try:
        if not path.is_file():
            raise BadFile("annotation file (XML) is missing")
        root = ElementTree.parse(path).getroot()
        size = root.find("size")
        stated = None if size is None else (int(size.findtext("height", "")), int(size.findtext("width", "")))
    except BadFile:
        raise
    except (ElementTree.ParseError, LookupError, TypeError, ValueError, OSError) as error:  # LookupError: of its encoding
        reason = str(error).replace(str(path), path.name)
        raise BadFile(f"annotation file (XML) cannot be read ({type(error).__name__}: {reason})") from error
    nodes = root.findall("object")
    objects = [found for node in nodes if (found := _object(node, first))]
    if not objects:
        raise BadFile("no annotated object has a name and a box" if nodes else "no annotated object")
    return Annotation(objects, stated if stated and min(stated) > 0 else None, left_out(len(nodes) - len(objects)))


def left_out(count: int) -> tuple[str, ...]:
    """The note on objects that had no name or no box; none for none."""
    return (f"{count} object{'s' * (count > 1)} without a name or a box left out",) if count else ()


def pixel(number: Any) -> int:
    """A corner's place, rounded. Raises ValueError for text that is no number, NaN, and what is beyond every picture (2^31);
    TypeError, OverflowError as `float`."""
    place = float(number)
    if not abs(place) < 2**31:
        raise ValueError(f"{number} is no place in a picture; accepted: a number of pixels")
    return round(place)


def _object(node: ElementTree.Element, first: int) -> Object[str] | None:
    name = (node.findtext("name") or "").strip()
    try:
        box = [pixel(node.findtext(f"bndbox/{key}", "")) for key in ("xmin", "ymin", "xmax", "ymax")]
    except ValueError:
        return None
    if not name:
        return None
    return name, [box[0] - first, box[1] - first, box[2], box[3]], node.findtext("difficult", "0").strip() == "1"


def upright_objects(objects: list[Object[Named]], stated: tuple[int, int] | None, stored: tuple[int, int],
                    orientation: int) -> tuple[list[Object[Named]], tuple[str, ...]]:
    """Objects with their boxes in the upright image's pixels, and notes.

    VOC and ILSVRC were annotated on the stored pixels, so boxes turn with the image (EXIF orientation 1 to 8), unless the
    file states the upright image's size and not the stored one's. Where the image has another size than stated but the same
    shape (within 1 %), boxes are scaled. stated, stored: (H, W). Raises BadFile where the shapes do not fit.
    """
    upright = stored if orientation < 5 else stored[::-1]
    notes: tuple[str, ...] = ()
    turn, frame = orientation, stored
    if stated and stated != stored and orientation >= 5 and stated == upright:
        turn, frame = 1, upright
    if stated and stated != frame:
        (H, W), (h, w) = frame, stated
        if 100 * abs(H * w - W * h) > W * h:
            raise BadFile(f"annotation is for an image of {w} x {h}, this one is {W} x {H}")
        scale = (W / w, H / h, W / w, H / h)  # of x0 y0 x1 y1
        scaled = []
        for name, box, difficult in objects:
            scaled.append((name, [round(v * s) for v, s in zip(box, scale, strict=True)], difficult))
        objects = scaled
        notes = (f"boxes scaled from {w} x {h} to {W} x {H}",)
    return [(n, turn_box(b, frame, turn), d) for n, b, d in objects], notes


def turn_box(box: list[int], size: tuple[int, int], orientation: int) -> list[int]:
    """A half-open box of the stored image, size (H, W), in the upright image of that EXIF orientation (1 to 8)."""
    (H, W), (x0, y0, x1, y1) = size, box
    columns, rows = (x0, x1), (y0, y1)
    mirrored, flipped = (W - x1, W - x0), (H - y1, H - y0)  # seen from the right, and from below
    turned = {  # orientation -> the upright image's columns and rows
        1: (columns, rows), 2: (mirrored, rows), 3: (mirrored, flipped), 4: (columns, flipped),
        5: (rows, columns), 6: (flipped, columns), 7: (flipped, mirrored), 8: (rows, mirrored),
    }
    (left, right), (top, bottom) = turned[orientation]
    return [left, top, right, bottom]
