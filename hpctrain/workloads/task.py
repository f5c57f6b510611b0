"""What a task has to offer, so that hpctrain can train it.

A task is made by a callable that is named in `run.toml` as `factory = "package.module:callable"`
and takes a `TaskContext`. A minimal one:

    class Fit:
        def __init__(self, context: TaskContext) -> None:
            weights = torch.Generator().manual_seed(context.seed)      # the same everywhere
            seed = stream(context.seed, context.stream_id, "data")     # different everywhere
            self.data = torch.Generator().manual_seed(seed)
            ...

Randomness comes from generators of the task's own, never from the global ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch.optim.lr_scheduler import LRScheduler


@dataclass(frozen=True, slots=True)
class TaskContext:
    """Which part of a run a task is made for.

    Attributes:
        seed: the run's seed; alone it decides the initial weights.
        island: which island, from 0.
        num_islands: how many there are.
        rank_in_worker: which of the ranks that compute one step together, from 0.
        worker_size: how many these are; a step's batch is that of all of them.
        device: where model and batches live, such as "cpu" or "cuda:0".
        options: `[task.options]` of the settings, unchecked.
        data: "shard" deals all data out to the islands; "own" gives each island its own domain.
        source: how errors name the origin of the settings.
    """

    seed: int
    island: int = 0
    num_islands: int = 1
    rank_in_worker: int = 0
    worker_size: int = 1
    device: str = "cpu"
    options: Mapping[str, Any] = field(default_factory=dict)
    data: Literal["shard", "own"] = "shard"
    source: str = "run.toml"

    @property
    def stream_id(self) -> int:
        """A number for the random stream of this rank's data, unlike that of any other rank."""
        return self.island * 1_000_000 + self.rank_in_worker


class Task(Protocol):
    """A model, its optimizer, its data, and how well it does.

    The runtime steps the optimizer and the scheduler, clips the gradient, and saves the states of
    model, optimizer and scheduler; the task saves where its data stands.
    """

    @property
    def model(self) -> torch.nn.Module: ...

    @property
    def optimizer(self) -> torch.optim.Optimizer: ...

    @property
    def scheduler(self) -> LRScheduler | None:
        """Stepped once after every optimizer step."""
        ...

    @property
    def clip_norm(self) -> float | None:
        """The largest norm of the gradient, None to leave it as it is."""
        ...

    @property
    def domains(self) -> tuple[str, ...]:
        """The kinds of held-out data that `evaluate` tells apart."""
        ...

    @property
    def own_domain(self) -> str:
        """The domain this island trains on; empty if it trains on all of them."""
        ...

    def next_batch(self) -> Any:
        """The next batch of this rank, on the task's device."""
        ...

    def loss(self, batch: Any) -> torch.Tensor:
        """The mean training loss of `batch`, a scalar to differentiate."""
        ...

    def num_tokens(self, batch: Any) -> int:
        """How many tokens, or examples, `batch` trains on."""
        ...

    def evaluate(self, domains: Sequence[str] | None = None) -> dict[str, float]:
        """The held-out loss of each domain (None: of all), on the same data every time.

        Leaves the model in the mode it was in, and the training data where they were.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Where the data stands: plain numbers, texts, lists and dicts."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


@runtime_checkable
class FollowsProgress(Protocol):
    """What a task may have besides: it is told how much of the run's budget is spent.

    A learning rate that follows it falls alike on all islands, however fast they are; one that
    counts own steps is behind on slow islands, and at its end too early on fast ones.
    """

    def at_progress(self, done: float) -> None:
        """At the beginning of each round, on all ranks alike: from 0 to 1 at the end of the run."""
        ...


@runtime_checkable
class ChangesDomain(Protocol):
    """What a task must have besides with `method.domains = "least_visited"`."""

    def train_on(self, domain: str) -> None:
        """Draw batches from `domain`, one of `domains`, which is `own_domain` from now on."""
        ...


TaskFactory = Callable[[TaskContext], Task]
