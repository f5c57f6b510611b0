"""From settings to a method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpctrain.training.methods import Method, make_method
from hpctrain.training.rules.heloco import Correction

if TYPE_CHECKING:
    from hpctrain.config import RunConfig


def method_of(config: RunConfig) -> Method:
    """The training method that `config` asks for."""
    asked, heloco = config.method, config.method.heloco
    return make_method(
        asked.name,
        sync_every=asked.sync_every,
        outer_lr=asked.outer_lr,
        outer_momentum=asked.outer_momentum,
        overlap=asked.overlap,
        arrival_weight=asked.arrival_weight,
        dispatch_lookahead=asked.dispatch_lookahead,
        correction=Correction(
            c_ok=heloco.c_ok,
            k_s=heloco.k_s,
            beta_max=heloco.beta_max,
            k_d=heloco.k_d,
            kappa=heloco.kappa,
            eps=heloco.eps,
            lambda_mode=heloco.lambda_mode,
            c_bad=heloco.c_bad,
            weight_first=heloco.weight_first,
        ),
        corrected=heloco.correction,
        whole_fragment=heloco.scope == "whole",
    )


def num_fragments_of(config: RunConfig) -> int | None:
    """How many fragments to cut; a correction of the whole gradient needs it in one piece."""
    asked = config.method.num_fragments
    if asked != "auto":
        return asked
    whole = config.method.name == "heloco" and config.method.heloco.scope == "whole"
    return 1 if whole else None
