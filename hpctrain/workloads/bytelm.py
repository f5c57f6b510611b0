"""The built-in task: a byte-level language model of Python's own sources, no download needed.

[task]
factory = "hpctrain.workloads.bytelm:task"
options = {width = 64, domains = ["network", "numbers"]}
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from hpctrain.config.section import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Section,
)
from hpctrain.core.seeds import stream
from hpctrain.workloads.folder import HELD_OUT, TRAIN, folder_domains, read_folder_domain
from hpctrain.workloads.options import checked_options, refuse_options
from hpctrain.workloads.task import TaskContext
from hpctrain.workloads.text import Bytes, available_domains, read_domain, standard_library
from hpctrain.workloads.transformer import NUM_BYTES, ByteTransformer

_SHARD_BYTES = 16_384  # the text is dealt out to the islands in pieces of this size


class ByteLmOptions(Section):
    """`[task.options]` of the built-in task; the defaults make a model of 136 k parameters."""

    width: PositiveInt = 64
    num_layers: PositiveInt = 2
    num_heads: PositiveInt = 4
    context: Annotated[int, Field(ge=1, le=4096)] = 64
    tied_head: bool = False
    batch_size: PositiveInt = 8
    lr: PositiveFloat = 2e-3
    weight_decay: NonNegativeFloat = 0.1
    clip_norm: PositiveFloat | None = 1.0
    warmup_steps: NonNegativeInt = 0
    cosine_steps: PositiveInt | None = None
    cosine_over: Literal["steps", "run"] = "steps"
    folder: str = ""
    domains: Annotated[tuple[str, ...], Field(strict=False)] = ()
    evaluation_windows: PositiveInt = 64


def task(context: TaskContext) -> "ByteLmTask":
    """Makes the task for one rank.

    Raises:
        ConfigError: one line for each option that is not allowed.
    """
    options = checked_options(ByteLmOptions, context)
    available = folder_domains(Path(options.folder)) if options.folder else available_domains()
    refuse_options(context, _contradictions(options, available))
    return ByteLmTask(context, options, options.domains or available)


class ByteLmTask:
    """A transformer, AdamW, and random windows of text; see `hpctrain.workloads.task.Task`."""

    def __init__(
        self, context: TaskContext, options: ByteLmOptions, domains: tuple[str, ...]
    ) -> None:
        self.domains = domains
        self.own_domain = domains[context.island % len(domains)] if context.data == "own" else ""
        self.clip_norm = options.clip_norm
        self.model = _model(options, context)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=options.lr,
            betas=(0.9, 0.95),
            weight_decay=options.weight_decay,
            fused=True,  # a quarter less time per step of a small model on a CPU
        )
        self._done = 0.0  # of the run's budget
        self.scheduler = _scheduler(self.optimizer, options, lambda: self._done)
        self._options = options
        self._device = context.device
        self._text = _training_text(context, options, domains, self.own_domain)
        self._data_seed = stream(context.seed, context.stream_id, "bytelm data")
        self._batches_drawn = 0

    def next_batch(self) -> Tensor:  # (B, T + 1) int64
        """Windows at random places; the place in the stream is nothing but a count."""
        bits = np.random.Philox(key=self._data_seed, counter=[0, 0, 0, self._batches_drawn])
        starts = np.random.Generator(bits).integers(
            0, len(self._text) - self._options.context, size=self._options.batch_size
        )
        self._batches_drawn += 1
        return self._windows(self._text, starts)

    def loss(self, batch: Tensor) -> Tensor:
        """Mean cross entropy in nats per byte."""
        logits = self.model(batch[:, :-1])
        return functional.cross_entropy(
            logits.reshape(-1, NUM_BYTES).float(), batch[:, 1:].reshape(-1)
        )

    def num_tokens(self, batch: Tensor) -> int:
        return batch[:, 1:].numel()

    def evaluate(self, domains: Sequence[str] | None = None) -> dict[str, float]:
        """Held-out loss in nats per byte of each domain, at fixed places.

        Raises:
            ValueError: for a domain that the task does not have.
        """
        chosen = self.domains if domains is None else domains
        for domain in chosen:
            if domain not in self.domains:
                raise ValueError(f"no domain {domain!r}; there are: {', '.join(self.domains)}")
        was_training = self.model.training
        self.model.eval()
        try:
            return {domain: self._held_out_loss(domain) for domain in chosen}
        finally:
            self.model.train(was_training)

    def at_progress(self, done: float) -> None:
        """What `cosine_over = "run"` follows."""
        self._done = done

    def train_on(self, domain: str) -> None:
        """Draw windows from this domain from now on."""
        self.own_domain, self._text = domain, _read(self._options, domain)[0]

    def state_dict(self) -> dict[str, Any]:
        state = {"batches_drawn": self._batches_drawn, "done": self._done}
        return state | {"own_domain": self.own_domain}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._batches_drawn = int(state["batches_drawn"])
        self._done = float(state.get("done", 0.0))
        if domain := state.get("own_domain", ""):
            self.train_on(domain)

    @torch.no_grad()
    def _held_out_loss(self, domain: str) -> float:
        _, text = _read(self._options, domain)
        last = len(text) - self._options.context - 1
        starts = np.linspace(0, last, self._options.evaluation_windows).astype(np.int64)
        return float(self.loss(self._windows(text, starts)))

    def _windows(self, text: Bytes, starts: np.ndarray[Any, Any]) -> Tensor:
        places = starts[:, None] + np.arange(self._options.context + 1)
        return torch.from_numpy(text[places].astype(np.int64)).to(self._device)


def _read(options: ByteLmOptions, domain: str) -> tuple[Bytes, Bytes]:
    return (
        read_folder_domain(Path(options.folder), domain) if options.folder else read_domain(domain)
    )


def _contradictions(options: ByteLmOptions, available: tuple[str, ...]) -> dict[str, str]:
    problems = {}
    if not available and options.folder:
        problems["folder"] = (
            f"{options.folder!r} has no text; give a folder with NAME{TRAIN} and NAME{HELD_OUT} for"
            " each domain"
        )
    elif not available:
        problems["domains"] = (
            f"the sources of Python's standard library are not in {standard_library()}; use a"
            " Python that has them, or another task.factory"
        )
    for domain in (options.domains or available) if available else ():
        if domain not in available:
            problems["domains"] = f'no domain "{domain}"; allowed: {", ".join(available)}'
        elif options.folder and min(map(len, _read(options, domain))) <= options.context:
            problems["folder"] = (
                f"a text of {domain} in {options.folder!r} has less than context + 1 bytes,"
                f" {options.context + 1}; give longer texts, or a smaller context"
            )
    if options.cosine_over == "run" and options.cosine_steps is not None:
        problems["cosine_steps"] = (
            f'{options.cosine_steps} has no meaning with cosine_over = "run"; leave one of them out'
        )
    if options.width % options.num_heads:
        problems["width"] = (
            f"{options.width} is not allowed; give a multiple of num_heads, {options.num_heads}"
        )
    return problems


def _model(options: ByteLmOptions, context: TaskContext) -> ByteTransformer:
    with torch.random.fork_rng(devices=[]):  # constructors draw from the global generator
        model = ByteTransformer(
            options.width,
            options.num_layers,
            options.num_heads,
            options.context,
            options.tied_head,
        )
    model.initialise(torch.Generator().manual_seed(stream(context.seed, 0, "bytelm weights")))
    return model.to(context.device)


def _scheduler(
    optimizer: torch.optim.Optimizer, options: ByteLmOptions, done: Callable[[], float]
) -> LambdaLR | None:
    warmup, cosine, over_run = options.warmup_steps, options.cosine_steps, options.cosine_over
    if not warmup and cosine is None and over_run != "run":
        return None

    def factor(step: int) -> float:
        """Linear to 1 over the warm-up, then half a cosine down to a tenth."""
        if step < warmup:
            return (step + 1) / warmup
        part = min(1.0, (step - warmup) / cosine) if cosine else 0.0
        if over_run == "run":
            part = done()
        return 0.55 + 0.45 * math.cos(math.pi * part)

    return LambdaLR(optimizer, factor)


def _training_text(
    context: TaskContext, options: ByteLmOptions, domains: tuple[str, ...], own_domain: str
) -> Bytes:
    """The island's own domain, or its share of all domains."""
    if own_domain:
        return _read(options, own_domain)[0]
    text = np.concatenate([_read(options, domain)[0] for domain in domains])
    pieces = np.split(text, range(_SHARD_BYTES, len(text), _SHARD_BYTES))
    return np.concatenate(pieces[context.island :: context.num_islands])
