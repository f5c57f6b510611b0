"""The built-in text: honest splits of whole files, the same everywhere."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from hpctrain.workloads.text import (
    DOMAINS,
    HELD_OUT_SHARE,
    available_domains,
    read_domain,
    split_files,
    standard_library,
)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A made-up standard library, with the numbers domain only."""
    root = tmp_path / "test" / "lib"  # a parent's name must not matter
    (root / "zoneinfo" / "test").mkdir(parents=True)
    for index, name in enumerate(["random.py", "heapq.py", "calendar.py", "zoneinfo/_tz.py"]):
        (root / name).write_bytes(bytes([97 + index]) * 60_000)
    (root / "zoneinfo" / "test" / "test_tz.py").write_bytes(b"x" * 60_000)
    (root / "_pydecimal.py").write_bytes(b"e" * 400_000)
    return root


def test_every_python_has_all_domains_with_text_enough() -> None:
    assert available_domains() == tuple(DOMAINS)
    assert all(len(read_domain(domain)[0]) > 300_000 for domain in DOMAINS)


def test_no_file_is_in_two_domains_or_on_both_sides() -> None:
    sides = [set(side) for domain in DOMAINS for side in split_files(domain)]
    assert len(sides) == 2 * len(DOMAINS)
    assert all(a.isdisjoint(b) for a, b in combinations(sides, 2))


def test_the_bytes_are_those_of_the_files() -> None:
    for files, text in zip(split_files("numbers"), read_domain("numbers"), strict=True):
        assert text.dtype == np.uint8
        assert text.tobytes() == b"".join(path.read_bytes() for path in files)


def test_enough_is_held_out_of_every_domain_but_not_too_much() -> None:
    for domain in DOMAINS:
        train, held_out = read_domain(domain)
        share = len(held_out) / (len(train) + len(held_out))
        assert HELD_OUT_SHARE <= share <= HELD_OUT_SHARE + 0.25, domain


def test_the_split_depends_on_the_relative_paths_only(library: Path, tmp_path: Path) -> None:
    names = [path.relative_to(library).as_posix() for path in split_files("numbers", library)[1]]
    moved = tmp_path / "elsewhere"
    library.rename(moved)
    again = [path.relative_to(moved).as_posix() for path in split_files("numbers", moved)[1]]
    assert names == again
    assert len(names) == 2  # 12 % of 640,000 bytes are more than one of 60,000


def test_tests_and_very_large_files_are_not_held_out(library: Path) -> None:
    train, held_out = split_files("numbers", library)
    names = {path.name for path in (*train, *held_out)}
    assert "test_tz.py" not in names
    assert library / "_pydecimal.py" in train


def test_a_domain_without_files_is_not_available(library: Path) -> None:
    assert available_domains(library) == ("numbers",)
    assert available_domains(library / "absent") == ()


def test_the_standard_library_is_where_its_modules_are() -> None:
    assert (standard_library() / "random.py").is_file()
