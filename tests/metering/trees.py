"""Fake trees of sysfs for tests: plain files in the form that the kernel gives them."""

from pathlib import Path


def write(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{value}\n")
    return path


def zone(root: Path, number: str, name: str, energy_uj: int, range_uj: int = 262_143_328_850):
    """One RAPL zone, such as "intel-rapl:0"; its folder."""
    folder = root / "class" / "powercap" / number
    write(folder / "name", name)
    write(folder / "energy_uj", energy_uj)
    write(folder / "max_energy_range_uj", range_uj)
    return folder


def pm_counter(root: Path, name: str, text: str) -> Path:
    return write(root / "cray" / "pm_counters" / name, text)


def sensor(root: Path, chip: str, name: str, files: dict[str, object]) -> Path:
    """One chip of hwmon with its files."""
    folder = root / "class" / "hwmon" / chip
    write(folder / "name", name)
    for file, value in files.items():
        write(folder / file, value)
    return folder


def proc_stat(proc: Path, busy_ticks: int, idle_ticks: int, cores: int) -> None:
    lines = [f"cpu  {busy_ticks} 0 0 {idle_ticks} 0 0 0 0 0 0"]
    lines += [f"cpu{core} 0 0 0 0 0 0 0 0 0 0" for core in range(cores)]
    write(proc / "stat", "\n".join(lines))
