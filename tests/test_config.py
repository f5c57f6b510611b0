"""Settings: what is accepted, what is refused and how the refusal reads."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.config import (
    RunConfig,
    build_config,
    check_against_world,
    config_from_keywords,
    load_config,
    num_islands,
    resolved_json,
    simulated_workers,
)
from hpctrain.config.method import DEFAULTS_BY_METHOD
from hpctrain.errors import ConfigError

Refused = Callable[..., list[str]]
STOP = "[stop]\nsteps = 10\n"


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Loads a text as run.toml and returns the lines of the error it must cause."""
    monkeypatch.chdir(tmp_path)

    def lines(text: str, *overrides: str) -> list[str]:
        Path("run.toml").write_text(text)
        with pytest.raises(ConfigError) as caught:
            load_config("run.toml", overrides)
        return str(caught.value).splitlines()

    return lines


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., RunConfig]:
    def load(text: str, *overrides: str) -> RunConfig:
        path = tmp_path / "night run.toml"
        path.write_text(text)
        return load_config(path, overrides)

    return load


def keywords_refused(**keywords: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config_from_keywords(**keywords)
    return str(caught.value).splitlines()


def test_a_file_with_only_a_stop_is_completed(loaded: Callable[..., RunConfig]) -> None:
    config = loaded(STOP)
    assert (config.name, config.run_dir) == ("night-run", "runs/night-run")
    assert (config.method.name, config.method.sync_every) == ("galoco", 50)
    assert (config.method.local_steps, config.method.overlap) == ("clock", True)
    assert config.stop.steps == 10
    assert config.checkpoint.signals == ("TERM", "USR1")


@pytest.mark.parametrize(
    ("method", "outer_lr", "sync_every", "lookahead"),
    [
        ("ddp", 1.0, 1, False),
        ("diloco", 0.7, 50, False),
        ("async_nesterov", 0.07, 50, False),
        ("mla", 0.7, 50, False),
        ("heloco", 0.7, 50, True),
        ("co2", 0.5, 50, False),
        ("fedbuff", 0.7, 50, False),
    ],
)
def test_defaults_depend_on_the_method(
    method: str, outer_lr: float, sync_every: int, lookahead: bool
) -> None:
    config = config_from_keywords(method=method)
    assert config.method.outer_lr == outer_lr
    assert config.method.sync_every == sync_every
    assert config.method.dispatch_lookahead is lookahead


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "method.sync_every = 0",
            "run.toml: method.sync_every: 0 is not allowed; give an integer of at least 1",
        ),
        ("seed = true", "run.toml: seed: true is not allowed; give an integer from 0 to"),
        ("stop.minutes = nan", "run.toml: stop.minutes: nan is not allowed; give a number above 0"),
        (
            "pace.step_s = inf",
            "run.toml: pace.step_s: inf is not allowed; give a number of at least 0",
        ),
        (
            'method.name = "adam"',
            'run.toml: method.name: "adam" is not allowed; give "ddp", "diloco", "co2", "rda",'
            ' "async_nesterov", "async_sgd", "delayed_nesterov", "fedbuff", "mla", "heloco",',
        ),
        (
            "runtime.service_thread = 3",
            'run.toml: runtime.service_thread: 3 is not allowed; give "auto", true or false',
        ),
        (
            'method = "mla"',
            'run.toml: method: "mla" is not allowed; give a table, such as: method.name = "heloco"',
        ),
        (
            "method.sync_evry = 3",
            "run.toml: method.sync_evry: unknown key; did you mean sync_every? allowed: name,",
        ),
        (
            "method.heloco.c_okk = 0",
            "run.toml: method.heloco.c_okk: unknown key; did you mean c_ok? allowed: c_ok, c_bad,",
        ),
        ("zzz = 1", "run.toml: zzz: unknown key; allowed: name, run_dir, seed, task,"),
        ("pace.factors = [1, 0.5]", "run.toml: pace.factors: [1, 0.5] is not allowed; give a list"),
        ("topology.islands = [[0], []]", "run.toml: topology.islands: [[0], []] is not allowed"),
        ('task.factory = "mine"', 'run.toml: task.factory: "mine" is not allowed; give a text "pa'),
        ('name = "a b"', 'run.toml: name: "a b" is not allowed; give letters, digits,'),
        ("simulate.step_s = []", "run.toml: simulate.step_s: [] is not allowed; give a number ab"),
    ],
)
def test_a_value_that_is_not_allowed_is_one_line(refused: Refused, text: str, line: str) -> None:
    found = refused(text + "\n" + STOP if "stop" not in text else text)
    assert len(found) == 1
    assert found[0].startswith(line)


