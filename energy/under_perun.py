"""Runs a command of hpctrain under perun, which loses its results if a program calls `sys.exit`.

mpirun -n 2 perun -c energy/perun.ini monitor energy/under_perun.py train run.toml
"""

import sys

from hpctrain.cli import main

if __name__ == "__main__":
    code = 0
    try:
        main(sys.argv[1:], prog_name="hpctrain")
    except SystemExit as end:
        code = end.code
    if code:  # perun then keeps what it has as a failed run, and ends with 1
        raise RuntimeError(f"hpctrain ended with exit code {code}")
