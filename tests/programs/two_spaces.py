"""A script that makes another space on every rank."""

import os
import sys

import hpctrain as ht

top = 1.0 + int(os.environ["OMPI_COMM_WORLD_RANK"])
ht.search(lambda candidate: 0.0, {"x": (0.0, top)}, stop=20, run_dir=sys.argv[1])
