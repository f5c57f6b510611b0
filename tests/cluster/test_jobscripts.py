"""Job scripts: what is rendered, to the letter, and what is refused.

After a change that is meant: `UPDATE_GOLDEN=1 pytest tests/cluster/test_jobscripts.py`, and read
the difference in `jobscripts/`.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hpctrain.cluster.jobs import site as site_file
from hpctrain.cluster.jobs.render import Job, render
from hpctrain.cluster.jobs.request import KINDS, Request, groups_of
from hpctrain.cluster.jobs.site import (
    LaunchSection,
    Site,
    read_site,
    seconds_of,
    site_names,
    time_text,
)
from hpctrain.errors import ConfigError

FOLDER = Path(__file__).parents[2] / "jobscripts"
PAGES = Path(__file__).parents[2] / "docs" / "sites"
GENERIC = read_site("generic")
TRAIN = Job("my-run", "train", "run.toml", "runs/my-run", (), "pmix")
SEARCH = Job("tune", "search", "search.toml", "runs/tune", (), "pmix")
LONG = Request("run", 2, "08:00:00", ranks_per_node=4)
SCRIPTS = {
    "train": (TRAIN, LONG),
    "search": (SEARCH, LONG),
    "search-ranks": (replace(SEARCH, sets=("search.ranks_per_worker=4",)), LONG),
    "chain": (TRAIN, replace(LONG, kind="chain")),
    "array": (TRAIN, replace(LONG, kind="array", nodes=1, array=8)),
    "preemptible": (TRAIN, replace(LONG, kind="preemptible", partition="preemptible")),
    "heterogeneous": (
        TRAIN, replace(LONG, kind="heterogeneous", partition="a100", second=("v100", 4)),
    ),
    "restarting": (TRAIN, replace(LONG, kind="restarting")),
    "container": (TRAIN, replace(LONG, kind="container", image="hpctrain.sif")),
    "gpus": (TRAIN, Request("run", 2, "08:00:00", account="me")),
    "calibrate": (
        replace(TRAIN, name="calibrate", mpi="none"), Request("calibrate", 1, "00:10:00"),
    ),
}  # fmt: skip
SITES = {"gpus": read_site("leonardo-booster")}  # else the generic one


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_as_it_is_written(name: str) -> None:
    text = render(*SCRIPTS[name], SITES.get(name, GENERIC))
    path = FOLDER / f"{name}.sbatch"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), "see the head of this file for how to accept a change"


def test_every_kind_has_a_script() -> None:
    kinds = {request.kind for _, request in SCRIPTS.values()}
    assert kinds == set(KINDS)
    assert {path.stem for path in FOLDER.glob("*.sbatch")} == set(SCRIPTS)


def all_scripts(tmp_path: Path) -> list[Path]:
    """All kinds for all sites, with names that need quotes."""
    hostile = replace(TRAIN, config="a b'$(rm x).toml", run_dir="runs/$x y", name="n; rm",
                      sets=('name="x y"',), prefix="/opt/a b")  # fmt: skip
    paths = []
    for site_name in site_names():
        site = read_site(site_name)
        for kind in KINDS:
            request = Request(kind, 1, "01:00:00", account="me", image="i $m.sif")
            path = tmp_path / f"{site_name}-{kind}.sbatch"
            path.write_text(render(hostile, request, site))
            paths.append(path)
    return paths


def test_all_scripts_pass_shellcheck(tmp_path: Path) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    quoted = "--exclude=SC2016"  # a quoted word may well hold what would be an expression
    command = [shellcheck, "--shell=bash", quoted, *all_scripts(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_comes_from_outside_is_a_word_and_nothing_more(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    hostile = replace(TRAIN, config="$(touch hacked)", sets=("name='; touch hacked'",))
    text = render(hostile, Request("run", 1, "10:00"), GENERIC)
    (tmp_path / "srun").write_text("#!/bin/bash\nprintf '%s\\n' \"$@\"\n")
    (tmp_path / "srun").chmod(0o755)
    (tmp_path / "job").write_text(text)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([bash, "job"], cwd=tmp_path, env=env, capture_output=True, text=True,
                          check=True)  # fmt: skip
    assert "$(touch hacked)" in done.stdout.splitlines()
    assert "name='; touch hacked'" in done.stdout.splitlines()
    assert not (tmp_path / "hacked").exists()


SMALL = Site.model_validate({
    "name": "small", "about": "a test", "partition": "gpu",
    "partitions": {
        "gpu": {
            "cores_per_host": 16, "gpus_per_host": 4, "gpu_options": ["--gres=gpu:{n}"],
            "max_hosts": 8, "max_time": "1-00:00:00", "needs_account": True,
        },
        "cpu": {"cores_per_host": 4},
    },
})  # fmt: skip


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"nodes": 9}, "9 are asked for, but site small, partition gpu gives a job at most 8"),
        ({"nodes": 0}, "nodes: 0 is not allowed; give at least 1"),
        ({"time": "2-00:00:00"}, "allows 1-00:00:00; give at most that, and --kind chain"),
        ({"time": "soon"}, "time: 'soon' is not allowed; give minutes, HH:MM:SS or D-HH:MM:SS"),
        ({"time": "0"}, "give more than nothing"),
        ({"account": ""}, "account: site small, partition gpu needs one; give --account"),
        ({"ranks_per_node": 17}, "host of site small, partition gpu has 16 cores; give at most 16"),
        ({"ranks_per_node": 6}, "6 ranks cannot share the 4 GPUs of a host"),
        ({"partition": "huge"}, "partition: 'huge' is none of site small; give one of gpu, cpu"),
        ({"time": "6"}, "6 leaves no time to work: the run is told to save 300 s before the end"),
        ({"kind": "chain", "time": "4"}, "give more than 00:06:00, or a smaller --margin"),
        ({"kind": "array", "time": "4", "margin_s": 240}, "give more than 00:05:00"),
        ({"account": "me\nrm"}, "account: 'me\\nrm' is not allowed; give letters"),
        ({"partition": "a b"}, "partition: 'a b' is not allowed; give letters, digits, dots"),
        ({"kind": "container"}, "image: a container needs one; give --image FILE.sif"),
    ],
)  # fmt: skip
def test_what_a_site_does_not_have_is_refused_with_its_limit(
    change: dict[str, object], text: str
) -> None:
    request = replace(Request("run", 2, "08:00:00", account="me"), **change)  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as raised:
        render(TRAIN, request, SMALL)
    assert text in str(raised.value)


def test_a_host_with_gpus_gets_a_rank_for_each() -> None:
    (group,) = groups_of(Request("run", 2, "08:00:00", account="me"), SMALL)
    assert (group.ranks, group.cores_per_rank, group.options) == (8, 4, ("--gres=gpu:4",))


@pytest.mark.parametrize(
    ("bind", "partition", "options"),
    [
        ("none", "gpu", " --gpu-bind=none "),
        ("single:1", "gpu", " --gpu-bind=single:1 "),
        ("", "gpu", " "),
        ("none", "cpu", " "),
    ],
)
def test_gpus_are_bound_as_the_site_says_where_there_are_any(
    bind: str, partition: str, options: str
) -> None:
    site = SMALL.model_copy(update={"launch": LaunchSection(gpu_bind=bind)})
    request = Request("run", 2, "08:00:00", account="me", partition=partition)
    text = render(TRAIN, request, site)
    assert f"exec srun --mpi=pmix --kill-on-bad-exit=1{options}\\\n" in text
    assert ("every rank sees all GPUs" in text) == ("none" in options)


def test_a_binding_is_one_word_for_srun(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text('name = "x"\nabout = "y"\n[launch]\ngpu_bind = "none; rm"\n')
    with pytest.raises(ConfigError, match=r'launch\.gpu_bind: "none; rm" is not .*closest'):
        read_site(str(path))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("10:30", 630), ("08:00:00", 28800), ("1-02", 93600), ("1-02:03", 93780),
     ("1-02:03:04", 93784)],
)  # fmt: skip
def test_times_are_read_as_slurm_reads_them(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds
    assert seconds_of(time_text(seconds)) == seconds


def test_a_site_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"site: 'nowhere' is not known; .*generic"):
        read_site("nowhere")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('[partitions.a]\nmax_time = "soon"',
         ['partitions.a.max_time: "soon" is not allowed; give a time such as 08:00:00 or '
          "2-00:00:00"]),
        ("partitions = 3", ["partitions: 3 is not allowed; give a table"]),
        ("partitions = { a = 3 }", ["partitions.a: 3 is not allowed; give a table"]),
        ("[partitions.a]\ngpus = 1\n",
         ["partitions.a.gpus: unknown key; allowed: cores_per_host, "
          "gpus_per_host, gpu_options, max_hosts, max_time, needs_account, options"]),
        ('[partitions.a]\ngpu_options = ["--gres=gpu:{x}"]',
         ['partitions.a.gpu_options: ["--gres=gpu:{x}"] is not allowed; give a list of texts such '
          'as "--gres=gpu:{n}", without other braces']),
        ('[partitions.a]\noptions = ["--qos=a\\nrm"]',
         ['partitions.a.options: ["--qos=a\\nrm"] is not allowed; give a list of texts of one '
          "line"]),
        ('[storage]\nrun_dir = "/scratch/{user}"',
         ['storage.run_dir: "/scratch/{user}" is not allowed; give a path such as '
          '"/scratch/me/{name}", without other braces']),
        ('partition = "a"', ["partition: 'a' has no table; add [partitions.a]"]),
    ],
)  # fmt: skip
def test_a_profile_that_makes_no_sense_is_refused_by_key(
    tmp_path: Path, text: str, lines: list[str]
) -> None:
    path = tmp_path / "site.toml"
    path.write_text(f'name = "x"\nabout = "y"\n{text}\n')
    with pytest.raises(ConfigError) as raised:
        read_site(str(path))
    assert str(raised.value).splitlines() == [f"site {path}: {line}" for line in lines]


@pytest.mark.parametrize("text", ["[", "\udcff"])
def test_a_profile_that_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "site.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=f"site {path}: not TOML: "):
        read_site(str(path))


@pytest.mark.parametrize("name", site_names())
def test_every_profile_has_a_page_that_says_what_is_in_it(name: str) -> None:
    site, page = read_site(name), (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# Site: {name}\n\nProfile `{name}`:")
    assert len(page.splitlines()) <= 60
    assert site.tested or "**Not tested**" in page
    named = {
        *site.partitions,
        *([f"carbon = {site.energy.carbon:g}"] if site.energy.carbon else []),
    }
    assert {word for word in named if f"`{word}`" not in page} == set()
    assert f"(sites/{name}.md)" in (PAGES.parent / "slurm.md").read_text(encoding="utf-8")


def test_every_page_is_of_a_profile() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == set(site_names())


@pytest.mark.parametrize("name", site_names())
def test_prices_and_carbon_of_a_profile_have_a_public_source(name: str) -> None:
    text = (Path(site_file.__file__).parent / "sites" / f"{name}.toml").read_text(encoding="utf-8")
    energy = text.partition("[energy]")[2].partition("\n[")[0]
    numbers = read_site(name).energy
    if any(number is not None for number in (numbers.tariff, numbers.carbon, numbers.pue)):
        assert "https://" in energy
        assert "read in" in energy


@pytest.mark.parametrize("name", site_names())
def test_every_profile_says_where_it_is_from_or_how_it_was_tested(name: str) -> None:
    site = read_site(name)
    assert site.tested or site.source.startswith("https://")
