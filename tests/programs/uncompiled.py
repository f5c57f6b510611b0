"""torch loads its compiler when the first optimizer is made: two seconds of every rank of a test.

A program of the tests whose ranks compile nothing calls `leave_out` first, and starts without it.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import torch


def leave_out() -> None:
    """Put a module in its place that has what optimizers ask of it."""
    if "torch._dynamo" in sys.modules:
        return
    empty: Any = ModuleType("torch._dynamo")
    empty.disable = lambda function, *args, **kwargs: function
    empty.graph_break = lambda *args, **kwargs: None
    sys.modules["torch._dynamo"] = empty
    setattr(torch, "_dynamo", empty)  # noqa: B010  (mypy knows the real one)
