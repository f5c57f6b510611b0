"""The end of a script that perun runs: a run has to end before perun collects its results.

`perun monitor script.py` runs the script inside its own process, and gathers the results of all
ranks when the script has ended; the interpreter, and with it what is registered by `atexit`, ends
only after that. A run that would be ended at exit keeps the other ranks waiting for this one, while
this one waits for them in perun's gather. So the end is hooked in where perun clears up after the
script, before it stops its clock.
"""

from __future__ import annotations

import sys
from collections.abc import Callable


def when_script_ends(end: Callable[[], None]) -> bool:
    """Call `end` when the script that perun runs has ended without an error.

    Returns:
        Whether perun runs this script; if not, nothing is done.
    """
    core = sys.modules.get("perun.core")
    if core is None:
        return False
    try:
        monitor = core.Perun.getInstance()._monitor
    except (KeyError, ValueError):  # perun is imported, and runs nothing
        return False
    app = getattr(monitor, "_app", None)
    if app is None:
        return False
    clear_up = app._cleanup

    def end_and_clear_up() -> None:
        app._cleanup = clear_up  # a second round of perun's hooks in for itself
        end()
        clear_up()

    app._cleanup = end_and_clear_up
    return True