def test_everything_wrong_is_said_at_once(refused: Refused) -> None:
    found = refused("seed = -1\n[method]\nouter_lr = 0\nsync_evry = 2\n[checkpoint]\nkeep = 0")
    keys = sorted(line.split(": ")[1] for line in found)
    assert keys == ["checkpoint.keep", "method.outer_lr", "method.sync_evry", "seed"]


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ('method = {name = "mla", heloco = {c_ok = 0}}', "method.heloco", "leave it out"),
        (
            'method = {name = "heloco", heloco = {c_ok = 0, c_bad = 0.1}}',
            "method.heloco.c_bad",
            "at most c_ok, 0.0",
        ),
        ('method = {name = "ddp", sync_every = 5}', "method.sync_every", "diloco"),
        ('method = {name = "ddp", outer_lr = 0.5}', "method.outer_lr", "0.5 has no meaning"),
        ('method = {name = "ddp", overlap = true}', "method.overlap", "asynchronous method"),
        ('method = {name = "diloco", overlap = true}', "method.overlap", "asynchronous method"),
        (
            'method = {name = "diloco", dispatch_lookahead = true}',
            "method.dispatch_lookahead",
            "asynchronous method",
        ),
        (
            'method = {name = "diloco", arrival_weight = "one"}',
            "method.arrival_weight",
            "nothing arrives late",
        ),
        ("method.buffer_size = 3", "method.buffer_size", '"delayed_nesterov" or "fedbuff"'),
        ("method.quorum = 2", "method.quorum", 'needs name = "diloco" or "rda"'),
        ("method.quorum = 1.5", "method.quorum", "above 0 up to 1.0"),
        ('method = {name = "diloco", grace_s = 1.0}', "method.grace_s", "or a quorum"),
        ('method = {name = "mla", group = "mean"}', "method.group", "needs grace_s above 0"),
        ('method = {name = "ddp", local_steps = "dylu"}', "method.local_steps", "several steps"),
        ('method = {name = "rda", local_steps = "groups"}', "method.local_steps", "asynchronous"),
        ("method.min_steps = 3", "method.min_steps", 'local_steps = "dylu" or "groups"'),
        (
            'method = {name = "heloco", num_fragments = 4, heloco.scope = "whole"}',
            "method.num_fragments",
            "one decision for the whole model",
        ),
        ("method.guard_factor = 1.0", "method.guard_factor", "more than 1, or 0 for no guard"),
        (
            'method = {name = "mla", local_steps = "dylu", min_steps = 60}',
            "method.min_steps",
            "at most sync_every, 50",
        ),
        (
            'method = {name = "mla", local_steps = "dylu"}\nruntime.record = "order"',
            "method.local_steps",
            "measured speeds cannot be repeated",
        ),
        ('runtime.record = "order"', "method.local_steps", 'or use method.name = "heloco"'),
        ("method.overlap = false", "method.local_steps", "needs method.overlap = true"),
        ('method.local_steps = "fixed"', "method.grace_s", '"auto" needs measured speeds'),
        ('method = {name = "mla", grace_s = "auto"}', "method.grace_s", "needs measured speeds"),
        ('method = {name = "diloco", local_steps = "clock"}', "method.local_steps", "asynchronous"),
        ('method.arrival_weight = "one"', "method.arrival_weight", "no meaning with galoco"),
        ('method = {name = "mla", mean = "rda"}', "method.mean", 'needs name = "galoco"'),
        ("method.shares = [1.0, 2.0]", "method.shares", '"rate_corrected"'),
        (
            "topology.islands = 3\n"
            'method = {name = "heloco", arrival_weight = "rate_corrected", shares = [1, 2]}',
            "method.shares",
            "has 2 for 3 islands",
        ),
        ('method.domains = "least_visited"', "method.domains", 'needs topology.data = "own"'),
        ("method.co2.gap_penalty = 2.0", "method.co2", 'it needs name = "co2"'),
        ('method = {name = "async_sgd", outer_momentum = 0.9}', "method.outer_momentum", "0.9 has"),
        ("topology.islands = [[0, 1], [1, 2]]", "topology.islands", "rank 1 more than once"),
        (
            "topology = {islands = [[0, 1], [2]], ranks_per_worker = 2}",
            "topology.ranks_per_worker",
            "2 does not divide the 1 ranks of island 1",
        ),
        (
            'topology = {islands = "rank", ranks_per_worker = 2}',
            "topology.ranks_per_worker",
            '"all" or 1',
        ),
        ('topology = {islands = 3, names = ["a", "b"]}', "topology.names", "has 2 for 3 islands"),
        ('topology.names = ["a", "a"]', "topology.names", "names a more than once"),
        ("pace.factors = [1, 2]", "pace.factors", "pace.step_s above 0"),
        (
            "topology.islands = 3\n[pace]\nstep_s = 1\nfactors = [1, 2]",
            "pace.factors",
            "has 2 for 3 islands",
        ),
        ('checkpoint.signals = ["TERM", "TERM"]', "checkpoint.signals", "twice"),
        (
            'method.name = "mla"\nruntime = {follow = "runs/a", record = "order"}',
            "runtime.record",
            "runtime.follow",
        ),
        (
            'method.name = "mla"\ncheckpoint.resume = true\n[runtime]\nfollow = "runs/a"',
            "checkpoint.resume",
            "from its beginning",
        ),
        (
            'method.name = "mla"\nruntime = {follow = "runs/a", service_thread = true}',
            "runtime.service_thread",
            "runtime.follow",
        ),
        ('runtime = {amp = "float16", device = "cpu"}', "runtime.amp", "bfloat16"),
        ("simulate = {workers = 3, step_s = [1, 2]}", "simulate.step_s", "has 2 for 3 workers"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    refused: Refused, text: str, key: str, words: str
) -> None:
    found = refused(text + "\n" + STOP)
    assert [line.split(": ")[:2] for line in found] == [["run.toml", key]]
    assert words in found[0]


