"""Settings of `[method]` that mean nothing with the method that is chosen, or not together.

As in `rules.py`, a rule yields `(key, text)` for what cannot work. Keys are refused only where they
differ from their default, so that settings that were written out in full can be read again.
"""

from collections.abc import Callable, Iterator

from hpctrain.config.explain import shown
from hpctrain.config.method import BUFFERED, MethodConfig
from hpctrain.config.models import RunConfig

Problem = tuple[str, str]
Meaning = tuple[str, Callable[[MethodConfig], bool], str]

UNMEASURED = 'method.name = "heloco" or another method with local_steps = "fixed"'
WAY_OUT = "leave it out, or use an asynchronous method (heloco, mla, async_nesterov)"

# Key, whether it has a meaning, and what it would need.
_MEANINGS: tuple[Meaning, ...] = (
    ("buffer_size", lambda m: m.name in BUFFERED, 'name = "delayed_nesterov" or "fedbuff"'),
    ("momentum_share", lambda m: m.name == "delayed_nesterov", 'name = "delayed_nesterov"'),
    ("co2", lambda m: m.name == "co2", 'name = "co2"'),
    ("age_adam", lambda m: m.name == "age_adam", 'name = "age_adam"'),
    ("outer_momentum", lambda m: m.name != "async_sgd", 'name = "async_nesterov"'),
    (
        "dispatch_lookahead",
        lambda m: m.is_synchronous or m.name in ("heloco", "mla"),
        'name = "heloco" or "mla"',
    ),
    ("diagnostics", lambda m: m.name == "heloco", 'name = "heloco"'),
    ("mean", lambda m: m.name == "galoco", 'name = "galoco"'),
    ("quorum", lambda m: m.name in ("diloco", "rda"), 'name = "diloco" or "rda"'),
    (
        "grace_s",
        lambda m: not m.is_synchronous or m.quorum is not None,
        "an asynchronous method, or a quorum",
    ),
    (
        "group",
        lambda m: m.grace_s != 0 and not m.is_synchronous and m.name not in BUFFERED,
        "grace_s above 0 with an asynchronous method that has no buffer",
    ),
    ("local_steps", lambda m: m.name != "ddp", "a method with rounds of several steps"),
    (
        "min_steps",
        lambda m: m.local_steps in ("dylu", "groups"),
        'local_steps = "dylu" or "groups"',
    ),
    ("local_steps_mean", lambda m: m.local_steps == "dylu", 'local_steps = "dylu"'),
    ("speed_reference", lambda m: m.local_steps == "dylu", 'local_steps = "dylu"'),
    (
        "staleness_power",
        lambda m: m.arrival_weight == "polynomial",
        'arrival_weight = "polynomial"',
    ),
    (
        "token_power",
        lambda m: m.arrival_weight == "token_weighted",
        'arrival_weight = "token_weighted"',
    ),
    (
        "weight_cap",
        lambda m: m.arrival_weight in ("rate_corrected", "token_weighted"),
        'arrival_weight = "rate_corrected" or "token_weighted"',
    ),
    ("shares", lambda m: m.arrival_weight == "rate_corrected", 'arrival_weight = "rate_corrected"'),
)


def method_problems(config: RunConfig) -> Iterator[Problem]:
    """Everything in `[method]` that does not go together."""
    for rule in _RULES:
        yield from rule(config)


def _heloco_section(config: RunConfig) -> Iterator[Problem]:
    method = config.method
    if "heloco" in method.model_fields_set and method.name != "heloco":
        yield (
            "method.heloco",
            f'has no meaning with method.name = "{method.name}"; leave it out or use "heloco"',
        )
    if method.heloco.c_bad > method.heloco.c_ok:
        yield (
            "method.heloco.c_bad",
            f"{method.heloco.c_bad} is not allowed; give at most c_ok, {method.heloco.c_ok}",
        )
    whole = method.name == "heloco" and method.heloco.scope == "whole"
    if whole and method.num_fragments not in ("auto", 1):
        yield (
            "method.num_fragments",
            f'{method.num_fragments} is not allowed with heloco.scope = "whole", which takes one'
            " decision for the whole model; leave one of them out",
        )


def _ddp(config: RunConfig) -> Iterator[Problem]:
    method = config.method
    if method.name != "ddp":
        return
    if method.sync_every != 1:
        yield (
            "method.sync_every",
            f"{method.sync_every} is not allowed with ddp, which averages the gradients of every"
            ' step; leave it out, or use name = "diloco"',
        )
    for key, neutral in (("outer_lr", 1.0), ("outer_momentum", 0.0), ("num_fragments", "auto")):
        value = getattr(method, key)
        if value != neutral:
            yield f"method.{key}", f"{shown(value)} has no meaning with ddp; leave it out"


