"""A torch model as fragments, and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hpctrain.workers.replica import Replica
from hpctrain.workers.rounds import Round


def network(dtype: torch.dtype = torch.float32) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_what_is_written_is_read_again(dtype: torch.dtype) -> None:
    replica = Replica(network(dtype))
    for fragment in replica.plan(num_workers=3):
        values = np.arange(fragment.numel, dtype=np.float32)  # whole numbers: exact in bfloat16
        replica.write(fragment, values)
        np.testing.assert_array_equal(replica.read(fragment), values)


def test_frozen_parameters_and_integer_buffers_stay_local() -> None:
    model = network()
    model[0].weight.requires_grad_(False)
    fragments = Replica(model).plan(num_workers=1)
    names = {tensor.name for fragment in fragments for tensor in fragment.tensors}
    assert names == {
        "0.bias", "1.weight", "1.bias", "2.weight", "2.bias", "1.running_mean", "1.running_var",
    }  # fmt: skip


def test_a_transposed_parameter_keeps_its_places() -> None:
    model = nn.Linear(3, 4)
    model.weight = nn.Parameter(torch.arange(12.0).reshape(3, 4).t())
    replica = Replica(model)
    (fragment,) = replica.plan(num_workers=1)
    before = model.weight.detach().clone()
    replica.write(fragment, replica.read(fragment))
    torch.testing.assert_close(model.weight.detach(), before, rtol=0, atol=0)


def test_missing_gradients_are_zeros() -> None:
    replica = Replica(nn.Linear(2, 2))
    (fragment,) = replica.plan(num_workers=1)
    np.testing.assert_array_equal(replica.read_gradients(fragment), np.zeros(6, np.float32))


def test_a_pseudo_gradient_of_a_bfloat16_model_holds_no_rounding_of_its_start() -> None:
    replica = Replica(nn.Linear(4, 4).to(torch.bfloat16))
    (fragment,) = replica.plan(num_workers=1)
    work = Round(replica, gradients=False, overlap=False)
    work.set_anchors([replica.read(fragment)])
    from hpctrain.training.messages import TrainRound

    start = np.full(fragment.numel, 1.001, np.float32)  # not a bfloat16
    work.begin(TrainRound(0, 1, 0, 0, {0: start}, ()))
    work.state.steps = 1
    assert not work.result().data[0].any()  # no step has changed anything
