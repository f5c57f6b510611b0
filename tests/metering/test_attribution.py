import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.metering.account import HostEnergy, Used
from hpctrain.metering.attribution import HostUse, RankUse, attribute, split
from hpctrain.metering.reading import COMPONENTS, Device

S = 1_000_000_000


def host_energy(seconds: float = 10, **joules: int) -> HostEnergy:
    """Named by component and number, such as gpu_0=500."""
    used = (
        Used(
            Device(name, name.partition("_")[0], "counter"), amount * 1_000_000, round(seconds * S)
        )
        for name, amount in joules.items()
    )
    return HostEnergy(round(seconds * S), tuple(used))


def alone(cores: int = 4, busy_s: float = 0, **more) -> HostUse:
    return HostUse(round(busy_s * S), cores, exclusive=True, **more)


def test_a_gpu_is_its_owners_and_one_without_owner_nobodys():
    energy = host_energy(gpu_0=500, gpu_1=300, gpu_2=70)
    ranks = [RankUse(0, 0, 2), RankUse(1, 0, 2)]
    owners = {"gpu_0": (1,), "gpu_1": (0, 1)}
    result = attribute(energy, ranks, alone(owners=owners))
    assert result.ranks == {0: {"gpu": 150_000_000}, 1: {"gpu": 650_000_000}}
    assert result.unattributed == {"gpu": 70_000_000}


def test_dynamic_energy_goes_by_processor_time_and_that_of_others_to_nobody():
    energy = host_energy(package_0=1000)
    ranks = [RankUse(0, 6 * S, 2), RankUse(1, 2 * S, 2)]
    result = attribute(energy, ranks, alone(busy_s=10))
    assert [result.rank_uj(rank) for rank in (0, 1)] == [600_000_000, 200_000_000]
    assert result.unattributed == {"package": 200_000_000}


@pytest.mark.parametrize(
    ("rule", "shares_j"), [("cores", (300, 100)), ("ranks", (200, 200)), ("none", (0, 0))]
)
def test_idle_energy_goes_by_the_stated_rule(rule, shares_j):
    energy = host_energy(seconds=10, package_0=400)
    ranks = [RankUse(0, 0, 3), RankUse(1, 0, 1)]
    result = attribute(energy, ranks, alone(idle_w={"package_0": 40}), rule)
    assert tuple(result.rank_uj(rank) // 1_000_000 for rank in (0, 1)) == shares_j
    assert result.total_uj == 400_000_000


def test_on_a_shared_host_ranks_pay_the_idle_power_of_their_own_cores_only():
    energy = host_energy(seconds=10, package_0=400)
    shared = HostUse(0, 16, exclusive=False, idle_w={"package_0": 40})
    for rule in ("cores", "ranks"):
        result = attribute(energy, [RankUse(0, 0, 3), RankUse(1, 0, 1)], shared, rule)
        assert sum(result.unattributed.values()) == 300_000_000
        assert result.shared


def test_what_a_node_takes_beyond_its_parts_is_nobodys():
    energy = host_energy(node_0=1000, package_0=300, gpu_0=500)
    result = attribute(energy, [RankUse(3, S, 4)], alone(busy_s=1, owners={"gpu_0": (3,)}))
    assert result.ranks == {3: {"node": 0, "package": 300_000_000, "gpu": 500_000_000}}
    assert result.unattributed["node"] == 200_000_000


def test_a_node_that_alone_has_a_sensor_goes_by_load():
    result = attribute(host_energy(node_0=100), [RankUse(0, S, 1)], alone(busy_s=4))
    assert result.rank_uj(0) == 25_000_000


def test_parts_that_seem_to_take_more_than_the_whole_are_scaled_to_it():
    result = attribute(host_energy(node_0=90, package_0=100), [RankUse(0, S, 1)], alone(busy_s=1))
    assert result.rank_uj(0) == 90_000_000
    assert result.total_uj == 90_000_000


def test_a_rank_that_is_there_twice_is_refused():
    with pytest.raises(ValueError, match="twice"):
        attribute(host_energy(node_0=1), [RankUse(0, 0, 1), RankUse(0, 0, 1)], alone())


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**12), min_size=1, max_size=20))
def test_parts_of_a_split_add_up_and_are_in_proportion(total, weights):
    parts = split(total, weights)
    assert sum(parts) == total
    if sum(weights):
        exact = [total * weight / sum(weights) for weight in weights]
        assert all(abs(p - e) <= 1 + 1e-6 * e for p, e in zip(parts, exact, strict=True))


devices = st.lists(
    st.tuples(st.sampled_from(COMPONENTS), st.integers(0, 10**13)), min_size=1, max_size=8
)
uses = st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, 64)), min_size=0, max_size=6)


@given(
    devices, uses, st.integers(0, 10**13), st.booleans(),
    st.sampled_from(["cores", "ranks", "none"]), st.floats(0, 500), st.data(),
)  # fmt: skip
def test_ranks_and_unattributed_are_the_host_exactly(
    parts, taken, busy_ns, exclusive, rule, idle_w, data
):
    used = [Used(Device(f"{c}:{i}", c, "counter"), uj, S) for i, (c, uj) in enumerate(parts)]
    names = [u.device.name for u in used]
    energy = HostEnergy(60 * S, tuple(used))
    ranks = [RankUse(rank, cpu_ns, cores) for rank, (cpu_ns, cores) in enumerate(taken)]
    owner = st.lists(st.integers(0, 8), max_size=3)
    owners = {n: data.draw(owner) for n in names if n.startswith("gpu")}
    host = HostUse(busy_ns, 64, exclusive, dict.fromkeys(names, idle_w), owners)
    result = attribute(energy, ranks, host, rule)
    assert result.total_uj == energy.total_uj
    assert all(uj >= 0 for share in result.ranks.values() for uj in share.values())
    assert all(uj >= 0 for uj in result.unattributed.values())
