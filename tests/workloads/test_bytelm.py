"""The built-in task: it learns, and its randomness is its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hpctrain.errors import ConfigError
from hpctrain.workloads.bytelm import task
from hpctrain.workloads.task import ChangesDomain, FollowsProgress, Task, TaskContext
from hpctrain.workloads.text import DOMAINS

SMALL = {"width": 16, "num_heads": 2, "num_layers": 1, "context": 16, "evaluation_windows": 4}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small(**changes: Any) -> Task:
    options = {**SMALL, **changes.pop("options", {})}
    return task(TaskContext(**{"seed": 1, **changes}, options=options))


def weights(made: Task) -> torch.Tensor:
    return torch.nn.utils.parameters_to_vector(made.model.parameters()).detach()


def train(made: Task, num_steps: int) -> None:
    for _ in range(num_steps):
        made.optimizer.zero_grad()
        made.loss(made.next_batch()).backward()
        made.optimizer.step()
        if made.scheduler is not None:
            made.scheduler.step()


def refused(**options: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        task(TaskContext(seed=0, options=options))
    return str(caught.value).splitlines()


def test_the_default_model_learns_within_60_steps() -> None:
    made = task(TaskContext(seed=0, data="own", options={"domains": ["numbers"]}))
    before = made.evaluate()["numbers"]
    train(made, 60)
    after = made.evaluate()["numbers"]
    # An untrained model knows nothing: ln 256 = 5.55 nats. The frequencies of bytes alone give 3.1.
    assert 5.4 < before < 5.7
    assert after < 3.1


def test_the_default_model_has_about_135_thousand_parameters() -> None:
    assert 130_000 < weights(task(TaskContext(seed=0))).numel() < 140_000
    assert weights(small(options={"tied_head": True})).numel() == weights(small()).numel() - 4096


def test_initial_weights_depend_on_the_seed_alone() -> None:
    same = small(island=3, num_islands=4, rank_in_worker=1, worker_size=2)
    assert torch.equal(weights(small()), weights(same))
    assert not torch.equal(weights(small()), weights(small(seed=2)))


def test_every_rank_of_every_island_draws_its_own_data() -> None:
    places = [{}, {"island": 1, "data": "own"}, {"rank_in_worker": 1}, {"seed": 2}]
    batches = [small(**place).next_batch() for place in places]
    for index, batch in enumerate(batches):
        assert batch.shape == (8, 17)
        assert all(not torch.equal(batch, other) for other in batches[:index])
    assert torch.equal(small().next_batch(), batches[0])


def test_islands_share_out_the_text_without_overlap() -> None:
    shares = [task(TaskContext(seed=0, island=i, num_islands=3))._text for i in range(3)]
    alone = task(TaskContext(seed=0))._text
    assert sum(map(len, shares)) == len(alone)
    assert shares[0][:16_384].tobytes() == alone[:16_384].tobytes()
    assert shares[1][:16_384].tobytes() == alone[16_384:32_768].tobytes()


def test_an_island_can_have_a_domain_of_its_own() -> None:
    made = small(island=1, num_islands=2, data="own", options={"domains": ["markup", "testing"]})
    assert made.domains == ("markup", "testing")
    assert made.own_domain == "testing"
    assert small().own_domain == ""
    assert small().domains == tuple(DOMAINS)


def test_the_data_go_on_bit_for_bit_where_they_stopped() -> None:
    made = small()
    for _ in range(3):
        made.next_batch()
    state = made.state_dict()
    expected = [made.next_batch() for _ in range(3)]
    resumed = small()
    resumed.load_state_dict(state)
    assert all(torch.equal(resumed.next_batch(), batch) for batch in expected)


def test_evaluating_changes_nothing_and_repeats_exactly() -> None:
    made, undisturbed = small(), small()
    made.model.eval()
    first = made.evaluate(["network", "numbers"])
    assert not made.model.training
    made.model.train()
    assert made.evaluate(["numbers"]) == {"numbers": first["numbers"]}
    assert made.model.training
    assert torch.equal(made.next_batch(), undisturbed.next_batch())
    with pytest.raises(ValueError, match="no domain 'poems'; there are: network"):
        made.evaluate(["poems"])


def test_the_global_generator_is_left_alone() -> None:
    state = torch.random.get_rng_state()
    made = small()
    made.evaluate(["numbers"])
    train(made, 1)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_tokens_are_counted_without_the_first_of_each_window() -> None:
    made = small()
    assert made.num_tokens(made.next_batch()) == 8 * 16


def test_the_learning_rate_warms_up_and_decays() -> None:
    made = small(options={"lr": 1.0, "warmup_steps": 2, "cosine_steps": 2})
    rates = []
    for _ in range(6):
        rates.append(made.optimizer.param_groups[0]["lr"])
        train(made, 1)
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.55, 0.1, 0.1])
    assert small().scheduler is None


def test_the_learning_rate_can_follow_the_whole_run() -> None:
    made = small(options={"lr": 1.0, "warmup_steps": 1, "cosine_over": "run"})
    assert made.scheduler is not None
    assert isinstance(made, FollowsProgress)
    rates = []
    for done in (0.0, 0.0, 0.5, 1.0):
        made.at_progress(done)
        made.optimizer.step()
        made.scheduler.step()
        rates.append(made.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1.0, 1.0, 0.55, 0.1])
    again = small(options={"lr": 1.0, "cosine_over": "run"})
    again.load_state_dict(made.state_dict())
    again.optimizer.step()
    again.scheduler.step()
    assert again.optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_an_island_can_change_its_domain() -> None:
    made = small(data="own")
    assert isinstance(made, ChangesDomain)
    there = made.domains[1]
    made.train_on(there)
    assert made.own_domain == there
    again = small(data="own")
    again.load_state_dict(made.state_dict())
    assert again.own_domain == there
    assert torch.equal(again.next_batch(), made.next_batch())


def test_a_cosine_is_over_steps_or_over_the_run() -> None:
    with pytest.raises(ConfigError, match=r"task\.options\.cosine_steps: 5 has no meaning with"):
        small(options={"cosine_steps": 5, "cosine_over": "run"})


def test_options_that_are_not_allowed_are_one_line_each() -> None:
    found = refused(widht=3, lr=0.0)
    assert found[0] == "run.toml: task.options.lr: 0.0 is not allowed; give a number above 0"
    assert found[1].startswith(
        "run.toml: task.options.widht: unknown key; did you mean width? allowed: width,"
    )
    assert refused(width=6) == [
        "run.toml: task.options.width: 6 is not allowed; give a multiple of num_heads, 4"
    ]
    assert refused(domains=["poems"])[0].startswith(
        'run.toml: task.options.domains: no domain "poems"; allowed: network, markup'
    )


def test_text_of_the_users_own_is_read_by_domain(tmp_path: Path) -> None:
    for name, byte in (("noes", b"n"), ("yesses", b"y")):
        (tmp_path / f"{name}.train.txt").write_bytes(byte * 500)
        (tmp_path / f"{name}.held-out.txt").write_bytes(byte.upper() * 100)
    (tmp_path / "half.train.txt").write_bytes(b"without the other half")
    made = small(island=1, num_islands=2, data="own", options={"folder": str(tmp_path)})
    assert made.domains == ("noes", "yesses")
    assert set(made.next_batch().flatten().tolist()) == {ord("y")}
    before = made.evaluate()["yesses"]
    train(made, 30)
    assert made.evaluate()["yesses"] != before
    made.train_on("noes")
    assert set(made.next_batch().flatten().tolist()) == {ord("n")}
    again = small(island=1, num_islands=2, data="own", options={"folder": str(tmp_path)})
    again.load_state_dict(made.state_dict())
    assert set(again.next_batch().flatten().tolist()) == {ord("n")}


def test_a_text_that_is_shorter_than_a_window_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short.train.txt").write_bytes(b"s" * 500)
    (tmp_path / "short.held-out.txt").write_bytes(b"s" * 64)
    with pytest.raises(
        ConfigError, match=r"a text of short in .* less than context \+ 1 bytes, 65"
    ):
        small(options={"folder": str(tmp_path), "context": 64})
    assert small(options={"folder": str(tmp_path), "context": 63}).domains == ("short",)


def test_a_folder_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"task.options.folder: .* has no text; give a folder"):
        small(options={"folder": str(tmp_path)})
