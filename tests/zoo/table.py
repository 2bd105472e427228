"""Every method on every network of the zoo: python tests/zoo/table.py [--only WORDS] [--out FILE | --store]

    =    the map keeps the contract, and equals one written here: plain hooks, a full graph, the formula of the paper
    =0   as =, and zero everywhere: by the paper's formula nothing there speaks for the class
    ok   it keeps the contract: a map per picture, in [0, 1], finite, not all zero, the same twice, alone as in a batch, the
         network untouched
    ~    as ok, but a map in a batch is not that of the image alone: the last bit decides, where the network's entry says so
    R1   refused, with the sentence of that number below the table, where the network's entry says that it is to be refused
    F    none of these, with the reason below the table; then the exit status is 1
"""

import argparse
import csv
import io
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from networks import BATCH, NETWORKS, Entry, make
from torch import Tensor, relu
from torch.nn.functional import interpolate

from camutils import METHODS, Network, capture, default_layer, stages
from camutils.places import ROOT
from camutils.whole import write_whole

STORED = ROOT / "data" / "zoo.csv"
FEW = {"integrated_grad_cam": {"steps": 2}, "gig_cam": {"steps": 2}, "gig_cam_m": {"steps": 2, "scales": (1, 1.5)},
       "cluster_cam": {"n_clusters": 3}, "combined_cam": {"n_clusters": 3}}  # for time
CLOSE = 1e-5
FIRST = 8  # channels that Score-CAM masks
HEADS = ("network", "library", "layer", "shape", "stages", "layout", *METHODS)
FORMULAS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # A, g -> the map, as the papers write them
    "grad_cam": lambda A, g: relu((g.mean((2, 3), keepdim=True) * A).sum(1)),
    "grad_cam_pp": lambda A, g: relu(((_alpha(A, g) * relu(g)).sum((2, 3), keepdim=True) * A).sum(1)),
    "layer_cam": lambda A, g: relu((relu(g) * A).sum(1)),
    "hires_cam": lambda A, g: relu((g * A).sum(1)),
}


def _alpha(A: Tensor, g: Tensor) -> Tensor:
    below = 2 * g**2 + A.sum((2, 3), keepdim=True) * g**3
    return torch.where(below == 0, 0, g**2 / torch.where(below == 0, 1, below))


class Wrong(Exception):
    """A map or a network is not as it should be."""


class Row(NamedTuple):
    """A network's line: layer, its K x h x w, how many stages, the layout; method -> "=", "ok", "~", "R: why", "F: why"."""

    network: str
    library: str
    layer: str
    shape: str
    stages: int
    layout: str
    cells: dict[str, str]
    seconds: float

    def words(self) -> list[str]:
        return [self.network, self.library, self.layer, self.shape, str(self.stages), self.layout, *self.cells.values()]


