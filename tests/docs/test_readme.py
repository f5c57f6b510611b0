"""What the documents say can be done: scripts run, links lead somewhere, commands exist."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpctrain.cli import main
from hpctrain.config import build_config

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ADDED = "# <- added"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
TIMEOUT_S = 120  # a few seconds on an idle core


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def shell_lines(text: str) -> Iterator[str]:
    """Lines of indented blocks, and code within lines, that call hpctrain."""
    for line in text.splitlines():
        found = re.findall(r"`([^`]+)`", line) if not line.startswith("    ") else [line.strip()]
        yield from (code for code in found if re.search(r"(^|\s)hpctrain [a-z-]", code))


def test_the_script_of_the_readme_runs_as_printed(tmp_path: Path) -> None:
    script = blocks(README, "python")[0]
    (tmp_path / "digits.py").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "digits.py"],
        cwd=tmp_path,
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    assert "256 inner steps by 1 worker with heloco" in done.stdout
    assert (tmp_path / "runs/digits/final.pt").exists()


def test_the_script_of_the_readme_has_at_most_five_lines_of_ours() -> None:
    script = blocks(README, "python")[0]
    lines = script.splitlines()
    added = [line for line in lines if ADDED in line]
    others = [line for line in lines if ADDED not in line]
    assert 0 < len(added) <= 5
    assert not [line for line in others if re.search(r"\bht\b|\brun\.", line)]


@pytest.mark.parametrize("name", NAMES)
def test_settings_in_documents_are_allowed(name: str) -> None:
    for block in blocks((ROOT / name).read_text(encoding="utf-8"), "toml"):
        build_config(tomllib.loads(block), name)


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), f"{name} links to {target}"
        if anchor:
            assert anchor in anchors(found), f"{name} links to {target}"


@pytest.mark.parametrize("name", NAMES)
def test_commands_exist(name: str) -> None:
    for line in shell_lines((ROOT / name).read_text(encoding="utf-8")):
        for command in re.findall(r"(?:^|\s)hpctrain ([a-z][a-z-]*)", line):
            assert command in main.commands, f"{name}: {line}"


@pytest.mark.parametrize("name", NAMES)
def test_options_exist(name: str) -> None:
    for line in shell_lines((ROOT / name).read_text(encoding="utf-8")):
        for command, rest in re.findall(r"hpctrain (train|simulate|replay|show|doctor)(.*)", line):
            known = {
                option for parameter in main.commands[command].params for option in parameter.opts
            }
            asked = re.findall(r"\s(--[a-z-]+)", rest.partition("#")[0])
            assert set(asked) <= known | {"--help"}, f"{name}: {line}"


@pytest.mark.parametrize("name", NAMES)
def test_lines_are_not_too_long(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    long = [number for number, line in enumerate(lines, 1) if len(line) > 100]
    generated = name == str(Path("docs", "run-store.md"))  # its tables come from the schema
    assert generated or not long


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
