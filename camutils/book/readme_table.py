"""The README's comparison table, from the stored results. `python -m camutils.book.readme_table` prints it, a test compares."""

from camutils.book.figures import LABELS
from camutils.evaluation.tables import interval, read_results

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


if __name__ == "__main__":
    print("\n".join(lines()))