def test_a_run_that_would_never_end_is_refused(refused: Refused) -> None:
    assert refused("seed = 1") == [
        "run.toml: stop: the run would never end; give stop.steps, stop.minutes or stop.gigabytes"
    ]


def test_files_that_cannot_be_read_are_one_line(refused: Refused, tmp_path: Path) -> None:
    assert refused("seed = ") == ["run.toml: not TOML: Invalid value (at end of document)"]
    assert refused("a = 1\nb = [") == ["run.toml: not TOML: Invalid value (at end of document)"]
    assert "(at line 2, column 3)" in refused("a = 1\nb 3")[0]
    with pytest.raises(ConfigError, match=r"^absent.toml: no such file; give"):
        load_config("absent.toml")
    with pytest.raises(ConfigError, match=r": is a directory; give the path of a TOML file$"):
        load_config(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe4"')
    with pytest.raises(ConfigError, match=r"not UTF-8 text: byte 8"):
        load_config(tmp_path / "latin.toml")


def test_overrides_come_after_the_file_and_take_bare_words(
    loaded: Callable[..., RunConfig],
) -> None:
    config = loaded(
        STOP + "[method]\nsync_every = 5",
        "method.sync_every=20",
        "method.name=diloco",
        "topology.islands=[[0, 1], [2]]",
        "task.factory=mine.tasks:make",
        "task.options.width=32",
        "checkpoint.resume=true",
        'name="b"',
    )
    assert (config.method.sync_every, config.method.name) == (20, "diloco")
    assert config.topology.islands == ((0, 1), (2,))
    assert config.task.options == {"width": 32}
    assert config.checkpoint.resume
    assert config.run_dir == "runs/b"


def test_an_override_that_is_wrong_is_named_as_such(refused: Refused) -> None:
    assert refused(STOP, "method.sync_every=0") == [
        "--set: method.sync_every: 0 is not allowed; give an integer of at least 1"
    ]
    assert refused(STOP, "sync") == [
        "--set sync: not KEY=VALUE; write for example --set method.sync_every=20"
    ]
    assert refused(STOP, "seed=1\nname=2")[0].startswith("--set seed=1")
    assert refused(STOP, "seed=[")[0].startswith("--set seed=[: '[' is not a TOML value")
    assert refused("seed = 3", "seed.x=1") == ["--set seed.x=1: seed is a value, not a table"]


def test_keywords_find_their_section() -> None:
    config = config_from_keywords(
        method="mla", sync_every=20, islands=[[0, 1], [2]], steps=None, heloco=None, seed=3
    )
    assert (config.method.name, config.method.sync_every) == ("mla", 20)
    assert config.topology.islands == ((0, 1), (2,))
    assert config.stop.steps is None
    nested = config_from_keywords(method={"name": "mla"}, sync_every=20, pace={"step_s": 0.1})
    assert (nested.method, nested.pace.step_s) == (config.method, 0.1)


def test_keywords_that_are_wrong_are_named() -> None:
    assert keywords_refused(sync_every=0) == [
        "hpctrain.init(): method.sync_every: 0 is not allowed; give an integer of at least 1"
    ]
    assert keywords_refused(sync_evry=1)[0].startswith(
        "hpctrain.init(): sync_evry: unknown key; did you mean sync_every?"
    )
    assert "pace={'step_s': ...} or simulate=" in keywords_refused(step_s=1.0)[0]


@given(
    method=st.sampled_from(sorted(DEFAULTS_BY_METHOD)),
    islands=st.sampled_from(["auto", "rank", 1, 3, [[0], [2, 1]]]),
    seed=st.integers(0, 2**63 - 1),
    jitter=st.floats(0, 1),
)
def test_resolved_settings_read_back_equal(
    method: str, islands: object, seed: int, jitter: float
) -> None:
    config = config_from_keywords(method=method, islands=islands, seed=seed, jitter=jitter)
    assert build_config(json.loads(resolved_json(config))) == config


@pytest.mark.parametrize(
    ("topology", "num_ranks", "line"),
    [
        ({"islands": 4}, 2, "topology.islands: 4 islands need at least 4 ranks, but 2 were start"),
        ({"islands": 3}, 4, "topology.islands: 4 ranks do not divide into 3 islands"),
        ({"islands": [[0, 4]]}, 2, "topology.islands: names rank 4, but the ranks are 0..1"),
        ({"islands": [[0], [1]]}, 3, "topology.islands: leaves out rank 2 of the 3"),
        ({"ranks_per_worker": 3}, 4, "topology.ranks_per_worker: 3 does not divide the 4 ranks"),
        (
            {"islands": 2, "ranks_per_worker": 4},
            4,
            "topology.ranks_per_worker: 4 does not divide the 2 ranks of an island",
        ),
        ({"islands": "rank", "names": ["a"]}, 2, "topology.names: has 1 for 2 islands"),
    ],
)
def test_settings_that_do_not_fit_the_ranks_are_refused(
    topology: dict[str, object], num_ranks: int, line: str
) -> None:
    config = build_config({"topology": topology}, "run.toml")
    with pytest.raises(ConfigError) as caught:
        check_against_world(config, num_ranks)
    assert str(caught.value).splitlines()[0].startswith(f"run.toml: {line}")


def test_settings_that_fit_the_ranks_pass() -> None:
    pace = {"step_s": 0.1, "factors": [1.0, 2.0]}
    config = build_config({"topology": {"islands": 2, "ranks_per_worker": 2}, "pace": pace})
    check_against_world(config, 4)
    check_against_world(build_config({"pace": pace}), 4)
    by_host = build_config({"topology": {"islands": "host", "names": ["a", "b"]}})
    check_against_world(by_host, 8, num_hosts=2)
    with pytest.raises(ConfigError, match="has 2 for 3 islands"):
        check_against_world(by_host, 9, num_hosts=3)
    assert num_islands(by_host.topology, 8) is None
    by_switch = build_config({"topology": {"islands": "switch", "names": ["a", "b"]}})
    check_against_world(by_switch, 8, num_hosts=4, num_labels=2)
    with pytest.raises(ConfigError, match="has 2 for 4 islands"):
        check_against_world(by_switch, 8, num_hosts=2, num_labels=4)


@pytest.mark.parametrize(("num_hosts", "count"), [(None, None), (1, 8), (2, 2)])
def test_automatic_islands_are_hosts_or_else_ranks(
    num_hosts: int | None, count: int | None
) -> None:
    assert num_islands(config_from_keywords().topology, 8, num_hosts) == count


def test_a_simulation_knows_its_workers_or_asks() -> None:
    assert simulated_workers(config_from_keywords(workers=5, islands=2)) == 5
    assert simulated_workers(config_from_keywords(islands=[[0], [1], [2]])) == 3
    assert simulated_workers(config_from_keywords(simulate={"step_s": [0.1, 0.2]})) == 2
    with pytest.raises(ConfigError, match="give --workers N"):
        simulated_workers(config_from_keywords())
    with pytest.raises(ConfigError, match='islands = "switch" does not say it; give --workers N'):
        simulated_workers(config_from_keywords(islands="switch"))


def test_settings_cannot_be_changed_afterwards() -> None:
    config = config_from_keywords()
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3


def test_importing_the_settings_loads_nothing_heavy() -> None:
    code = "import sys, hpctrain.config; print({'torch', 'numpy', 'mpi4py'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
