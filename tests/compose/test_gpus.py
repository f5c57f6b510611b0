"""Which GPU is whose, from what torch and the environment say."""

from types import SimpleNamespace

import pytest

from hpctrain.compose.gpus import (
    gpu_name,
    identity_of,
    local_rank_of,
    named_as,
    own_gpus,
    sharing_note,
    visible_gpus,
)
from hpctrain.metering.crew import Member
from hpctrain.metering.reading import Device
from hpctrain.runtime.alone import AloneWorld

DEVICES = (
    Device("rapl:0", "package", "counter"),
    Device("gpu:GPU-aaaa-1", "gpu", "counter"),
    Device("gpu:GPU-bbbb-2", "gpu", "counter"),
)


def test_the_cpu_has_none() -> None:
    assert own_gpus("cpu", {"CUDA_VISIBLE_DEVICES": "0"}) == ()


def test_torch_knows_the_uuid() -> None:
    assert gpu_name(SimpleNamespace(uuid="bbbb-2"), 0, {}) == "gpu:GPU-bbbb-2"


def test_without_it_the_environment_tells() -> None:
    older = SimpleNamespace()
    assert gpu_name(older, 1, {"CUDA_VISIBLE_DEVICES": "3,1"}) == "gpu#1"
    assert gpu_name(older, 1, {}) == "gpu#1"
    assert gpu_name(older, 0, {"CUDA_VISIBLE_DEVICES": "GPU-aa"}) == "gpu:GPU-aa"


def test_slices_of_gpus_and_nothing_are_nobodys() -> None:
    assert visible_gpus({}) == visible_gpus({"CUDA_VISIBLE_DEVICES": "MIG-1"}) == ()
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == ()


def test_names_become_those_of_the_sensors() -> None:
    member = Member(0, "h", 1, (0,), ("gpu#1", "gpu:GPU-aaaa", "gpu#7", "gpu:GPU-cc"))
    assert named_as(DEVICES, member).gpus == ("gpu:GPU-bbbb-2", "gpu:GPU-aaaa-1")


def test_a_gpu_is_known_by_its_uuid_or_its_place() -> None:
    placed = SimpleNamespace(pci_domain_id=0, pci_bus_id=0x81, pci_device_id=0)
    assert identity_of(SimpleNamespace(uuid="aaaa-1")) == "GPU-aaaa-1"
    assert identity_of(placed) == "PCI 00:81:00"
    nameless = SimpleNamespace(uuid="00000000-0000-0000-0000-000000000000", **vars(placed))
    assert identity_of(nameless) == "PCI 00:81:00"
    assert identity_of(SimpleNamespace()) is None


def test_ranks_that_share_a_gpu_are_told_once() -> None:
    note = sharing_note(["a", "b", "a", "b", "a"], ["x", "x", "x", "x", "y"])
    assert note.startswith("note: the ranks 0, 2 share one GPU (a of x), and 1 more GPUs are sha")
    assert "\n" not in note


def test_ranks_with_gpus_of_their_own_or_none_are_told_nothing() -> None:
    assert sharing_note(["a", "b"], ["x", "x"]) == ""
    assert sharing_note(["a", "a"], ["x", "y"]) == ""
    assert sharing_note([None, None], ["x", "x"]) == ""


class LastOfFour(AloneWorld):
    """As rank 3 of 4 sees it, two on each of two hosts."""

    rank, size = 3, 4

    def hosts(self) -> list[str]:
        return ["x", "y", "x", "y"]


def test_a_rank_counts_itself_where_the_launcher_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMIX_RANK", "3")
    assert local_rank_of(LastOfFour()) == 1
    assert local_rank_of(AloneWorld()) == 0
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.delenv("PMIX_RANK")
    monkeypatch.setenv("LOCAL_RANK", "5")
    assert local_rank_of(LastOfFour()) == 5
