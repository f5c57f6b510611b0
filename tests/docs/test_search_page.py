"""What the page on search prints is what runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from hpctrain.compose.search_setup import space_of
from hpctrain.config import load_config
from hpctrain.searching.breeding.make import MAKERS
from hpctrain.searching.space import Space

PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def run(script: str, folder: Path) -> str:
    (folder / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder, capture_output=True, text=True, timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_script_runs_as_printed(tmp_path: Path) -> None:
    said = run(blocks("python")[0], tmp_path)
    found = re.search(r"\{'x': (\S+), 'y': (\S+)\} (\S+)", said)
    assert found is not None, said
    x, y, loss = map(float, found.groups())
    assert abs(x - 1.0) < 0.1
    assert abs(y) < 0.1
    assert loss < 0.01
    assert (tmp_path / "runs" / "first-search" / "run.h5").exists()


def test_asking_and_telling_runs_as_printed(tmp_path: Path) -> None:
    before = "import hpctrain as ht\ndef loss_of(x):\n    return x * x\n"
    said = run(before + blocks("python")[1] + "print(result.best.loss < 0.1)\n", tmp_path)
    assert "True" in said


def test_the_file_is_one_that_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "search.toml"
    path.write_text(blocks("toml")[0])
    config = load_config(path, search=True)
    assert space_of(config).names[0] == "task.options.lr"


def test_the_space_table_is_true() -> None:
    import hpctrain as ht

    rows = re.findall(r"^\| `(ht\..+?)` \| (?:`(.+?)`)? ?\| `(.+?)` \|", PAGE, re.MULTILINE)
    assert len(rows) == 7
    for python, short, toml in rows:
        if "..." in toml:
            continue
        exact = described(eval(python, {"ht": ht}))
        assert described(tomllib.loads(f"p = {toml}")["p"]) == exact
        if short:
            assert described(eval(short)) == exact


def described(parameter: Any) -> Any:
    return Space({"p": parameter, "q": (0.0, 1.0)}).describe()


def test_every_propagator_is_named() -> None:
    table = PAGE.partition("## Propagators")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z]+)`", "\n".join(re.findall(r"^\| (.+?) \|", table, re.M))))
    assert named - {"propagator"} == {*MAKERS, "propulate"}
