"""Trains as `hpctrain train` does, on ranks that Slurm would have told their switches.

below_switches.py ADDRESS,ADDRESS,... PATTERN train run.toml ...
"""

import os
import sys

from hpctrain.cli import main
from hpctrain.cluster.launcher import read_launcher

addresses, pattern, *words = sys.argv[1:]
os.environ["SLURM_TOPOLOGY_ADDR"] = addresses.split(",")[read_launcher(os.environ).rank or 0]
os.environ["SLURM_TOPOLOGY_ADDR_PATTERN"] = pattern
main(words)