def pictures(entry: Entry) -> Tensor:
    x = torch.rand(BATCH, 3, entry.size, entry.size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = x + torch.linspace(0, 1, entry.size, dtype=torch.float64)  # no two columns alike
    return x.contiguous(memory_format=torch.channels_last)  # as `camutils` hands them on: the last bit decides in some networks


def of_last(network: Network) -> Network:
    """The network with what it is told of the last image."""
    own = tuple(a[-1:] if isinstance(a, Tensor) else a for a in network.forward_args)
    return Network(network.net, forward_args=own, output=network.output, reshape=network.reshape)


def hand_made(network: Network, x: Tensor, targets: Sequence[int], layer: str, layout: str) -> tuple[Tensor, Tensor]:
    """A and dS/dA, both (B,K,h,w), from a plain hook and a full graph; captured where no module puts the map out."""
    rows = torch.arange(len(x))
    if ":" in layer or "[" in layer:
        with capture(network, [layer], gradients=True) as seen:
            S = network(x)[rows, list(targets)]
            return seen[layer].detach(), torch.autograd.grad(S.sum(), seen[layer])[0]
    kept: list[Tensor] = []
    handle = network.net.get_submodule(layer).register_forward_hook(lambda m, args, out: kept.append(out) or out.clone())
    picture = x.clone().requires_grad_()
    S = network(picture)[rows, list(targets)]
    handle.remove()
    g = torch.autograd.grad(S.sum(), kept[-1])[0]
    handle = network.net.get_submodule(layer).register_forward_hook(lambda m, args, out: out.detach())
    around = network(picture)[rows, list(targets)].sum()
    handle.remove()
    if around.requires_grad and torch.autograd.grad(around, picture, allow_unused=True)[0] is not None:
        raise Wrong(f"a path from the picture to the score leads around {layer!r}")
    return _as_map(kept[-1].detach(), layout), _as_map(g, layout)


def _as_map(out: Tensor, layout: str) -> Tensor:
    if layout == "channels last":
        return out.permute(0, 3, 1, 2)
    if layout == "tokens":  # the picture's own are the last h w, the largest square
        side = int(out.shape[1] ** 0.5)
        return out[:, -side * side :].transpose(1, 2).unflatten(2, (side, side))
    return out


def first_channels(entry: Entry) -> Callable[[Tensor], Tensor]:
    """What `reshape` takes: the first channels of the layer's map, so that Score-CAM is done soon."""
    return lambda out: _as_map(out, entry.layout)[:, :FIRST]


def scored(network: Network, x: Tensor, targets: Sequence[int], A: Tensor) -> Tensor:
    """Score-CAM's map of the channels A (B,K,h,w): softmax of the scores behind every channel's mask; flat ones do not count."""
    with torch.no_grad():
        S = torch.stack([network(x * heat(a, x.shape[-1])[:, None])[torch.arange(len(x)), list(targets)] for a in A.unbind(1)], 1)
    flat = A.amax((2, 3)) - A.amin((2, 3)) <= 1e-12 * A.abs().amax((2, 3))
    w = S.masked_fill(flat, -torch.inf).softmax(1).nan_to_num(0)
    return relu((w[..., None, None] * A).sum(1))


def heat(maps: Tensor, size: int) -> Tensor:
    """Enlarged, from 0 to 1."""
    maps = interpolate(maps[:, None], size=(size, size), mode="bilinear", align_corners=False)[:, 0]
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / torch.where(high > low, high - low, 1)


def state(network: Network) -> list[Any]:
    """What a method may not change."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [sum(len(getattr(m, kind)) for m in network.modules() for kind in kinds), [m.training for m in network.modules()],
            [(p.requires_grad, p.grad) for p in network.parameters()], torch.get_rng_state().tolist(), torch.is_grad_enabled(),
            [v.double().sum().item() for v in network.state_dict().values()]]


def cell(method: str, entry: Entry, network: Network, x: Tensor, targets: Sequence[int], layer: str | None,
         by_hand: Tensor | None) -> str:
    """One method on one network: "=", "ok" or "~". Raises Wrong; ValueError, TypeError where it is refused."""

    def ask(network: Network, x: Tensor, targets: Sequence[int] | None) -> Tensor:
        return METHODS[method](network, x, targets, layer, **FEW.get(method, {}))

    before = state(network)
    L = ask(network, x, targets)
    if L.shape != (BATCH, entry.size, entry.size) or L.dtype != torch.float32 or L.requires_grad:
        raise Wrong(f"{tuple(L.shape)}, {L.dtype}")
    if not L.isfinite().all() or L.min() < 0 or L.max() > 1:
        raise Wrong("not finite, or not in [0, 1]")
    alone, again = (ask(of_last(network), x[-1:], targets[-1:]) for _ in range(2))
    if not torch.equal(alone, again):
        raise Wrong("another map at the second call")
    apart = (alone[0] - L[-1]).abs().max().item()
    unsteady = not apart <= CLOSE
    if unsteady and method not in entry.unsteady:
        raise Wrong(f"alone {apart:.2g} from the map in a batch")
    if state(network) != before:
        raise Wrong("the network is not as it was")
    if by_hand is not None:
        apart = (heat(by_hand, entry.size).float() - L).abs().max().item()
        if not apart <= CLOSE:
            raise Wrong(f"{apart:.2g} from the map by hand")
    if unsteady:
        return "~"
    if by_hand is not None:
        return "=" if L.any() else "=0"
    if not L.any():
        raise Wrong("all zero")
    return "ok"


def row(entry: Entry) -> Row:
    """The line of one network."""
    start = time.perf_counter()
    try:
        network, x = make(entry), pictures(entry)
    except Exception as error:  # of the library that makes it
        cells = dict.fromkeys(METHODS, f"F: not made, {type(error).__name__}, {error}")
        return Row(entry.name, entry.library, "", "", 0, "", cells, time.perf_counter() - start)
    layer, shape, known, layout = "", "", list[str](), ""
    targets, A, g = [0] * BATCH, None, None
    wrong = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of layers, which the table names
        try:
            layer, known = default_layer(network, x), stages(network, x)
            with torch.no_grad():
                classes = network(x).shape[1]
            for first in range(classes):  # until every map by hand shows something
                targets = [(first + b) % classes for b in range(BATCH)]
                A, g = hand_made(network, x, targets, layer, entry.layout)
                if all(formula(A, g).any() for formula in FORMULAS.values()):
                    break
            shape, layout = " x ".join(map(str, A.shape[1:])), entry.layout
        except Wrong as error:
            wrong = f"F: {error}"
        except (ValueError, TypeError):
            pass  # what the methods say is told below
        cells = {}
        for method in METHODS:
            made = FORMULAS[method](A, g) if method in FORMULAS and A is not None else None
            if method == "score_cam":  # a pass per channel
                asked, at = Network(network.net, **{**entry.how, "reshape": first_channels(entry)}), layer or None
                made = None if A is None else scored(network, x, targets, A[:, :FIRST])
            else:
                asked, at = network, None
            cells[method] = wrong or attempt(method, entry, asked, x, targets, at, made)
    return Row(entry.name, entry.library, layer, shape, len(known), layout, cells, time.perf_counter() - start)


def attempt(method: str, entry: Entry, network: Network, x: Tensor, targets: Sequence[int], layer: str | None,
            by_hand: Tensor | None) -> str:
    """One cell, whatever happens in it."""
    expected = "all" in entry.refused or method in entry.refused
    try:
        found = cell(method, entry, network, x, targets, layer, by_hand)
        return found if not expected else "F: taken, though it is to be refused"
    except Wrong as error:
        return f"F: {error}"
    except (ValueError, TypeError) as error:
        return f"R: {error}" if expected else f"F: {type(error).__name__}, {error}"
    except Exception as error:  # from inside torch or another library: nobody's sentence
        return f"F: {type(error).__name__}, {error}"


def numbered(cells: Sequence[str], known: list[str]) -> list[str]:
    """The cells, where a sentence has become its number in `known`, which grows."""
    found = []
    for text in cells:
        if text[:2] in ("R:", "F:"):
            if text not in known:
                known.append(text)
            text = text[0] + str(known.index(text) + 1)
        found.append(text)
    return found


def installed(library: str) -> bool:
    package = library.split()[0]
    return package in ("by", "torchvision") or find_spec(package) is not None


def read(path: Path) -> dict[tuple[str, str], list[str]]:
    """(network, library) -> its line of a table that was written."""
    with path.open(newline="") as file:
        return {(line[0], line[1]): line for line in list(csv.reader(file))[1:]}


def write(path: Path, rows: Sequence[Row]) -> None:
    """The table as CSV, a refused cell with its sentence; lines of networks that were not asked now stay as they are."""
    known = (read(path) if path.exists() else {}) | {(one.network, one.library): one.words() for one in rows}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADS)
    writer.writerows(known[e.name, e.library] for e in NETWORKS if (e.name, e.library) in known)
    write_whole(path, text.getvalue())


def row_at(place: int) -> Row:
    """The line of NETWORKS[place]: an entry itself does not travel between processes."""
    return row(NETWORKS[place])


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, and write it where that is asked; 1 if a cell is F."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], metavar="WORD", help="networks whose name or library holds one of these")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="networks at a time")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--out", type=Path, metavar="FILE", help="write the table there, as CSV")
    where.add_argument("--store", dest="out", action="store_const", const=STORED, help="write it to data/zoo.csv")
    asked = parser.parse_args(argv)
    start = time.perf_counter()
    chosen = [i for i, e in enumerate(NETWORKS) if not asked.only or any(word in f"{e.name} {e.library}" for word in asked.only)]
    for library in sorted({NETWORKS[i].library for i in chosen if not installed(NETWORKS[i].library)}):
        print(f"{library} is not installed; its networks are left out: pip install '.[zoo]'")
    chosen = [i for i in chosen if installed(NETWORKS[i].library)]
    packages = [p for p in ("torch", "torchvision", "timm", "transformers", "lightning") if installed(p) or p == "torch"]
    print(", ".join(f"{p} {version(p).split('+')[0]}" for p in packages))
    short = [name.replace("integrated_grad_cam", "integrated").replace("_cam", "") for name in METHODS]
    print(_line("network", "library", "layer", "K x h x w", "stages", "layout", short, "s"))
    rows, sentences = list[Row](), list[str]()
    with ProcessPoolExecutor(asked.jobs, initializer=torch.set_num_threads, initargs=(1,)) as workers:
        for one in workers.map(row_at, chosen):
            rows.append(one)
            *known, _ = one[:-1]
            print(_line(*map(str, known), numbered(list(one.cells.values()), sentences), f"{one.seconds:.0f}"), flush=True)
    for number, sentence in enumerate(sentences, 1):
        print(f"{sentence[0]}{number}{sentence[1:]}")
    every = [c for one in rows for c in one.cells.values()]
    count = {kind: sum(c.startswith(kind) for c in every) for kind in ("=", "ok", "~", "R", "F")}
    print(f"{len(rows)} networks, {len(every)} maps: {count['=']} equal those by hand, {count['ok']} keep the contract, "
          f"{count['~']} hang on the last bit, {count['R']} are refused with a sentence, {count['F']} are wrong; "
          f"{time.perf_counter() - start:.0f} seconds")
    if asked.out:
        write(asked.out, rows)
    return 1 if count["F"] else 0


def _line(network: str, library: str, layer: str, shape: str, known: str, layout: str, cells: Sequence[str], seconds: str) -> str:
    words = f"{network[:38]:39s}{library:25s}{layer:33s}{shape:14s}{known:>6s} {layout:15s}"
    return words + " ".join(f"{c:>11s}" for c in cells) + f"{seconds:>5s}"


if __name__ == "__main__":
    sys.exit(main())
