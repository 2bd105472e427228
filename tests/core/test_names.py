"""How layers are spelled."""

import pytest
import torch

from camutils.core.names import function_name, split_name


@pytest.mark.parametrize("spelled, parts", [
    ("conv2", ("conv2", None, ())), ("conv2[0]", ("conv2", 0, ())), ("conv2[12]:relu", ("conv2", 12, ("relu",))),
    ("conv2:add:relu", ("conv2", None, ("add", "relu"))), ("odd[x]", ("odd[x]", None, ()))])
def test_a_name_in_parts(spelled, parts):
    assert split_name(spelled) == parts


@pytest.mark.parametrize("name", ["add", "sub", "mul"])
def test_every_way_to_write_an_operation_has_one_name(name):
    for spelled in (name, f"{name}_", f"__{name}__", f"__i{name}__", f"__r{name}__"):
        assert function_name(getattr(torch.Tensor, spelled)) == name
    assert function_name(torch.isinf) == "isinf" and function_name(torch.relu_) == "relu"
