import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpctrain.errors import MeteringError
from hpctrain.metering.cray import find_cray
from hpctrain.metering.discovery import find_sources
from hpctrain.metering.hwmon import find_hwmon
from hpctrain.metering.model import ModelSource, Profile, read_profile
from hpctrain.metering.nvml import find_nvml
from hpctrain.metering.powercap import find_powercap
from hpctrain.metering.reading import Device, NullSource, Reading
from hpctrain.metering.replay import load_recording, save_recording
from tests.metering.trees import pm_counter, proc_stat, sensor, write, zone


def values(source) -> dict[str, int | None]:
    return {d.name: r.value for d, r in zip(source.devices, source.read(), strict=True)}


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Without root's right to read everything, if the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.chown(folder, 65534, -1)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


class TestPowercap:
    def test_packages_and_memory_are_read_but_nothing_inside_or_around_them(self, tmp_path):
        zone(tmp_path, "intel-rapl:0", "package-0", 111)
        zone(tmp_path, "intel-rapl:0:0", "core", 50)
        zone(tmp_path, "intel-rapl:0:1", "uncore", 20)
        zone(tmp_path, "intel-rapl:0:2", "dram", 30)
        zone(tmp_path, "intel-rapl:1", "psys", 999)
        source = find_powercap(tmp_path).source
        assert source is not None
        assert values(source) == {"rapl:0:package-0": 111, "rapl:0:2:dram": 30}
        assert [d.wraps_at_uj for d in source.devices] == [262_143_328_850] * 2
        source.close()
        source.close()

    def test_a_counter_that_moves_is_read_anew(self, tmp_path):
        folder = zone(tmp_path, "intel-rapl:0", "package-0", 111)
        source = find_powercap(tmp_path).source
        assert source is not None
        write(folder / "energy_uj", 222)
        assert values(source) == {"rapl:0:package-0": 222}

    def test_a_failed_reading_is_missing_and_zero_is_zero(self, tmp_path):
        folder = zone(tmp_path, "intel-rapl:0", "package-0", 0)
        source = find_powercap(tmp_path).source
        assert source is not None
        assert values(source) == {"rapl:0:package-0": 0}
        write(folder / "energy_uj", "")
        assert values(source) == {"rapl:0:package-0": None}

    def test_mirrored_counters_are_counted_once(self, tmp_path):
        zone(tmp_path, "intel-rapl:0", "package-0-die-0", 5_000_017)
        zone(tmp_path, "intel-rapl:1", "package-0-die-1", 5_000_017)
        zone(tmp_path, "intel-rapl:2", "package-1-die-0", 7_000_000)
        finding = find_powercap(tmp_path)
        assert finding.source is not None
        names = [device.name for device in finding.source.devices]
        assert names == ["rapl:0:package-0-die-0", "rapl:2:package-1-die-0"]
        assert "shows the counter of rapl:0:package-0-die-0" in finding.notes[0]

    def test_two_counters_at_zero_are_two(self, tmp_path):
        zone(tmp_path, "intel-rapl:0", "package-0", 0)
        zone(tmp_path, "intel-rapl:1", "package-1", 0)
        source = find_powercap(tmp_path).source
        assert source is not None
        assert len(source.devices) == 2

    def test_a_package_behind_two_interfaces_is_counted_once(self, tmp_path):
        zone(tmp_path, "intel-rapl:0", "package-0", 111)
        zone(tmp_path, "intel-rapl-mmio:0", "package-0", 112)
        source = find_powercap(tmp_path).source
        assert source is not None
        assert values(source) == {"rapl:0:package-0": 111}

    def test_closed_counters_come_with_the_way_to_open_them(self):
        with tempfile.TemporaryDirectory() as name, as_nobody(Path(name)):
            root = Path(name)
            zone(root, "intel-rapl:0", "package-0", 1).joinpath("energy_uj").chmod(0)
            finding = find_powercap(root)
        assert finding.source is None
        assert "chmod a+r" in finding.notes[0]


