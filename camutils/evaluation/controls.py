"""Maps under a control: what a heat map looks like where it should, or should not, still be the same.

    itself         the untouched map
    cascade:NAME   weights redrawn from the head down to NAME               (Adebayo et al. 2018, arXiv 1810.03292)
    labels         the same network, trained on shuffled labels             (the same paper)
    class          the same network, asked about a class that is not there
    noise=R        the same picture with uniform noise of up to R per value (Yeh et al. 2019, arXiv 1901.09392)
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..core.layers import Layer
from ..core.maps import Method, normalise
from ..core.network import unwrap
from ..core.targets import Targets
from ..extras import extra
from .metrics import cascading_randomisation, spearman


def edges(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None) -> Tensor:
    """Sobel's edges of the grey picture, (B, H, W) in [0, 1]: a map that looks right and knows nothing of the network."""
    sobel = extra("skimage.filters", "scikit-image").sobel
    grey = [x.detach().mean(0).cpu().double().numpy() for x in images]
    return normalise(torch.stack([torch.from_numpy(sobel(g)) for g in grey])).to(images)


def cascade_modules(model: nn.Module) -> list[str]:
    """What is redrawn, head first: the network's children that own parameters; of a `features` + `classifier` their parts."""
    own = _owners(unwrap(model))
    if len(own) <= 2:
        own = {name: m for n, child in own.items() for name, m in (_owners(child, f"{n}.") or {n: child}).items()}
    return list(own)[::-1]


def _owners(module: nn.Module, before: str = "") -> dict[str, nn.Module]:
    """The children that own parameters: name -> module."""
    return {before + n: m for n, m in module.named_children() if any(True for _ in m.parameters())}


def control_maps(method: Method, model: nn.Module, images: Tensor, targets: Tensor, absent: Tensor, *, modules: list[str],
                 shuffled: nn.Module | None, radii: Iterable[float], draws: int, seed: int = 0) -> dict[str, list[Tensor]]:
    """Control -> the maps under it, one (B, H, W) per draw of the random numbers; the first one is `itself`.

    images (B, 3, H, W); targets, absent (B,): the class asked for, one that is not in the picture. The same random weights
    and the same noise for every image, so a map depends on no other image. Errors: as `method` and `cascading_randomisation`.
    """
    found: dict[str, list[Tensor]] = {control: [] for control in ("itself", *(f"cascade:{name}" for name in modules))}
    for draw in range(draws):
        seen: list[Tensor] = []

        def keep(net: nn.Module, images: Tensor, targets: Targets, layer: Layer, seen: list[Tensor] = seen) -> Tensor:
            seen.append(method(net, images, targets))
            return seen[-1]

        cascading_randomisation(keep, model, images, targets, modules=modules, seed=seed + draw)
        for control, L in zip(found, seen, strict=True):
            found[control].append(L)
    found["itself"] = found["itself"][:1]
    if shuffled is not None:
        found["labels"] = [method(shuffled, images, targets)]
    found["class"] = [method(model, images, absent)]
    for radius in radii:
        rng = torch.Generator().manual_seed(seed)
        noise = [radius * (2 * torch.rand(images.shape[1:], generator=rng) - 1).to(images) for _ in range(draws)]
        found[f"noise={radius}"] = [method(model, images + d, targets) for d in noise]
    return found


def likeness(L: Tensor, M: Tensor) -> tuple[Tensor, Tensor]:
    """Rank correlation and SSIM (Wang et al. 2004, IEEE TIP 13(4)) of maps L, M (B, H, W) in [0, 1], each (B,).

    A constant M counts as correlation 0, a constant L gives NaN for both.
    """
    empty = L.flatten(1).amax(1) == L.flatten(1).amin(1)
    pairs = zip(L.cpu().numpy(), M.cpu().numpy(), strict=True)
    similarity = extra("skimage.metrics", "scikit-image").structural_similarity
    ssim = torch.tensor([similarity(a, b, data_range=1.0) for a, b in pairs])
    rho, ssim = (torch.where(empty.cpu(), torch.nan, v.cpu().nan_to_num(0)) for v in (spearman(L, M), ssim))
    return rho, ssim