def _needs_asynchronous(config: RunConfig) -> Iterator[Problem]:
    method = config.method
    if not method.is_synchronous:
        return
    if method.overlap:
        yield "method.overlap", f"true is not allowed with {method.name}; {WAY_OUT}"
    if method.dispatch_lookahead:
        yield "method.dispatch_lookahead", f"true is not allowed with {method.name}; {WAY_OUT}"
    if method.local_steps in ("groups", "clock"):
        yield (
            "method.local_steps",
            f'"{method.local_steps}" is not allowed with {method.name}; {WAY_OUT}',
        )
    allowed = ("base",) if method.name == "ddp" else ("base", "token_weighted")
    if method.arrival_weight not in allowed:
        yield (
            "method.arrival_weight",
            f'"{method.arrival_weight}" has no meaning with {method.name}, where nothing arrives'
            f" late; {WAY_OUT}",
        )


def _means_nothing(config: RunConfig) -> Iterator[Problem]:
    method = config.method
    for key, has_meaning, needed in _MEANINGS:
        value = getattr(method, key)
        if value == method.default(key) or has_meaning(method):
            continue
        what = "" if key in ("co2", "age_adam") else f"{_shown(value)} "
        yield (
            f"method.{key}",
            f'{what}has no meaning with method.name = "{method.name}" as it is set; leave it out:'
            f" it needs {needed}",
        )


def _shown(value: object) -> str:
    return shown(list(value)) if isinstance(value, tuple) else shown(value)


def _measured(config: RunConfig) -> Iterator[Problem]:
    """Measured speeds, and islands that a full recording does not hold, cannot be repeated."""
    method, runtime = config.method, config.runtime
    measured = method.local_steps != "fixed"
    if measured and runtime.record == "order":
        yield (
            "method.local_steps",
            f'"{method.local_steps}" is not allowed with runtime.record = "order": measured speeds'
            f' cannot be repeated; record "full", or use {UNMEASURED}',
        )
    elif measured and runtime.follow is not None:
        yield (
            "method.local_steps",
            f'"{method.local_steps}" is not allowed with runtime.follow: measured speeds cannot be'
            f" repeated; leave that out, or use {UNMEASURED}",
        )
    if method.shares and runtime.record == "full":
        yield (
            "method.shares",
            'are not allowed with runtime.record = "full", which does not hold the islands; record'
            ' "order"',
        )


def _clock(config: RunConfig) -> Iterator[Problem]:
    """Rounds that end by time are cut short, and go on while what was learned is under way."""
    method = config.method
    if method.local_steps == "clock" and not method.overlap and not method.is_synchronous:
        yield (
            "method.local_steps",
            '"clock" needs method.overlap = true; set that, or use local_steps = "dylu"',
        )
    if method.grace_s == "auto" and method.local_steps == "fixed":
        yield (
            "method.grace_s",
            '"auto" needs measured speeds; give seconds, or local_steps = "clock" or "dylu"',
        )


def _weights_of_parts(config: RunConfig) -> Iterator[Problem]:
    weight = config.method.arrival_weight
    if config.method.name == "galoco" and weight not in ("base", "token_weighted"):
        yield (
            "method.arrival_weight",
            f'"{weight}" has no meaning with galoco, where a group weighs by its part of all; leave'
            ' it out, or use "token_weighted" for the mean of a group',
        )


def _domains(config: RunConfig) -> Iterator[Problem]:
    if config.method.domains == "bound":
        return
    if config.topology.data != "own":
        yield (
            "method.domains",
            '"least_visited" needs topology.data = "own": there are no domains to change otherwise',
        )
    if config.method.name == "ddp":
        yield "method.domains", '"least_visited" is not allowed with ddp, which has no rounds'
    if config.runtime.record == "full":
        yield (
            "method.domains",
            '"least_visited" is not allowed with runtime.record = "full", which does not hold the'
            ' domains; record "order"',
        )


def _min_steps(config: RunConfig) -> Iterator[Problem]:
    method = config.method
    if method.min_steps != "auto" and method.min_steps > method.sync_every:
        yield (
            "method.min_steps",
            f"{method.min_steps} is not allowed; give at most sync_every, {method.sync_every}",
        )


def _guard(config: RunConfig) -> Iterator[Problem]:
    factor = config.method.guard_factor
    if 0 < factor <= 1:
        yield (
            "method.guard_factor",
            f"{factor} is not allowed: it refuses what is as long as usual; give more than 1, or 0"
            " for no guard",
        )


_RULES: tuple[Callable[[RunConfig], Iterator[Problem]], ...] = (
    _heloco_section,
    _ddp,
    _needs_asynchronous,
    _means_nothing,
    _measured,
    _clock,
    _weights_of_parts,
    _domains,
    _min_steps,
    _guard,
)
