"""A fake RAPL counter of known power, moved by a thread."""

import os
import threading
import time
from pathlib import Path

from tests.metering.trees import zone

WATTS = 200


class Burning:
    """A counter of constant (or rising) power below `root`, in the form of sysfs."""

    def __init__(self, root: Path, watts: float = WATTS, rise_w_per_s: float = 0.0) -> None:
        self._file = zone(root, "intel-rapl:0", "package-0", 0) / "energy_uj"
        self._descriptor = os.open(self._file, os.O_RDWR)
        self._watts = watts
        self._rise_w_per_s = rise_w_per_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._stop.set()
        self._thread.join()
        os.close(self._descriptor)

    def read_j(self) -> float:
        """What the counter says."""
        return int(self._file.read_text()) / 1e6

    def _run(self):
        began_s = time.monotonic()
        while not self._stop.wait(0.002):
            now_s = time.monotonic() - began_s
            used_uj = round((self._watts + self._rise_w_per_s / 2 * now_s) * now_s * 1e6)
            os.pwrite(self._descriptor, f"{used_uj:020d}\n".encode(), 0)
