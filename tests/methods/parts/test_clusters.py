"""k-means against loops and scikit-learn, what makes it exact, and the grouping of channels in every case that is not plain."""

from bisect import bisect_right
from math import ceil, log, sqrt

import numpy as np
import pytest
import sklearn.cluster
import torch
from sklearn.metrics import adjusted_rand_score
from torch.testing import assert_close

from camutils import load_model, scene
from camutils.core.probe import activation
from camutils.methods.parts.clusters import CLUSTERINGS, content_order, group_channels
from camutils.methods.parts.kmeans import RACE, _to_centres, elbow, kmeans, normalised_rows, seed_centres


def activations(B=3, K=60, h=5, w=4, seed=0, dtype=torch.float64):
    """Non-negative, mostly zero, as behind a ReLU."""
    A = torch.randn(B, K, h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (A - 0.3).relu().to(dtype)


def planted(groups, copies, Z=25, seed=0):
    """(1, groups * copies, 5, 5) noisy copies of a few distinct patterns, shuffled, and the pattern of each channel."""
    rng = torch.Generator().manual_seed(seed)
    pattern = torch.eye(Z)[torch.randperm(Z, generator=rng)[:groups]] * 3
    truth = torch.arange(groups).repeat_interleave(copies)[torch.randperm(groups * copies, generator=rng)]
    A = pattern[truth] + 0.2 * torch.rand(groups * copies, Z, generator=rng)
    return (A * (1 + 4 * torch.rand(len(A), 1, generator=rng))).view(1, -1, 5, 5), truth


def scenes_rows(name, count=4):
    x = torch.stack([scene("test", i).image for i in range(count)])
    return normalised_rows(activation(load_model(name, "cpu"), x)[0])


def distance(x, c):
    return sum((a - b) ** 2 for a, b in zip(x, c, strict=True))


def loop_kmeans(rows, centres, iterations=100):
    """Lloyd's iteration in plain Python: lists of rows and of centres -> labels, centres, inertia. No cluster may run empty."""
    labels = None
    for _ in range(iterations):
        new = [min(range(len(centres)), key=lambda n: distance(x, centres[n])) for x in rows]  # noqa: B023
        if new == labels:
            break
        labels = new
        members = [[x for x, k in zip(rows, labels, strict=True) if k == n] for n in range(len(centres))]
        centres = [[sum(column) / len(group) for column in zip(*group, strict=True)] for group in members]
    return labels, centres, sum(distance(x, centres[k]) for x, k in zip(rows, labels, strict=True))


def test_by_hand():
    """Four channels of two positions: directions (1, 0), (.96, .28), (0, 1), (.28, .96), lengths 2, 25, 3, 25."""
    A = torch.tensor([[2.0, 0.0], [24.0, 7.0], [0.0, 3.0], [7.0, 24.0]]).view(1, 4, 1, 2)
    rows = normalised_rows(A)
    grid = torch.tensor([[4096.0, 0.0], [3932.0, 1147.0], [0.0, 4096.0], [1147.0, 3932.0]], dtype=torch.float64)
    assert torch.equal(rows[0] * 4096, grid)
    found = kmeans(rows, 2, centres=rows[:, [0, 2]])
    assert found.labels.tolist() == [[0, 0, 1, 1]]
    assert torch.equal(found.centres[0] * 8192, torch.tensor([[8028.0, 1147.0], [1147.0, 8028.0]], dtype=torch.float64))
    assert_close(found.inertia, torch.tensor([2 * (164**2 + 1147**2) / 2 / 4096**2], dtype=torch.float64))
    assert set(map(tuple, group_channels(A, 2).tolist())) <= {(0, 0, 1, 1), (1, 1, 0, 0)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows(dtype):
    A = activations(dtype=dtype)
    A[1, 3] = 0
    A[2, 5] *= 1e-30
    A[2, 6] *= 1e30
    rows = normalised_rows(A)
    unit = A.double().flatten(2) / A.double().flatten(2).norm(dim=2, keepdim=True)
    unit[1, 3] = 0
    assert rows.dtype == torch.float64 and torch.equal(rows * 4096, (rows * 4096).round())
    assert (rows - unit).abs().max() <= 2**-13 + 1e-9 and rows[2, 5].any() and not rows[1, 3].any()
    A[0, 0, 0, 0], A[2, 0, 0, 0] = torch.nan, torch.inf
    with pytest.raises(ValueError, match=r"activations hold NaN or Inf for images \[0, 2\] of the batch; accepted: finite"):
        normalised_rows(A)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_equals_the_loop(n):
    rows = normalised_rows(activations(2, 40))
    start = seed_centres(rows, n)[:, 0]
    found = kmeans(rows, n, centres=start)
    for b in range(2):
        labels, centres, inertia = loop_kmeans(rows[b].tolist(), start[b].tolist())
        assert found.labels[b].tolist() == labels
        assert_close(found.centres[b], torch.tensor(centres, dtype=torch.float64))
        assert_close(found.inertia[b].item(), inertia)


@pytest.mark.parametrize("n", [2, 7, 10, 20])
def test_labels_equal_scikit_learns_from_the_same_centres(n):
    cases = [normalised_rows(activations(4, 150, seed=n)), scenes_rows("scenes_resnet")]
    for rows in cases:
        start = seed_centres(rows, n, seed=3)[:, 0]
        found = kmeans(rows, n, centres=start)
        for b in range(len(rows)):
            live = rows[b].any(1)
            theirs = sklearn.cluster.KMeans(n, init=start[b].numpy(), n_init=1, tol=0).fit(rows[b, live].numpy())
            assert found.labels[b, live].tolist() == theirs.labels_.tolist()
            assert_close(found.centres[b], torch.from_numpy(theirs.cluster_centers_))
            assert_close(found.inertia[b].item(), theirs.inertia_)


@pytest.mark.parametrize("source", ["random", "scenes_resnet", "scenes_vgg"])
def test_inertia_is_as_low_as_scikit_learns_best_of_ten(source):
    rows = normalised_rows(activations(6, 150, seed=1)) if source == "random" else scenes_rows(source, 6)
    best = [sklearn.cluster.KMeans(10, n_init=10, random_state=0).fit(r[r.any(1)].numpy()).inertia_ for r in rows]
    ratio = kmeans(rows, 10).inertia / torch.tensor(best, dtype=torch.float64)
    assert ratio.mean() < 1.02 and ratio.max() < 1.06


def test_seeding_is_greedy_k_means_plus_plus():
    """The same draws, row after row, in plain Python."""
    rows, n, restarts = normalised_rows(activations(2, 30)), 5, 3
    rows[1, 7:12] = 0
    tries = 2 + int(log(n))
    draws = torch.rand(n, restarts, tries, dtype=torch.float64, generator=torch.Generator().manual_seed(11)).tolist()
    found = seed_centres(rows, n, restarts, seed=11)
    for b in range(2):
        table = rows[b].tolist()
        for r in range(restarts):
            nearest = [float(any(x)) for x in table]
            for i in range(n):
                summed = np.cumsum(nearest).tolist()
                options = []
                for u in draws[i][r]:
                    pick = bisect_right(summed, u * summed[-1])
                    left = [(min(d, distance(x, table[pick])) if i else distance(x, table[pick])) * any(x)
                            for d, x in zip(nearest, table, strict=True)]
                    options.append((sum(left), pick, left))
                least = min(range(tries), key=lambda t: options[t][0])  # noqa: B023
                nearest = options[least][2]
                assert found[b, r, i].tolist() == table[options[least][1]]


def test_the_restart_that_leads_after_the_race_is_kept():
    rows = normalised_rows(activations(5, 400, seed=2))
    starts = seed_centres(rows, 8, 4, seed=5)
    early = torch.stack([kmeans(rows, 8, centres=starts[:, r], iterations=RACE).inertia for r in range(4)], 1)
    whole = [kmeans(rows, 8, centres=starts[:, r]) for r in range(4)]
    found = kmeans(rows, 8, seed=5)
    assert (early > torch.stack([w.inertia for w in whole], 1)).any()  # some were not at the end yet
    for b, r in enumerate(early.argmin(1).tolist()):
        assert torch.equal(found.labels[b], whole[r].labels[b]) and found.inertia[b] == whole[r].inertia[b]
    assert early.argmin(1).unique().numel() > 1


def test_nothing_is_rounded():
    """Sums over positions and channels are exact: any order of them gives the same bits. Of unrounded rows this is not so."""
    A = activations(2, 50, 7, 7)
    rows, order = normalised_rows(A), torch.randperm(49, generator=torch.Generator().manual_seed(0))
    unrounded = A.flatten(2) / A.flatten(2).norm(dim=2, keepdim=True)
    for x, exact in ((rows, True), (unrounded, False)):
        sums, counts = x[:, None, :40].view(2, 1, 8, 5, 49).sum(3), torch.full((2, 1, 8), 5.0, dtype=torch.float64)
        two = _to_centres(x, sums, counts), _to_centres(x[..., order], sums[..., order], counts)
        assert torch.equal(*two) == exact
        assert_close(two[0][:, 0] + x.square().sum(2)[:, None], torch.cdist(sums[:, 0] / 5, x).square())


def test_batch_and_threads_change_no_bit():
    A, threads = activations(7, 300, 6, 6, seed=4, dtype=torch.float32), torch.get_num_threads()
    rows = normalised_rows(A)
    full, grouped = kmeans(rows, 10), group_channels(A, 10)
    try:
        torch.set_num_threads(3 if threads == 1 else 1)
        assert all(torch.equal(a, b) for a, b in zip(kmeans(rows, 10), full, strict=True))
    finally:
        torch.set_num_threads(threads)
    for some in ([0], [6], [5, 1, 3]):
        assert all(torch.equal(a, b[some]) for a, b in zip(kmeans(rows[some], 10), full, strict=True))
        assert torch.equal(group_channels(A[some], 10), grouped[some])


def test_empty_clusters_are_filled():
    rows = normalised_rows(activations(3, 30))
    start = rows[:, [0, 1, 2, 3, 4]].clone()
    start[0, 1:4] = 100.0
    start[2, 4] = -5.0
    found = kmeans(rows, 5, centres=start)
    for b in range(3):
        sizes = found.labels[b].bincount(minlength=5)
        assert sizes.min() > 0 and sizes.sum() == 30
        mean = torch.stack([rows[b, found.labels[b] == n].mean(0) for n in range(5)])
        assert_close(found.centres[b], mean)
        assert torch.equal(torch.cdist(rows[b], mean).argmin(1), found.labels[b])
    assert torch.equal(kmeans(rows[1:2], 5, centres=start[1:2]).labels, found.labels[1:2])
    far = torch.tensor([[1.0, 0], [0.8, 0.6], [0.6, 0.8], [0, 1]], dtype=torch.float64)[None]
    start = torch.tensor([[[0.9, 0.3], [9, 9], [8, 8]]], dtype=torch.float64)
    assert kmeans(far, 3, centres=start, iterations=1).labels.tolist() == [[0, 0, 2, 1]]  # farthest from (.9, .3): the last, then


def test_fewer_distinct_rows_than_clusters():
    A = activations(2, 4)[:, [0, 1, 2, 0, 1, 2, 3, 0, 1]] * torch.arange(1, 10)[:, None, None]
    labels = group_channels(A, 7)
    for row in labels.tolist():
        assert row[0] == row[3] == row[7] and row[1] == row[4] == row[8] and row[2] == row[5]
        assert sorted(set(row)) == [0, 1, 2, 3]
    assert kmeans(normalised_rows(A), 7).inertia.tolist() == [0, 0]
    assert group_channels(A, 2).unique().tolist() == [0, 1]


def test_dead_and_flat_channels():
    A = activations(3, 20)
    A[0, [2, 5]] = 0
    A[1] = 0
    A[2, 1:], A[2, 0] = 0, 7.0
    for clustering in CLUSTERINGS:
        labels = group_channels(A, 4, clustering)
        assert (labels[0] == -1).nonzero()[:, 0].tolist() == [2, 5] and labels[0].max() == 3
        assert labels[1].eq(-1).all() and labels[2].tolist() == [0] + [-1] * 19
    A[0, 7:10] = torch.tensor([1.0, 2.0, 5.0])[:, None, None]
    flat = group_channels(A, 12)[0, 7:10]
    assert flat.unique().numel() == 1 and flat[0] >= 0
    assert group_channels(torch.zeros(2, 3, 4, 4), "elbow").eq(-1).all()


@pytest.mark.parametrize("clustering", CLUSTERINGS)
def test_as_many_clusters_as_channels(clustering, monkeypatch):
    A = activations(2, 9)[:, [0, 1, 2, 3, 4, 5, 6, 6, 0]]
    monkeypatch.setattr("camutils.methods.parts.clusters.kmeans", None)  # whoever calls it fails
    for n in (9, 10, 2**31):
        assert [sorted(row) for row in group_channels(A, n, clustering).tolist()] == [[*range(9)]] * 2
    A[0, 1] = 0
    assert sorted(group_channels(A[:1], 8, clustering)[0].tolist()) == [-1, *range(8)]


@pytest.mark.parametrize("n", [1, 3, 10])
@pytest.mark.parametrize("clustering", ["kmeans", "spectral", "random"])
def test_the_order_of_channels_does_not_matter(clustering, n):
    A = activations(3, 40, seed=6)
    A[1, 5:9] = 0
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    assert torch.equal(group_channels(A[:, order], n, clustering), group_channels(A, n, clustering)[:, order])
    assert not torch.equal(content_order(normalised_rows(A)), content_order(normalised_rows(A[:, order])))


def test_seeds():
    A = activations(2, 200, seed=8)
    for clustering in ("kmeans", "random"):
        one = group_channels(A, 10, clustering, seed=1)
        assert torch.equal(one, group_channels(A, 10, clustering, seed=1))
        assert not torch.equal(one, group_channels(A, 10, clustering, seed=2))
    assert torch.equal(group_channels(A, 10, "consecutive", seed=1), group_channels(A, 10, "consecutive", seed=2))


def test_controls():
    A = activations(3, 23)
    A[1, [0, 4, 5]] = 0
    for n in (1, 4, 7):
        for clustering in ("random", "consecutive"):
            labels = group_channels(A, n, clustering)
            for row, live in zip(labels, (23, 20, 23), strict=True):
                sizes = row[row >= 0].bincount(minlength=n)
                assert len(sizes) == n and sizes.sum() == live and sizes.max() - sizes.min() <= 1
        for row in labels.tolist():  # consecutive
            kept = [k for k in row if k >= 0]
            assert sum(a != b for a, b in zip(kept, kept[1:], strict=False)) == n - 1
    assert group_channels(A, 4, "random").tolist() != group_channels(A, 4, "consecutive").tolist()


def test_planted_groups_are_found():
    for seed in range(3):
        A, truth = planted(6, 12, seed=seed)
        for clustering in ("kmeans", sklearn.cluster.AgglomerativeClustering(6)):
            assert adjusted_rand_score(truth, group_channels(A, 6, clustering)[0]) == 1
        assert adjusted_rand_score(truth, group_channels(A, 6, "random")[0]) < 0.2
        assert adjusted_rand_score(truth, group_channels(A, "elbow")[0]) == 1


def test_elbow_by_its_definition():
    rows = normalised_rows(torch.cat([planted(5, 10)[0].double(), activations(1, 50, 5, 5)]))
    runs = {n: kmeans(rows, n, seed=2) for n in range(3, ceil(sqrt(50)) + 1)}
    for b in range(2):
        curve = {n: run.inertia[b].item() for n, run in runs.items()}
        below = {n: 1 - (n - 3) / 5 - (curve[n] - curve[8]) / (curve[3] - curve[8]) for n in curve}
        best = max(below, key=below.get)
        assert (best == 5) == (b == 0)
        assert torch.equal(elbow(rows, 2)[b], runs[best].labels[b])
    assert group_channels(activations(1, 7), "elbow").max() == 2  # ceil(sqrt 7) = 3, the only choice
    assert group_channels(activations(1, 3), "elbow").max() == 2


class Signs:
    """Not scikit-learn's: two groups by the first position, with labels of its own choice; the last row is in none."""

    fits = 0

    def fit_predict(self, X):
        self.fits += 1
        assert X.dtype == np.float64 and np.allclose(np.linalg.norm(X, axis=1), 1, atol=1e-3)
        return np.where(np.arange(len(X)) == len(X) - 1, -1, np.where(X[:, 0] > 0, 40, 7))


def test_estimators():
    A = activations(3, 30)
    A[0, :4] = 0
    rows, own = normalised_rows(A), Signs()
    labels, order = group_channels(A, 10, own), content_order(rows)
    assert own.fits == 0 and labels.unique().tolist() == [-1, 0, 1]
    for b, live in enumerate((26, 30, 30)):
        inside = order[b, : live - 1]
        assert labels[b, order[b, live - 1 :]].eq(-1).all() and labels[b, inside[0]] == 0
        assert ((rows[b, inside, 0] > 0) == (rows[b, inside[0], 0] > 0)).eq(labels[b, inside] == 0).all()
    ward = group_channels(A, 10, sklearn.cluster.AgglomerativeClustering(4))
    assert ward[1].unique().tolist() == [0, 1, 2, 3]
    theirs = sklearn.cluster.AgglomerativeClustering(4).fit_predict(rows[1].numpy())
    assert adjusted_rand_score(ward[1], theirs) == 1
    assert group_channels(A, 10, sklearn.cluster.DBSCAN(eps=1e-9)).eq(-1).all()
    assert group_channels(A[:, :1] + 1, 10, own).tolist() == [[0]] * 3  # a single channel is not searched
    own.fit_predict = lambda X: np.zeros(3)
    with pytest.raises(ValueError, match=r"fit_predict gave torch.float64 of shape \(3,\); accepted: 26 whole numbers"):
        group_channels(A, 10, own)


@pytest.mark.parametrize("clustering", ["spectral", sklearn.cluster.KMeans(5, n_init=1),
                                        sklearn.cluster.KMeans(5, n_init=1, random_state=4)], ids=["spectral", "none", "own"])
def test_random_state_of_scikit_learn(clustering):
    A = activations(2, 80, seed=3)
    given = None if isinstance(clustering, str) else clustering.random_state
    np.random.seed(1)
    before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()
    one = group_channels(A, 5, clustering, seed=1)
    np.random.seed(2)
    assert torch.equal(one, group_channels(A, 5, clustering, seed=1))
    np.random.seed(1)
    several = [group_channels(A, 5, clustering, seed=s) for s in range(4)]
    assert (np.random.get_state()[1] == before).all() and torch.equal(torch.get_rng_state(), torch_before)
    if clustering != "spectral":
        assert clustering.random_state == given and not hasattr(clustering, "labels_")
        assert all(torch.equal(one, s) for s in several) == (given is not None)
        theirs = sklearn.cluster.KMeans(5, n_init=1, random_state=1 if given is None else 4)
        rows = normalised_rows(A)[0]
        rows = rows[content_order(rows[None])[0]]
        assert adjusted_rand_score(theirs.fit_predict(rows), group_channels(rows.view(1, 80, 5, 4), 5, clustering, 1)[0]) > 0.99


def test_agglomerative_is_wards_rule():
    A = activations(2, 40)
    theirs = sklearn.cluster.AgglomerativeClustering(6, linkage="ward")
    for rows, labels in zip(normalised_rows(A), group_channels(A, 6, "agglomerative"), strict=True):
        assert adjusted_rand_score(theirs.fit_predict(rows), labels) == 1
    assert torch.equal(group_channels(A, 6, "agglomerative", seed=1), group_channels(A, 6, "agglomerative", seed=2))


@pytest.mark.parametrize("clustering", ["agglomerative", "spectral"])
def test_one_cluster_is_all_that_live(clustering):
    A = activations(2, 12)
    A[0, 3] = 0
    assert group_channels(A, 1, clustering).tolist() == [[0, 0, 0, -1] + 8 * [0], 12 * [0]]


def test_no_iterations():
    with pytest.raises(ValueError, match="0 iterations; accepted: 1 or more"):
        kmeans(normalised_rows(activations(1, 12)), 3, iterations=0)


def test_global_random_state_stays():
    before, A = torch.get_rng_state(), activations(1, 24)
    for clustering in CLUSTERINGS:
        group_channels(A, 3, clustering)
    group_channels(A, "elbow")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("options, error, words", [
    ({"n_clusters": 0}, ValueError, "n_clusters 0; accepted: a whole number from 1 to"),
    ({"n_clusters": -1}, ValueError, "n_clusters -1; accepted: a whole number from 1 to"),
    ({"n_clusters": 2.5}, TypeError, "n_clusters is 2.5; accepted: a whole number from 1 on"),
    ({"n_clusters": True}, TypeError, "n_clusters is True; accepted: a whole number"),
    ({"n_clusters": None}, TypeError, "n_clusters is None; accepted: a whole number"),
    ({"n_clusters": "many"}, ValueError, "n_clusters 'many' with clustering 'kmeans'; accepted: a whole number from 1 on, or"),
    ({"n_clusters": "elbow", "clustering": "random"}, ValueError, "n_clusters 'elbow' with clustering 'random'; accepted"),
    ({"seed": -1}, ValueError, "seed -1; accepted: a whole number from 0"),
    ({"seed": 0.5}, TypeError, "seed is 0.5; accepted: a whole number from 0"),
    ({"clustering": "ward"}, ValueError, "clustering 'ward'; accepted: kmeans, agglomerative, spectral, random, "),
    ({"clustering": sklearn.cluster.KMeans}, TypeError, "KMeans'>; accepted: kmeans, .*an instance with fit_predict"),
    ({"clustering": None}, TypeError, "clustering is None; accepted: kmeans")])
def test_bad_input(options, error, words):
    with pytest.raises(error, match=words):
        group_channels(activations(1, 12), **options)


def test_whole_numbers_of_every_kind():
    A = activations(1, 20)
    assert torch.equal(group_channels(A, np.int64(4), seed=np.int32(3)), group_channels(A, torch.tensor(4), seed=3))


def test_inference_mode_and_real_weights():
    model, x = load_model("scenes_resnet", "cpu"), scene("test", 0).image[None]
    expected = group_channels(activation(model, x)[0])
    with torch.inference_mode():
        assert torch.equal(group_channels(activation(model, x)[0]), expected)
    assert expected.max() == 9
