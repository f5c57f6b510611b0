"""What a script gives to `prepare` besides the model: what is saved of it, how it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch.utils.data import DataLoader

from hpctrain.errors import ConfigError, HpctrainError
from hpctrain.workers.loader import IslandLoader


class Belongings:
    """The DataLoaders, and the objects with a state, of a script.

    Args:
        shard: which part of the batches is for this rank: (number, of how many).
        seed: of the run.
        count: told how many samples are about to be trained on.
        between: called before each batch.
    """

    def __init__(
        self,
        shard: tuple[int, int],
        seed: int,
        count: Callable[[int], None],
        between: Callable[[], None],
    ) -> None:
        self.loaders: list[IslandLoader] = []
        self.stateful: list[Any] = []
        self.catching_up = False
        self.caught_up: Callable[[], None] = lambda: None
        self._shard, self._seed = shard, seed
        self._count, self._between = count, between
        self._tree: Mapping[str, Any] | None = None

    def add(self, item: Any) -> Any:
        """What takes the place of `item` in the script.

        Raises:
            HpctrainError: if it is nothing that can belong to a run.
        """
        if isinstance(item, DataLoader):
            loader = IslandLoader(item, *self._shard, self._seed, self._count, self._between)
            self.loaders.append(loader)
            return loader
        if not hasattr(item, "state_dict") or not hasattr(item, "load_state_dict"):
            raise HpctrainError(
                f"run.prepare() was given a {type(item).__name__}; allowed after model and "
                "optimizer are DataLoaders and objects with state_dict and load_state_dict"
            )
        self.stateful.append(item)
        return item

    def state_dict(self) -> dict[str, Any]:
        return {
            "stateful": [item.state_dict() for item in self.stateful],
            "loaders": [loader.state_dict() for loader in self.loaders],
        }

    def load_state_dict(self, tree: Mapping[str, Any]) -> None:
        """Without a loader at once; else when the loop has come to the batch that is next.

        Until then the script runs through epochs without batches; what it does there to schedulers,
        generators and reports has been done before, and is undone: `caught_up` is called then.
        """
        if not self.loaders:
            self._load_stateful(tree)
            return
        self.catching_up = True
        self._tree = tree
        for loader, position in zip(self.loaders, tree["loaders"], strict=True):
            loader.resume(position, None)
        self.loaders[0].arrived = self._arrived
        self._load_stateful(tree)

    def _load_stateful(self, tree: Mapping[str, Any]) -> None:
        if len(tree["stateful"]) != len(self.stateful):
            raise ConfigError(
                f"the checkpoint holds the states of {len(tree['stateful'])} objects, but "
                f"run.prepare() was given {len(self.stateful)}; give the same optimizer, "
                "schedulers and scalers"
            )
        for item, state in zip(self.stateful, tree["stateful"], strict=True):
            item.load_state_dict(state)

    def _arrived(self) -> None:
        self.catching_up = False
        assert self._tree is not None
        self._load_stateful(self._tree)
        self._tree = None
        self.caught_up()
