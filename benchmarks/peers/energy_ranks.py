"""One of several ranks: prints how long starting the meter takes.

Arguments: root of a fake sysfs, run directory.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from hpctrain.compose.clock import RunClock
from hpctrain.compose.metering import energy_used, start_metering
from hpctrain.compose.start import connect
from hpctrain.config import config_from_keywords
from hpctrain.storage.log import RankLog

root, run_dir = sys.argv[1:]
world, _ = connect()
energy = {"sysfs_root": root, "meter": "rapl"}
config = config_from_keywords(energy=energy, run_dir=run_dir)


class Pages:
    """A notebook over a real log."""

    def __init__(self) -> None:
        self._log = RankLog.create(Path(run_dir) / f"{world.rank}", {})
        self.note = self._log.append


run_id = world.share(f"cost-{time.monotonic_ns()}")
world.gather(None)
began_s = time.perf_counter()
meter = start_metering(config, world, run_id, Pages(), RunClock())
print(f"TOOK {time.perf_counter() - began_s}", flush=True)
energy_used(meter, world)
