"""The README's tables of methods and of times, from what is stored. `python -m camutils.book.readme_table` prints them, a test
compares."""

from camutils.book.figures import LABELS
from camutils.evaluation.results import Row
from camutils.evaluation.speed.subjects import NETWORKS
from camutils.evaluation.speed.table import Table
from camutils.evaluation.tables import interval, mean, read_results
from camutils.places import DATA

DECIDING = ("02_deciding", "10_deciding", "43_winner", "20_deciding", "20_multi_scale_deciding", "30_score_deciding",
            "30_deciding", "43_deciding")
STEADY = ("40_steady", "40_steady_passes", "40_steady_dear", "40_steady_sizes")
SETS = {"scenes_resnet": "`scenes_resnet`", "scenes_vgg": "`scenes_vgg`", "imagenet_efficientnet_lite0": "ILSVRC, Lite0",
        "voc_efficientnet_lite0": "VOC, Lite0"}
MEASURES = ("pixel_ap", "drop_15", "unsteady")
METHODS = {  # method -> its name, where it has none of its own, and its passes per image; K channels at the last layer
    "grad_cam": ("", "1, head gradient"), "grad_cam:relu=False": ("Grad-CAM before its ReLU", "1, head gradient"),
    "grad_cam_pp": ("", "1, head gradient"), "layer_cam": ("", "1, head gradient"), "hires_cam": ("", "1, head gradient"),
    "integrative_cam": ("Integrative CAM, tuned", "1, one backward"),
    "integrative_cam:preset=literal": ("Integrative CAM, literal", "1, one backward"),
    "integrative_cam+M:scales=[1,1.25]:ratio=mean:layer_weight=uniform":
        ("Integrative CAM, one weight, two sizes", "2.6, two backward"),
    "grad_cam+M:scales=[1,1.4464285714285714,1.8928571428571428]": ("Grad-CAM+M, three sizes*", "6.7, head gradients"),
    "integrated_grad_cam:steps=30": ("", "30, head gradients"), "gig_cam": ("", "30, head gradients"),
    "gig_cam_m:scales=[1,1.4464285714285714,1.8928571428571428]": ("GIG-CAM+M, three sizes*", "201, head gradients"),
    "score_cam": ("Score-CAM*", "1 + K"), "cluster_cam": ("Cluster-CAM, literal", "1 + 10"),
    "cluster_cam:n_clusters=8:merge=soft_cut:baseline=blur": ("Cluster-CAM, tuned", "1 + 8"),
    "combined_cam": ("", "1 + 8, one backward"),
}
TIMED = {  # what the tables of times show: (method, options, images) -> its name there
    ("grad_cam", "", 1): "Grad-CAM, 1 image", ("grad_cam", "", 8): "Grad-CAM, 8 images",
    ("integrative_cam", "", 8): "Integrative CAM, 8 images",
    ("integrative_cam", "preset=literal", 8): "its literal reading, 8 images",
    ("gig_cam", "steps=10", 8): "GIG-CAM, 8 images", ("gig_cam_m", "steps=3", 1): "GIG-CAM+M, 1 image",
    ("score_cam", "", 1): "Score-CAM, 1 image", ("cluster_cam", "n_clusters=10", 1): "Cluster-CAM, 1 image",
    ("combined_cam", "n_clusters=8", 1): "Combined CAM, 1 image",
    ("deletion_insertion", "steps=28", 1): "deletion and insertion, 1 image",
}
ON_LARGE = {  # what stands for it on networks on which fewer images and steps are timed
    ("gig_cam", "steps=10", 8): ("gig_cam", "steps=4", 2), ("gig_cam_m", "steps=3", 1): ("gig_cam_m", "steps=2", 1),
}
BESIDE = (("grad_cam", "", 1), ("grad_cam", "", 8), ("integrative_cam", "", 8), ("score_cam", "", 1))
PEERS = ("captum", "grad-cam", "torchcam")


def lines(measure: str) -> list[str]:
    """A table of all methods on SETS as Markdown, a line per method: place, Drop at 15 %, or unsteadiness.

    measure: "pixel_ap" or "drop_15", means with 95 % intervals by image; "unsteady", the mean of `unsteady_grey` and
    `unsteady_noise`. What was not measured is left empty.
    """
    sets = {label: _rows(name, measure) for name, label in SETS.items()}
    sets = {label: rows for label, rows in sets.items() if rows}
    last = [" passes |"] if measure == "pixel_ap" else []
    table = [f"| | {' | '.join(sets)} |" + "".join(last), "|---" * (len(sets) + 1 + len(last)) + "|"]
    for method, (name, passes) in METHODS.items():
        cells = [_cell(rows.get(method, []), method, measure) for rows in sets.values()]
        table.append(f"| {name or LABELS[method.partition(':')[0]]} | {' | '.join(cells)} |" + f" {passes} |" * len(last))
    return table


def _rows(name: str, measure: str) -> dict[str, list[Row]]:
    """The rows of each method of one set; those of fewer pictures beside the others, not cut to them."""
    found: dict[str, list[Row]] = {}
    for run in STEADY if measure == "unsteady" else DECIDING:
        if (DATA / "results" / f"{run}_{name}").is_dir():
            for row in read_results(f"{run}_{name}"):
                found.setdefault(row["method"], []).append(row)
    return found


def _cell(rows: list[Row], method: str, measure: str) -> str:
    if not rows:
        return ""
    if measure == "unsteady":
        return f"{(mean(rows, method, 'unsteady_grey') + mean(rows, method, 'unsteady_noise')) / 2:.4f}"
    m, digits = interval(rows, method, measure), 1 if measure == "drop_15" else 3
    return f"{m.mean:.{digits}f} [{m.low:.{digits}f}, {m.high:.{digits}f}]"


def time_lines() -> list[str]:
    """Times as multiples of the bare passes, two tables as Markdown: ours by network, with targets; ours beside the peers'."""
    found: dict[tuple[str, str, int], dict[str, dict[str, dict[str, str]]]] = {}
    for row in Table(DATA / "speed" / "ratios.csv").rows:
        key = row["method"], row["options"], int(row["batch"])
        found.setdefault(key, {}).setdefault(row["network"], {})[row["contestant"]] = row
    networks = [name for name in NETWORKS if any(name in by_network for by_network in found.values())]
    table = [f"| | {' | '.join(networks)} | target |", "|---" * (len(networks) + 2) + "|"]
    for key, label in TIMED.items():
        ours = {network: runs["ours"] for network, runs in (found.get(ON_LARGE.get(key, key), {}) | found[key]).items()}
        cells = [f"{float(ours[n]['ratio']):.2f}" if n in ours else "" for n in networks]
        table.append(f"| {label} | {' | '.join(cells)} | {float(next(iter(ours.values()))['target']):.2f} |")
    table += ["", f"| | | camutils | {' | '.join(PEERS)} |", "|---" * (len(PEERS) + 3) + "|"]
    for key in BESIDE:
        for network, runs in sorted(found[key].items(), key=lambda item: NETWORKS.index(item[0])):
            ratio = {name: float(run["ratio"]) for name, run in runs.items()}
            cells = [f"{ratio[p]:.2f} ({ratio[p + ', best']:.2f})" if p in ratio else "" for p in PEERS]
            if any(cells):
                table.append(f"| {TIMED[key]} | {network} | {ratio['ours']:.2f} | {' | '.join(cells)} |")
    return table


if __name__ == "__main__":
    for measure in MEASURES:
        print("\n".join([*lines(measure), ""]))
    print("\n".join(time_lines()))
