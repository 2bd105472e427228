"""What is asked, and what it takes to answer. Each step is remembered by what it depends on, so nothing is made twice.

    picture, size            -> image              network                          -> its weights
    picture, network         -> probabilities      picture, network, class, side    -> map
    ... and gamma            -> measures           threshold, colours: nothing to remember, they cost next to nothing
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from ...core.probe import activation
from ...core.stages import stages
from ...datasets.geometry import resize_and_crop
from ...datasets.photos import SOURCES, photograph
from ...datasets.reader import BadFile, central_square, read_picture
from ...datasets.scene import SIZE, scene
from ...evaluation.metrics import (
    average_drop,
    best_iou,
    box_mask,
    drop_increase,
    effective_area,
    energy_game,
    pixel_ap,
    pointing_game,
    sharpen,
)
from ...methods import METHODS
from ...networks.given import Given, open_network, pick_classes
from ...networks.lite import LITE, has_lite
from ...networks.load import class_names, find_weights
from ...networks.scene_networks import SCENE_NETWORKS
from .knobs import passes
from .words import MEASURES, NETWORKS, SCENES, TOO_BIG

Made = TypeVar("Made")
KEPT = 400  # results that are remembered; the oldest go first
LARGEST = 64  # MB of an uploaded file
LONG = 5e6  # passes times pixels of a picture beyond which the reader is asked first: some seconds on two cores
LIKELIEST = 5


class Picture(NamedTuple):
    """kind: scene (name: its number in the test split), photograph (a name of `photos.SOURCES`) or upload (the file's name);
    code: an upload's SHA-256."""

    kind: str
    name: str
    code: str = ""

    @property
    def label(self) -> str:
        """What a list of pictures calls it."""
        return f"scene {self.name}" if self.kind == "scene" else self.name


class Side(NamedTuple):
    """A method and those of its options that are not its defaults."""

    method: str
    options: tuple[tuple[str, Any], ...] = ()


class State(NamedTuple):
    """Everything that the reader has chosen; target None: the likeliest class; one side or two."""

    picture: Picture
    network: str
    target: int | None
    sides: tuple[Side, ...]
    gamma: float = 1
    threshold: float = 0


class Memory:
    """Results by what they depend on. `made` counts what had to be made, by kind."""

    def __init__(self, kept: int = KEPT):
        self.kept, self.results, self.made = kept, OrderedDict[tuple[Any, ...], Any](), Counter[str]()

    def once(self, key: tuple[Any, ...], make: Callable[[], Made]) -> Made:
        """What `make` gives, made only where the key is new; key[0] says what kind of thing it is. An error is not remembered."""
        if key not in self.results:
            self.results[key] = make()
            self.made[str(key[0])] += 1
            if len(self.results) > self.kept:
                self.results.popitem(last=False)
        self.results.move_to_end(key)
        found: Made = self.results[key]
        return found


class Work:
    """Answers questions about states. Raises ValueError, TypeError, FileNotFoundError as what it asks does."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.uploads: dict[Picture, Any] = {}  # -> PIL image, upright RGB
        self.watch: Callable[[float], object] = lambda done: None  # is told how many passes a map has taken so far

    def pictures(self) -> list[Picture]:
        """All that can be chosen: scenes, photographs, what was uploaded, the newest first."""
        offered = [*(Picture("scene", str(i)) for i in range(SCENES)), *(Picture("photograph", name) for name in SOURCES)]
        return [*reversed(self.uploads), *offered]

    def upload(self, name: str, content: bytes) -> Picture:
        """Take a file in, read as `camutils explain` reads it. Raises BadFile with the reason where it cannot be used."""
        if len(content) > LARGEST * 1e6:
            raise BadFile(TOO_BIG.format(name=name, size=len(content) / 1e6, limit=LARGEST))
        with TemporaryDirectory() as folder:
            path = Path(folder) / "picture"  # never under a name that somebody else chose
            path.write_bytes(content)
            image = read_picture(path).image
        picture = Picture("upload", Path(name).name or "picture", sha256(content).hexdigest())
        self.uploads[picture] = image
        return picture

    def network(self, name: str) -> Given:
        """The network with its weights."""
        return self.memory.once(("network", name), lambda: open_network(name))

    def image(self, picture: Picture, network: str) -> Tensor:
        """The picture as this network takes it, (1, 3, h, w), RGB in [0, 1]."""
        given = self.network(network)
        size = (given.resize, given.crop)
        return given.to_device(self.memory.once(("image", picture, size), lambda: self._read(picture, *size))[None])

    def _read(self, picture: Picture, resize: int, crop: int) -> Tensor:
        if picture.kind == "scene":
            drawn = scene("test", int(picture.name)).image
            return drawn if (resize, crop) == (SIZE, SIZE) else central_square(read_picture(drawn).image, resize, crop)
        image = self.uploads[picture] if picture.kind == "upload" else read_picture(photograph(picture.name)).image
        return central_square(image, resize, crop)

    def probabilities(self, picture: Picture, network: str) -> Tensor:
        """The network's probability of every class, (C,)."""
        given = self.network(network)
        return self.memory.once(("probabilities", picture, network),
                                lambda: given.probabilities(given.logits(self.image(picture, network)))[0].cpu())

    def names(self, network: str) -> list[str]:
        """The names of a network's outputs."""
        return self.memory.once(("names", network), lambda: class_names(network))

    def called(self, network: str, target: int) -> str:
        """What a class is called in a sentence: "digit 4", "espresso"."""
        name = self.names(network)[target]
        return f"digit {name}" if network in SCENE_NETWORKS else name

    def likeliest(self, picture: Picture, network: str) -> list[int]:
        """The five classes with the highest probability, the highest first."""
        order = self.probabilities(picture, network).argsort(descending=True, stable=True)
        return [int(c) for c in order[:LIKELIEST]]

    def typed(self, text: str, picture: Picture, network: str) -> int:
        """The class that somebody typed: a name, a number, a WordNet number. ValueError with the nearest names."""
        p = self.probabilities(picture, network)
        return pick_classes(text, self.names(network), p)[0]

    def target(self, state: State) -> int:
        """The class that a state asks about."""
        return self.likeliest(state.picture, state.network)[0] if state.target is None else state.target

    def box(self, state: State) -> Tensor | None:
        """The object's box in the network's picture, (1, 4), where it is known: a digit's, asked of a network of digits."""
        target, given = self.target(state), self.network(state.network)
        if state.picture.kind != "scene" or state.network not in SCENE_NETWORKS:
            return None
        drawn = scene("test", int(state.picture.name))
        asked = drawn.classes == target
        return resize_and_crop((SIZE, SIZE), given.resize, given.crop).to_input(drawn.boxes[asked]) if asked.any() else None

    def stages(self, picture: Picture, network: str) -> list[str]:
        """The stages of the network, which `layer` can name."""
        size = self.network(network).crop
        return self.memory.once(("stages", network, size),
                                lambda: stages(self.network(network).model, self.image(picture, network)))

    def passes(self, state: State, side: Side) -> float:
        """About how many passes this map takes."""
        options, channels = dict(side.options), 0
        if side.method == "score_cam":
            layer = options.get("layer")
            first = layer[-1] if isinstance(layer, tuple) else layer
            channels = self.memory.once(("channels", state.network, first), lambda: self._channels(state, first))
        return passes(side.method, options, channels, len(self.stages(state.picture, state.network)))

    def _channels(self, state: State, layer: str | None) -> int:
        x = self.image(state.picture, state.network)
        return activation(self.network(state.network).model, x, self.target(state), layer)[0].shape[1]

    def is_long(self, state: State, side: Side) -> bool:
        """Whether this map is still to be made and takes so long that the reader is asked first."""
        if self._key(state, side) in self.memory.results:
            return False
        return self.passes(state, side) * self.network(state.network).crop ** 2 > LONG

    def _key(self, state: State, side: Side) -> tuple[Any, ...]:
        return ("map", state.picture, state.network, self.target(state), side)

    def map(self, state: State, side: Side) -> Tensor:
        """The method's map, (h, w) in [0, 1]: what gamma 1 and threshold 0 show. `watch` hears of its passes."""
        return self.memory.once(self._key(state, side), lambda: self._map(state, side))

    def _map(self, state: State, side: Side) -> Tensor:
        model, x = self.network(state.network).model, self.image(state.picture, state.network)
        options = {name: list(value) if name == "layer" and isinstance(value, tuple) else value for name, value in side.options}
        with self._counted(model, x):
            return METHODS[side.method](model, x, self.target(state), **options)[0].cpu()

    @contextmanager
    def _counted(self, model: torch.nn.Module, x: Tensor) -> Iterator[None]:
        """Tell `watch` after every pass how many pictures of this size have gone through the network."""
        done = 0.0

        def count(module: torch.nn.Module, args: tuple[Any, ...], output: object) -> None:
            nonlocal done
            done += args[0].shape[0] * args[0].shape[-2:].numel() / x.shape[-2:].numel()
            self.watch(done)

        handle = model.register_forward_hook(count)
        try:
            yield
        finally:
            handle.remove()

    def shown(self, state: State, side: Side) -> Tensor:
        """The map at this contrast, L^gamma, (h, w)."""
        return sharpen(self.map(state, side)[None], state.gamma)[0]

    def measures(self, state: State, side: Side) -> dict[str, float]:
        """Measure -> value of this map at this contrast, as `words.MEASURES` lists them; those that need a box only with one."""
        key = ("measures", *self._key(state, side), state.gamma)
        found = dict(self.memory.once(key, lambda: self._measures(state, side)))
        box = self.box(state)
        if box is not None and state.threshold > 0:
            L = self.shown(state, side)
            above, inside = L >= state.threshold, box_mask(box, (L.shape[0], L.shape[1]))
            found["iou"] = float((above & inside).sum() / (above | inside).sum())
        return {name: found[name] for name in MEASURES if name in found}

    def _measures(self, state: State, side: Side) -> dict[str, float]:
        model, x = self.network(state.network).model, self.image(state.picture, state.network)
        L, c, box = self.shown(state, side)[None], self.target(state), self.box(state)
        link = "sigmoid" if state.network in SCENE_NETWORKS else "softmax"
        found = {"area": effective_area(L)}
        for name, variant in (("drop", "soft"), ("drop_15", "top15")):
            found[name] = average_drop(*drop_increase(model, x, L.to(x), c, variant, link=link))
        if box is not None:
            found |= {"pixel_ap": pixel_ap(L, [box]), "best_iou": best_iou(L, [box]), "energy": energy_game(L, [box]),
                      "pointing": pointing_game(L, [box], tolerance=0)}
        return {name: float(value) for name, value in found.items()}


def networks_here() -> list[str]:
    """The networks of `words.NETWORKS` whose weights are on this machine."""
    return [name for name in NETWORKS
            if name in SCENE_NETWORKS or (has_lite(name) if name in LITE else find_weights(name) is not None)]
