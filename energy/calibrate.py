"""Measures what this host takes when idle and at full load: `hpctrain energy calibrate`.

python energy/calibrate.py --name box --output box.toml
"""

import sys

from hpctrain.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["energy", "calibrate"]
    main()
