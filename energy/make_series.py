"""Writes the two example series of energy/series: made up, from a fixed seed, for no real place.

    python energy/make_series.py            writes them anew; the same files every time

What they are made of is what real ones have: two peaks a day, cheap nights and week-ends, sunny
noons, spells of little wind that last for days, and a few hours with very high prices.
"""

from __future__ import annotations

import argparse
import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

SEED = 20250101
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
HOURS = 31 * 24
HERE = Path(__file__).parent / "series"
ORIGIN = "synthetic: energy/make_series.py"


def wind() -> np.ndarray:
    """The share of wind in the grid, 0 to 1, (HOURS,): it remembers about two days."""
    draws = np.random.Generator(np.random.PCG64(SEED)).normal(size=HOURS)
    level, memory = np.empty(HOURS), np.exp(-1 / 48)
    value = draws[0]
    for hour, draw in enumerate(draws):
        value = memory * value + np.sqrt(1 - memory**2) * draw
        level[hour] = value
    return 1 / (1 + np.exp(-1.2 * level))


def demand() -> np.ndarray:
    """Demand over its mean, (HOURS,): peaks in the morning and evening, less at week-ends."""
    hour = np.arange(HOURS) % 24
    day = np.array([(BEGIN + timedelta(hours=int(h))).weekday() for h in range(HOURS)])
    peaks = 0.22 * np.exp(-(((hour - 8) / 2.5) ** 2)) + 0.30 * np.exp(-(((hour - 18) / 2.5) ** 2))
    noon = -0.08 * np.exp(-(((hour - 12.5) / 2) ** 2))
    return (0.85 + peaks + noon) * np.where(day >= 5, 0.9, 1.0)


def prices() -> np.ndarray:
    """Euros per kWh, (HOURS,): steeply up when little is left over."""
    scarce = demand() - 0.45 * wind()
    return np.round(0.02 + 0.16 * scarce + 9 * np.maximum(0, scarce - 0.92) ** 1.5, 4)


def carbon() -> np.ndarray:
    """Grams of CO2 equivalent per kWh, (HOURS,): what wind does not cover is burnt."""
    return np.round(np.clip(620 * (demand() - 0.62 * wind()), 40, 750), 0)


def write(path: Path, column: str, values: np.ndarray) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("start_utc", column, "origin"))
        for hour, value in enumerate(values):
            start = BEGIN + timedelta(hours=hour)
            rows.writerow((start.strftime("%Y-%m-%dT%H:%M:%SZ"), f"{value:g}", ORIGIN))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=HERE, help="the folder to write into")
    to = parser.parse_args().to
    to.mkdir(parents=True, exist_ok=True)
    write(to / "tariff-synthetic-2025-01.csv", "eur_per_kwh", prices())
    write(to / "carbon-synthetic-2025-01.csv", "gco2_per_kwh", carbon())


if __name__ == "__main__":
    main()
