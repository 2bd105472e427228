"""Training of the two scene networks: seeded, about ten minutes on two cores.

Multi-label: loss = mean over scenes and digits of the binary cross-entropy of the sigmoid. AdamW, one-cycle rate.
The tune split says how training goes; the test split is read once, at the end.
NAME_shuffled is the control that has nothing to learn (Adebayo et al. 2018, arXiv 1810.03292): few scenes, every one with the
labels of another, until they are known by heart.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm import tqdm

from ..datasets.scene import Scenes
from ..extras import extra
from ..places import CHECKPOINTS, need_checkout
from ..whole import check_writable, put, write_whole
from .load import SCENE_MEAN, SCENE_STD, read_checksums, sha256, standardise_inside
from .scene_networks import SCENE_NETWORKS, SEED, SHUFFLED

USUAL = {"epochs": 8, "batch": 64, "rate": 4e-3, "length": None}  # length: scenes of the train split, None: all
BY_HEART = {"epochs": 40, "batch": 32, "rate": 2e-3, "length": 500}  # of NAME_shuffled


def _load(split: str, length: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """All scenes of a split: images (N, 3, 96, 96) uint8 and presence of each digit (N, 10) float."""
    scenes = Scenes(split, length)
    images, present = torch.empty((len(scenes), 3, 96, 96), dtype=torch.uint8), torch.zeros(len(scenes), 10)
    for i, s in enumerate(tqdm(scenes, desc=f"drawing {split}", mininterval=1)):
        images[i] = (s.image * 255).round().to(torch.uint8)
        present[i, s.classes] = 1
    return images, present


def mean_average_precision(model: torch.nn.Module, images: torch.Tensor, present: torch.Tensor) -> np.ndarray:
    """Average precision of every class (scikit-learn's definition), shape (10,); its mean is the mAP."""
    model.eval()
    with torch.inference_mode():
        scores = torch.cat([model(x.float() / 255) for x in images.split(250)])
    average_precision_score = extra("sklearn.metrics", "scikit-learn").average_precision_score
    return average_precision_score(present.numpy(), scores.numpy(), average=None)


def shuffle_labels(present: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Give each scene the labels of another one, drawn once: (N, 10) with its rows permuted, so every digit stays as frequent."""
    return present[torch.randperm(len(present), generator=torch.Generator().manual_seed(seed))]


def _settings(usual: dict[str, Any], given: dict[str, Any]) -> tuple[int, int, float, int | None]:
    """Epochs, batch, rate and length: as given, as usual what is None."""
    chosen = usual | {k: v for k, v in given.items() if v is not None}
    return chosen["epochs"], chosen["batch"], chosen["rate"], chosen["length"]


def seed_of(name: str) -> int:
    """The seed in a network's name: 2 for NAME_seed2, 0 for a name without one."""
    _, _, number = name.partition(SEED)
    return int(number or 0)


def train(name: str, *, epochs: int | None = None, batch: int | None = None, rate: float | None = None, seed: int | None = None,
          length: int | None = None, out: Path | None = None) -> dict[str, Any]:
    """Train one scene network and write its checkpoint; return path, checksum and mAP (train: its first 1000 scenes; tune, test).

    What is None: as in USUAL, for NAME_shuffled as in BY_HEART, with labels from `shuffle_labels`; seed: the name's, `seed_of`.
    A batch is never larger than `length`. Raises ValueError for a name that is not in SCENE_NETWORKS, and for epochs, batch or
    length below 1; PermissionError, before it begins, for a folder that cannot be written to. The global random
    state is left as it was.
    """
    if name not in SCENE_NETWORKS:
        raise ValueError(f"cannot train {name!r}; accepted: {', '.join(SCENE_NETWORKS)}")
    shuffled = name.endswith(SHUFFLED)
    given = {"epochs": epochs, "batch": batch, "rate": rate, "length": length}
    epochs, batch, rate, length = _settings(BY_HEART if shuffled else USUAL, given)
    seed = seed_of(name) if seed is None else seed
    if min(epochs, batch, batch if length is None else length) < 1:
        raise ValueError(f"epochs {epochs}, batch {batch}, length {length}; accepted: 1 or more")
    if out is None:
        need_checkout("checkpoints are kept")
    check_writable(Path(out or CHECKPOINTS))  # now, and not after ten minutes
    images, present = _load("train", length)
    batch = min(batch, len(images))
    present = shuffle_labels(present, seed) if shuffled else present
    splits = {"train": (images[:1000], present[:1000]), "tune": _load("tune")}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = standardise_inside(SCENE_NETWORKS[name](), SCENE_MEAN, SCENE_STD).to(memory_format=torch.channels_last)
        optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.05)
        steps = len(images) // batch
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=epochs * steps)
        for epoch in range(epochs):
            model.train()
            order = torch.randperm(len(images))[: steps * batch].view(steps, batch)
            bar = tqdm(order, desc=f"{name} epoch {epoch + 1}/{epochs}", mininterval=1)
            for rows in bar:
                x = (images[rows].float() / 255).contiguous(memory_format=torch.channels_last)
                loss = binary_cross_entropy_with_logits(model(x), present[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
            if not shuffled:
                mean = mean_average_precision(model, *splits["tune"]).mean()
                print(f"{name} epoch {epoch + 1}: mAP on tune {mean:.4f}", flush=True)
    path = Path(out or CHECKPOINTS) / f"{name}.pth"
    with TemporaryDirectory() as half:  # the name is part of the file, hence of its checksum
        torch.save({k: v.contiguous() for k, v in model.state_dict().items()}, Path(half) / path.name)
        put(Path(half) / path.name, path)
    sums = read_checksums(path.parent) | {path.name: sha256(path)}  # those of other files stay: they may be damaged
    write_whole(path.parent / "SHA256SUMS", "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))
    scores = {split: float(mean_average_precision(model, *data).mean())
              for split, data in {**splits, "test": _load("test")}.items()}
    return {"path": str(path), "sha256": sha256(path), "mAP": scores}
