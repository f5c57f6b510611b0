"""Which GPU is whose, from what torch and the environment say."""

from types import SimpleNamespace

from hpctrain.compose.gpus import gpu_name, named_as, own_gpus, visible_gpus
from hpctrain.metering.crew import Member
from hpctrain.metering.reading import Device

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
