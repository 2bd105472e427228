"""Effective area and the power that reaches it: by hand, monotone, exact ends, nothing where there is nothing."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from camutils import normalise, upsample
from camutils.evaluation.metrics import effective_area, gamma_for_area, sharpen

quick = settings(max_examples=40, deadline=None, database=None, derandomize=True)


@st.composite
def some_maps(draw):
    """Three maps in [0, 1]: smooth ones, some cut at zero as by a ReLU."""
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    raw = torch.rand(3, draw(st.integers(2, 6)), 5, generator=rng) - draw(st.sampled_from([0.0, 0.3, 0.6]))
    return normalise(upsample(raw, (12, 15)).relu() + 1e-3 * raw.new_ones(1) * draw(st.sampled_from([0, 1])))


def test_effective_area_by_hand():
    maps = torch.tensor([[[1.0, 1], [1, 1]], [[0, 7], [7, 0]], [[0, 0], [0, 0]], [[2, 1], [1, 0]]])
    assert_close(effective_area(maps), torch.tensor([1, 0.5, 0, 16 / (4 * 6)]))
    assert_close(effective_area(maps * 1e-30), effective_area(maps))  # whose squares are no float32
    assert_close(effective_area(maps.double() * 1e200), effective_area(maps))


def test_sharpen_by_hand():
    L = torch.tensor([[[1.0, 0.5], [0.25, 0]], [[1, 0.5], [0.25, 0]]])
    assert_close(sharpen(L, 2), torch.tensor([[[1, 0.25], [0.0625, 0]]] * 2))
    assert_close(sharpen(L, torch.tensor([1, 0.5])), torch.stack([L[0], L[1].sqrt()]))
    assert torch.equal(sharpen(L, 1), L) and sharpen(L.double(), 2).dtype == torch.float64
    assert torch.equal(sharpen(L - 1e-7, 0.5)[:, 1, 1], torch.zeros(2))  # what resizing may add below 0 is no NaN


@quick
@given(some_maps(), st.floats(0.25, 8), st.floats(0.25, 8))
def test_a_larger_power_never_widens_a_map(maps, one, other):
    small, large = sorted((one, other))
    wide, narrow = (effective_area(sharpen(maps.double(), gamma)) for gamma in (small, large))
    assert (narrow <= wide * (1 + 1e-6)).all() and (wide <= 1).all()


@quick
@given(some_maps(), st.floats(0.26, 7.9))
def test_gamma_is_found_again(maps, gamma):
    maps = maps.double()
    assert_close(gamma_for_area(maps, effective_area(sharpen(maps, gamma))), torch.full((3,), gamma), rtol=1e-3, atol=1e-3)


@quick
@given(some_maps(), st.floats(0.02, 1))
def test_the_area_is_reached_or_cannot_be(maps, area):
    maps = maps.double()
    gamma = gamma_for_area(maps, area)
    for L, g in zip(maps, gamma, strict=True):
        if g.isnan():
            wide, narrow = (float(effective_area(sharpen(L[None], end))) for end in (0.25, 8))
            assert area > wide * (1 - 1e-6) or area < narrow * (1 + 1e-6)
        else:
            assert 0.2499 < g < 8.001
            assert_close(effective_area(sharpen(L[None], float(g))).item(), area, rtol=1e-4, atol=0)
    alone = torch.cat([gamma_for_area(L[None], area) for L in maps])
    assert torch.equal(alone.nan_to_num(-1), gamma.nan_to_num(-1))


def test_each_map_its_own_area_and_range():
    L = normalise(upsample(torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(0)), (20, 20))).repeat(3, 1, 1)
    areas = effective_area(torch.stack([sharpen(L[i:i + 1], g)[0] for i, g in enumerate((0.5, 2, 5))]))
    assert_close(gamma_for_area(L, areas), torch.tensor([0.5, 2, 5]), rtol=1e-3, atol=0)
    assert gamma_for_area(L, areas, low=1, high=3).isnan().tolist() == [True, False, True]
    assert gamma_for_area(torch.zeros(1, 4, 4), 0.5).isnan().all()  # a map of zeros has no area


def test_inputs_untouched():
    maps = torch.rand(2, 5, 5, requires_grad=True)
    before, state = maps.detach().clone(), torch.random.get_rng_state()
    found = (effective_area(maps), sharpen(maps, 2), gamma_for_area(maps, 0.5))
    assert not any(f.requires_grad for f in found) and all(f.dtype == torch.float32 for f in found)
    assert torch.equal(maps, before) and torch.equal(torch.random.get_rng_state(), state) and maps.grad is None


@pytest.mark.parametrize("function, options, error, says", [
    (effective_area, dict(maps=-torch.ones(1, 2, 2)), ValueError, "-1; accepted: L >= 0"),
    (effective_area, dict(maps=torch.ones(2, 2)), ValueError, r"\(2, 2\)"),
    (effective_area, dict(maps=torch.ones(1, 2, 2, dtype=torch.int32)), TypeError, "int32"),
    (sharpen, dict(maps=2 * torch.ones(1, 2, 2), gamma=2), ValueError, "2; accepted: 0 to 1"),
    (sharpen, dict(gamma=0), ValueError, "gamma 0 for 3 maps"), (sharpen, dict(gamma=float("nan")), ValueError, "nan"),
    (sharpen, dict(gamma=torch.ones(2)), ValueError, "one for each map"),
    (gamma_for_area, dict(area=0), ValueError, "area 0"), (gamma_for_area, dict(area=1.1), ValueError, "1.1"),
    (gamma_for_area, dict(area=torch.full((2,), 0.5)), ValueError, "one for each map"),
    (gamma_for_area, dict(area=0.5, low=2, high=1), ValueError, "gamma from 2 to 1"),
    (gamma_for_area, dict(area=0.5, low=0), ValueError, "0 < low"),
    (gamma_for_area, dict(maps=torch.full((1, 2, 2), torch.nan), area=0.5), ValueError, "NaN")])
def test_errors(function, options, error, says):
    with pytest.raises(error, match=says):
        function(**(dict(maps=torch.rand(3, 4, 4)) | options))
