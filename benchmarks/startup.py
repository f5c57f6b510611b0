"""What importing hpctrain costs, and what is loaded before it is needed."""

from __future__ import annotations

import subprocess
import sys
from statistics import median
from time import perf_counter

from report import print_result

REPEATS = 11
HEAVY = ("torch", "numpy", "mpi4py", "pydantic", "h5py", "matplotlib")


def main() -> None:
    bare_s = _wall_s(["-c", "pass"])
    # -X importtime would add its own cost: time the import inside the process instead.
    code = "from time import perf_counter as t; a=t(); import hpctrain; print(t()-a)"
    import_s = median(float(_output(["-c", code])) for _ in range(REPEATS))
    rows = [["import hpctrain", f"{import_s:.3f}", _loaded("import hpctrain")]]
    figures = {"import_s": round(import_s, 4), "bare_python_s": round(bare_s, 3)}
    for name, arguments in {
        "hpctrain --help": ["--help"],
        "hpctrain doctor --help": ["doctor", "--help"],
        "hpctrain train with a wrong setting": ["train", "demo/run.toml", "--set", "stop.steps=-1"],
    }.items():
        seconds = _wall_s(["-m", "hpctrain", *arguments]) - bare_s
        rows.append([name, f"{seconds:.3f}", _loaded_by(arguments)])
        figures[name] = round(seconds, 3)
    print_result(
        f"Start-up, median of {REPEATS}, over the {bare_s:.3f} s of a bare Python",
        ["what", "seconds", f"loads of {', '.join(HEAVY)}"],
        rows,
        figures,
    )


def _wall_s(arguments: list[str]) -> float:
    times = []
    for _ in range(REPEATS):
        began_s = perf_counter()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
        times.append(perf_counter() - began_s)
    return median(times)


def _output(arguments: list[str]) -> str:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, check=True, text=True
    ).stdout


def _loaded(code: str) -> str:
    listing = f"{code}\nimport sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    return _output(["-c", listing]).strip().splitlines()[-1]


def _loaded_by(arguments: list[str]) -> str:
    return _loaded(
        "from hpctrain.cli import main\n"
        f"try: main({arguments!r}, standalone_mode=True)\n"
        "except SystemExit: pass"
    )


if __name__ == "__main__":
    main()
