"""The README's tables of methods and of times, from what is stored. `python -m camutils.book.readme_table` prints them, a test
compares."""

from camutils.book.figures import LABELS
from camutils.evaluation.speed.subjects import NETWORKS
from camutils.evaluation.speed.table import Table
from camutils.evaluation.tables import interval, read_results
from camutils.places import DATA

RUNS = ("02", "10", "20", "20_multi_scale", "30", "32_blurred_baseline", "43")
SETS = {"scenes_resnet": "scenes", "imagenet_mobilenet_v2": "ILSVRC"}
TUNED = "cluster_cam:n_clusters=8:merge=soft_cut:baseline=blur"
PASSES = {  # forward passes per image, and what else; K channels at the last layer: 128 and 1280
    "grad_cam": "1, head gradient", "grad_cam_pp": "1, head gradient", "layer_cam": "1, head gradient",
    "hires_cam": "1, head gradient",
    "integrative_cam": "1, one backward", "integrated_grad_cam": "50, head gradients", "gig_cam": "30, head gradients",
    "gig_cam_m": "210 at 1 to 3.7 times the size, head gradients", "score_cam": "1 + K", "cluster_cam": "1 + 10", TUNED: "1 + 8",
    "combined_cam": "1 + 8, one backward",
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
METRICS = {"pointing": "pointing", "energy": "energy", "drop": "Drop %"}


def lines() -> list[str]:
    """The table as Markdown, a line per method."""
    rows = {name: read_results(*(f"{run}_{name}" for run in RUNS)) for name in SETS}
    heads = [f"{title}: {label}" for title in SETS.values() for label in METRICS.values()]
    table = [f"| | {' | '.join(heads)} | forward passes |", "|---" * (len(heads) + 2) + "|"]
    for method, passes in PASSES.items():
        label = "Cluster-CAM, tuned" if method == TUNED else LABELS[method]
        cells = []
        for own in rows.values():
            for metric in METRICS:
                m, digits = interval(own, method, metric), 1 if metric == "drop" else 3
                cells.append(f"{m.mean:.{digits}f} [{m.low:.{digits}f}, {m.high:.{digits}f}]")
        table.append(f"| {label} | {' | '.join(cells)} | {passes} |")
    return table


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
    print("\n".join([*lines(), "", *time_lines()]))