class TestCray:
    def test_joules_become_microjoules_in_old_and_new_form(self, tmp_path):
        pm_counter(tmp_path, "energy", "1234 J")
        pm_counter(tmp_path, "cpu_energy", "200 J 1731000000000000 us")
        pm_counter(tmp_path, "accel0_energy", "300 J")
        pm_counter(tmp_path, "power", "90 W")
        pm_counter(tmp_path, "freshness", "1")
        source = find_cray(tmp_path).source
        assert source is not None
        assert values(source) == {
            "pm:accel0_energy": 300_000_000,
            "pm:cpu_energy": 200_000_000,
            "pm:energy": 1_234_000_000,
        }
        assert [d.component for d in source.devices] == ["gpu", "package", "node"]

    def test_counters_that_are_no_longer_updated_give_no_readings(self, tmp_path):
        pm_counter(tmp_path, "energy", "1234 J")
        pm_counter(tmp_path, "freshness", "1")
        now_ns = 0
        source = find_cray(tmp_path, lambda: now_ns).source
        assert source is not None
        assert source.read()[0].value == 1_234_000_000
        now_ns = 1_900_000_000
        assert source.read()[0].value == 1_234_000_000
        now_ns = 2_100_000_000
        assert source.read()[0].value is None
        pm_counter(tmp_path, "freshness", "2")
        assert source.read()[0].value == 1_234_000_000

    def test_nonsense_is_missing(self, tmp_path):
        path = pm_counter(tmp_path, "energy", "1234 J")
        source = find_cray(tmp_path).source
        assert source is not None
        write(path, "n/a")
        assert source.read()[0].value is None


class TestHwmon:
    def test_grace_superchips_give_module_and_processor_not_the_rails(self, tmp_path):
        labels = ["Module Power Socket 0", "Grace Power Socket 0", "CPU Power Socket 0"]
        for chip, label in enumerate(labels):
            files = {"device/power1_average": 100_000_000 + chip, "device/power1_oem_info": label}
            sensor(tmp_path, f"hwmon{chip}", "power_meter", files)
        finding = find_hwmon(tmp_path)
        assert finding.source is not None
        components = [(d.component, d.kind) for d in finding.source.devices]
        assert components == [("module", "power"), ("package", "power")]
        assert [r.value for r in finding.source.read()] == [100_000_000, 100_000_001]
        assert "CPU Power Socket 0: not a part that is counted" in finding.notes[0]

    def test_sockets_of_amd_are_counters_and_cores_are_left_out(self, tmp_path):
        files = {
            "energy1_input": 10, "energy1_label": "Ecore000",
            "energy2_input": 77, "energy2_label": "Esocket0",
        }  # fmt: skip
        sensor(tmp_path, "hwmon0", "amd_energy", files)
        source = find_hwmon(tmp_path).source
        assert source is not None
        assert [(d.kind, d.component) for d in source.devices] == [("counter", "package")]
        assert source.read()[0].value == 77

    def test_a_meter_of_unknown_meaning_is_named_and_left_out(self, tmp_path):
        sensor(tmp_path, "hwmon0", "ina3221", {"power1_input": 5})
        finding = find_hwmon(tmp_path)
        assert finding.source is None
        assert finding.notes == ("hwmon ina3221 power1_input: not a part that is counted",)


class NvmlError(Exception):
    pass


def library(energy_mj: dict[int, int], power_mw: dict[int, int]) -> SimpleNamespace:
    """The few functions of pynvml that are used, over two tables."""

    def look_up(table):
        def function(handle):
            if handle not in table:
                raise NvmlError("Not Supported")
            return table[handle]

        return function

    return SimpleNamespace(
        NVMLError=NvmlError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 3,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetUUID=lambda handle: f"GPU-{handle}",
        nvmlDeviceGetTotalEnergyConsumption=look_up(energy_mj),
        nvmlDeviceGetPowerUsage=look_up(power_mw),
    )


class TestNvml:
    def test_the_energy_counter_goes_before_power_and_neither_is_named(self, monkeypatch):
        energy = {0: 5000}
        monkeypatch.setitem(sys.modules, "pynvml", library(energy, {0: 70_000, 1: 80_000}))
        finding = find_nvml()
        assert finding.source is not None
        assert [(d.name, d.kind) for d in finding.source.devices] == [
            ("gpu:GPU-0", "counter"),
            ("gpu:GPU-1", "power"),
        ]
        assert [r.value for r in finding.source.read()] == [5_000_000, 80_000_000]
        assert finding.notes == ("GPU 2 tells neither energy nor power: Not Supported",)
        energy.clear()
        assert finding.source.read()[0].value is None

    def test_without_pynvml_there_are_no_devices(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "pynvml", None)
        finding = find_nvml()
        assert finding.source is None
        assert "hpctrain[nvml]" in finding.notes[0]


