"""Every kind of row and every column that hpctrain writes, in one table.

Docs and files are made from it. A kind or column that is not here is stored too: it only has no
unit and no description. A missing value is NaN, -1 or an empty text.
"""

from dataclasses import dataclass
from typing import Literal

Dtype = Literal["f8", "i8", "i1", "str"]

MISSING: dict[str, float | int | str] = {"f8": float("nan"), "i8": -1, "i1": -1, "str": ""}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of one kind. `i1` is a flag: 0, 1, or -1 where it is missing."""

    kind: str
    name: str
    dtype: Dtype
    unit: str
    description: str


KINDS: dict[str, str] = {
    "round": "one training round of a worker: local steps, then an exchange (0 steps: the end)",
    "outer_update": "one push of a worker, as applied or refused at the fragment's home",
    "correction": "what HeLoCo did to one tensor of a push (with method.diagnostics)",
    "evaluation": "one evaluation of a model on one domain of held-out data",
    "report": "one number that the user's script reported",
    "report_text": "one text that the user's script reported",
    "home": "the outcome of one fragment of the outer parameters",
    "candidate": "one candidate of a search; every parameter has a column `param.NAME`",
    "candidate_value": "one value that a candidate reported on the way",
    "search_worker": "what one worker had done by the end of (a part of) a search",
    "event": "something that happened to the run",
    "phase": "one interval of a rank's time (reserved)",
    "energy_sample": "what one device of a host used between two looks at its sensor",
    "energy": "the ledger: what a rank (or a host) used in a phase, a candidate, a region",
}

_ROWS: dict[str, tuple[tuple[str, Dtype, str, str], ...]] = {
    "round": (
        ("time_s", "f8", "s", "end of the round, since the start of the run"),
        ("worker", "i8", "", "worker that trained"),
        ("island", "i8", "", "island of that worker"),
        ("round", "i8", "", "number of the round on this worker, from 0"),
        ("steps", "i8", "", "inner steps in this round"),
        ("tokens", "i8", "", "tokens (or samples) in this round"),
        ("loss_mean", "f8", "", "mean training loss over the steps of this round"),
        (
            "base_version_min",
            "i8",
            "",
            "lowest version of any fragment that the round started from",
        ),
        ("compute_s", "f8", "s", "time in inner steps"),
        ("exchange_s", "f8", "s", "time in sending, receiving and merging"),
        ("wait_s", "f8", "s", "time in which the worker had nothing to do"),
        ("evaluate_s", "f8", "s", "time in evaluation"),
        ("checkpoint_s", "f8", "s", "time in writing checkpoints"),
        ("global_steps", "i8", "", "inner steps of all workers that it had heard of by then"),
        ("bytes_sent", "i8", "B", "payload sent to homes and peers"),
        ("bytes_received", "i8", "B", "payload received from homes and peers"),
    ),
    "outer_update": (
        ("time_s", "f8", "s", "when the home handled the push, since the start of the run"),
        ("worker", "i8", "", "worker that is the fragment's home"),
        ("fragment", "i8", "", "fragment of the outer parameters"),
        ("version", "i8", "", "version of the fragment after this push"),
        ("sender", "i8", "", "worker that pushed; -1: several"),
        ("round", "i8", "", "round of that worker which the push ends"),
        ("staleness", "i8", "versions", "home version at arrival minus the sender's base version"),
        ("weight", "f8", "", "weight given to the pseudo-gradient"),
        ("steps", "i8", "", "inner steps behind the push"),
        ("tokens", "i8", "", "tokens (or samples) behind the push"),
        ("delta_norm", "f8", "", "2-norm of the pseudo-gradient before weighing"),
        ("momentum_norm", "f8", "", "2-norm of the outer momentum after the push"),
        ("cosine", "f8", "", "cosine between pseudo-gradient and outer momentum before the push"),
        ("gain", "f8", "", "how far theta went along the pseudo-gradient, in learning rates"),
        ("contributors", "i8", "", "pushes in this update"),
        ("kept", "i8", "", "tensors of the fragment merged as they came"),
        ("shrunk", "i8", "", "tensors of the fragment merged at reduced length"),
        ("rotated", "i8", "", "tensors of the fragment merged after a change of direction"),
        ("refused", "i1", "", "1 if the push was refused and nothing changed"),
        ("reason", "str", "", "why it was refused"),
    ),
    "correction": (
        ("time_s", "f8", "s", "when the home handled the push, since the start of the run"),
        ("worker", "i8", "", "worker that is the fragment's home"),
        ("fragment", "i8", "", "fragment of the outer parameters"),
        ("version", "i8", "", "version of the fragment after this push"),
        ("tensor", "str", "", "name of the tensor; empty: the whole fragment"),
        ("cosine", "f8", "", "cosine between pseudo-gradient and outer momentum before the push"),
        ("verdict", "str", "", "kept, shrunk, rotated"),
        ("amount", "f8", "", "length of the change over that of the pseudo-gradient"),
    ),
    "evaluation": (
        ("time_s", "f8", "s", "end of the evaluation, since the start of the run"),
        ("worker", "i8", "", "worker that evaluated"),
        ("round", "i8", "", "round of that worker after which the model was evaluated"),
        ("version_mean", "f8", "", "mean version over the fragments of the model"),
        ("global_steps", "i8", "", "inner steps of all workers behind the model, as far as known"),
        ("tokens", "i8", "", "tokens (or samples) of all workers behind the model, likewise"),
        ("domain", "str", "", "name of the held-out data"),
        ("loss", "f8", "", "mean loss on it"),
    ),
    "report": (
        ("time_s", "f8", "s", "since the start of the run"),
        ("worker", "i8", "", "worker whose script reported"),
        ("step", "i8", "", "inner steps of that worker so far"),
        ("name", "str", "", "keyword given to run.report"),
        ("value", "f8", "", "number given to run.report"),
    ),
    "report_text": (
        ("time_s", "f8", "s", "since the start of the run"),
        ("worker", "i8", "", "worker whose script reported"),
        ("step", "i8", "", "inner steps of that worker so far"),
        ("name", "str", "", "keyword given to run.report"),
        ("text", "str", "", "text given to run.report"),
    ),
    "home": (
        ("time_s", "f8", "s", "end of the run, since its start"),
        ("worker", "i8", "", "worker that is the fragment's home"),
        ("fragment", "i8", "", "fragment of the outer parameters"),
        ("sha256", "str", "", "of its final float32 values as they lie in memory"),
    ),
    "candidate": (
        ("time_s", "f8", "s", "end of the evaluation, since the start of the run"),
        ("worker", "i8", "", "worker that evaluated it"),
        ("island", "i8", "", "island of that worker"),
        ("number", "i8", "", "number of the candidate in the search, from 0"),
        ("outcome", "str", "", "done, failed, stopped (by a rule), cancelled, or reused"),
        ("loss", "f8", "", "the loss of this evaluation; loss_1, ... for further objectives"),
        ("reason", "str", "", "why it is not done"),
        ("made_by", "str", "", "operator that made it"),
        ("began_s", "f8", "s", "when it was ordered, since the start of the run"),
        ("took_s", "f8", "s", "time in the objective"),
        ("cost", "f8", "", "as reported by the objective, in the user's unit"),
        ("times", "i8", "", "evaluations of this configuration so far, if they are averaged"),
        ("last_step", "i8", "", "last step for which it reported a value"),
        ("last_value", "f8", "", "that value"),
    ),
    "candidate_value": (
        ("time_s", "f8", "s", "since the start of the run"),
        ("worker", "i8", "", "worker that evaluates it"),
        ("number", "i8", "", "number of the candidate"),
        ("step", "i8", "", "as the objective counts"),
        ("value", "f8", "", "loss on the way"),
    ),
    "search_worker": (
        ("time_s", "f8", "s", "end of the search on this worker, since the start of the run"),
        ("worker", "i8", "", "the worker"),
        ("island", "i8", "", "its island"),
        ("finished", "i8", "", "candidates that gave a loss"),
        ("failed", "i8", "", "candidates that failed"),
        ("stopped", "i8", "", "candidates that a rule ended early"),
        ("cancelled", "i8", "", "candidates that the end of the search cut short"),
        ("reused", "i8", "", "candidates that were known already"),
        ("busy_s", "f8", "s", "time in the objective"),
        ("cost", "f8", "", "as reported by the objective"),
        ("gossip_messages", "i8", "", "messages of news sent within the island"),
    ),
    "event": (
        ("time_s", "f8", "s", "since the start of the run"),
        ("worker", "i8", "", "worker that it concerns"),
        ("kind", "str", "", "start, resume, checkpoint, stop, finish, warning, ..."),
        ("text", "str", "", "what happened, for people"),
    ),
    "phase": (
        ("time_s", "f8", "s", "beginning of the interval, since the start of the run"),
        ("worker", "i8", "", "worker of the rank"),
        ("phase", "str", "", "compute, exchange, wait, evaluate, checkpoint"),
        ("duration_s", "f8", "s", "length of the interval"),
    ),
    "energy_sample": (
        ("time_s", "f8", "s", "second look, since the start of the run"),
        ("worker", "i8", "", "worker of the rank that looks"),
        ("host", "str", "", "name of the host"),
        ("utc_s", "f8", "s", "second look, since 1970, by the host's wall clock"),
        ("device", "str", "", "name of the device on that host"),
        ("component", "str", "", "package, dram, gpu, module, node"),
        ("duration_s", "f8", "s", "time between the looks"),
        ("joules", "f8", "J", "energy used in it, as far as it is known"),
        ("watts", "f8", "W", "mean power over the time for which the energy is known"),
        ("low_j", "f8", "J", "lower bound of `joules`; the same where it is measured"),
        ("high_j", "f8", "J", "upper bound of `joules`"),
        ("coverage", "f8", "", "share of the time for which the energy is known"),
        ("quality", "str", "", "measured (by a sensor) or estimate (by a model)"),
    ),
    "energy": (
        ("time_s", "f8", "s", "end of the interval, since the start of the run"),
        ("worker", "i8", "", "worker of the rank"),
        ("host", "str", "", "name of the host"),
        ("utc_s", "f8", "s", "end of the interval, since 1970, by the host's wall clock"),
        ("scope", "str", "", "phase, candidate, region, round; host, unattributed"),
        ("name", "str", "", "of the phase or region; outer/inner for a region in a region"),
        ("number", "i8", "", "of the candidate or round; the first of several"),
        ("last", "i8", "", "number of the last candidate, where short ones share a row"),
        ("count", "i8", "", "times that it was entered; candidates in this row"),
        ("duration_s", "f8", "s", "time in it"),
        ("joules", "f8", "J", "the rank's share, all components; of the host for its two scopes"),
        ("package_j", "f8", "J", "processors; missing without a sensor, as are the next four"),
        ("dram_j", "f8", "J", "memory"),
        ("gpu_j", "f8", "J", "GPUs"),
        ("module_j", "f8", "J", "superchips, beyond their parts"),
        ("node_j", "f8", "J", "hosts, beyond their parts"),
        ("low_j", "f8", "J", "lower bound of `joules`; the same where it is measured"),
        ("high_j", "f8", "J", "upper bound of `joules`"),
        ("coverage", "f8", "", "share of the interval for which the energy is known"),
        ("quality", "str", "", "measured, partial (under 99 % covered), estimate, none"),
        ("shared", "i1", "", "1 if other jobs may have used the host"),
    ),
}

COLUMNS: tuple[Column, ...] = tuple(
    Column(kind, *row) for kind, rows in _ROWS.items() for row in rows
)

_BY_KIND: dict[str, tuple[Column, ...]] = {
    kind: tuple(column for column in COLUMNS if column.kind == kind) for kind in KINDS
}


def columns_of(kind: str) -> tuple[Column, ...]:
    """The known columns of `kind`, in order; none if the kind is not in the table."""
    return _BY_KIND.get(kind, ())
