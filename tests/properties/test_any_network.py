"""Any method on any small network gives a map in [0, 1] for every image, or an error that says what is accepted.

200 pairs of a network and a question for each method; `make fuzz` asks 2000. The counts are printed at the end (conftest).
"""

import os
import warnings
from collections import Counter

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import cases

from camutils import METHODS

EACH = int(os.environ.get("FUZZ", 200))
FUZZED = settings(max_examples=EACH, deadline=None, derandomize="FUZZ" not in os.environ, database=None,
                  suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("method", METHODS)
def test_a_map_or_a_clear_error(method, record_property):
    seen: Counter[str] = Counter()

    @FUZZED
    @given(st.data())
    def ask(data):
        case = data.draw(cases(method))
        before = {name: value.clone() for name, value in case.network.state_dict().items()}
        training, random = case.network.training, torch.get_rng_state()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                heat = case.ask()
            except (ValueError, TypeError) as error:
                assert "accepted" in str(error), str(error)
                seen["refused"] += 1
            else:
                B, _, H, W = case.images.shape
                assert heat.shape == (B, H, W) and heat.dtype == torch.float32
                assert heat.isfinite().all() and heat.min() >= 0 and heat.max() <= 1
                seen["maps"] += 1
        after = case.network.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before) and case.network.training == training
        assert all(p.grad is None for p in case.network.parameters()) and torch.equal(torch.get_rng_state(), random)

    ask()
    record_property("said", f"{method}: {seen['maps']} maps in [0, 1], {seen['refused']} clear errors")
    assert seen.total() >= min(EACH, 100) and seen["maps"] > seen["refused"]