class TestModel:
    def test_energy_is_idle_power_and_a_share_of_the_rest(self, tmp_path):
        profile = Profile("box", idle_w=100, full_w=300, low=0.7, high=1.3)
        proc_stat(tmp_path, busy_ticks=0, idle_ticks=0, cores=4)
        now_ns = 0
        source = ModelSource(profile, tmp_path, lambda: now_ns)
        assert source.read()[0].value == 0
        ticks = 10 * os.sysconf("SC_CLK_TCK")  # 10 s on one of 4 cores
        proc_stat(tmp_path, busy_ticks=ticks, idle_ticks=7, cores=4)
        now_ns = 10_000_000_000
        assert source.read()[0].value == (100 * 10 + 200 * 10 // 4) * 1_000_000
        assert source.devices[0].quality == "estimate"
        assert (source.devices[0].low, source.devices[0].high) == (0.7, 1.3)

    def test_without_a_load_there_is_no_estimate(self, tmp_path):
        source = ModelSource(Profile("box", 1, 2, 1, 1), tmp_path)
        assert source.read()[0].value is None

    def test_profiles_are_read_and_checked(self, tmp_path):
        path = tmp_path / "box.toml"
        path.write_text('name = "box"\nidle_w = 90\nfull_w = 350.5\nlow = 0.8\nhigh = 1.2\n')
        assert read_profile(path) == Profile("box", 90, 350.5, 0.8, 1.2)
        path.write_text('name = "box"\nidle_w = 90\n')
        with pytest.raises(MeteringError, match="needs"):
            read_profile(path)
        with pytest.raises(MeteringError, match="idle_w <= full_w"):
            Profile("box", 10, 5, 1, 1)


def test_a_recording_is_replayed_reading_by_reading(tmp_path: Path):
    device = Device("rapl:0", "package", "counter", wraps_at_uj=1000)
    looks = [[Reading(1, 10)], [Reading(2, None)], [Reading(3, 30)]]
    save_recording(tmp_path / "r.jsonl", [device], looks)
    source = load_recording(tmp_path / "r.jsonl")
    assert source.devices == (device,)
    assert [source.read()[0] for _ in range(4)] == [*(look[0] for look in looks), Reading(3, None)]


def test_a_broken_recording_is_refused_with_its_line(tmp_path: Path):
    save_recording(tmp_path / "r.jsonl", [Device("a", "gpu", "power")], [[Reading(1, 1)]])
    with (tmp_path / "r.jsonl").open("a") as file:
        file.write("[[1, 2], [3, 4]]\n")
    with pytest.raises(MeteringError, match="line 3: 2 readings of 1 devices"):
        load_recording(tmp_path / "r.jsonl")


class TestDiscovery:
    def test_each_component_comes_from_the_best_source_only(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pynvml", library({0: 1, 1: 2, 2: 3}, {}))
        pm_counter(tmp_path, "energy", "9 J")
        pm_counter(tmp_path, "cpu_energy", "4 J")
        zone(tmp_path, "intel-rapl:0", "package-0", 111)
        zone(tmp_path, "intel-rapl:0:0", "dram", 30)
        found = find_sources(tmp_path)
        assert [source.name for source in found.sources] == ["pm_counters", "rapl", "nvml"]
        components = [device.component for device in found.devices]
        assert sorted(components) == ["dram", "gpu", "gpu", "gpu", "node", "package"]
        assert "rapl: package is taken from pm_counters" in found.notes
        assert values(found.sources[1]) == {"rapl:0:0:dram": 30}

    def test_a_model_stands_in_only_where_no_sensor_is(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pynvml", None)
        profile = Profile("box", 100, 300, 0.7, 1.3)
        found = find_sources(tmp_path, profile=profile)
        assert [device.quality for device in found.devices] == ["estimate"]
        zone(tmp_path, "intel-rapl:0", "package-0", 111)
        found = find_sources(tmp_path, profile=profile)
        assert [device.quality for device in found.devices] == ["measured"]

    def test_nothing_is_found_and_every_reason_is_said(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pynvml", None)
        found = find_sources(tmp_path)
        assert found.sources == ()
        said = " ".join(found.notes)
        assert all(n in said for n in ("pm_counters", "rapl", "nvml", "hwmon", "profile"))
        assert find_sources(tmp_path, meter="off").sources == ()
        assert NullSource().read() == ()

    def test_one_kind_can_be_asked_for(self, tmp_path):
        pm_counter(tmp_path, "energy", "9 J")
        zone(tmp_path, "intel-rapl:0", "package-0", 111)
        found = find_sources(tmp_path, meter="rapl")
        assert [device.name for device in found.devices] == ["rapl:0:package-0"]
