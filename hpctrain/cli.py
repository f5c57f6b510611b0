"""The command line. Every command imports what it needs when it runs, so that help is at once."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import click

from hpctrain.cli_energy import energy
from hpctrain.errors import HpctrainError

if TYPE_CHECKING:
    from hpctrain.config import RunConfig


class _Commands(click.Group):
    """Prints the errors that are meant for people, and nothing but their text."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except HpctrainError as error:
            from hpctrain.cluster.refusal import refuse

            refuse(error)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hpctrain")
def main() -> None:
    r"""Train PyTorch models on islands of ranks that share what they learn lazily.

    \b
    On a workstation:  hpctrain launch -n 4 train run.toml
    On a cluster:      srun -n 64 hpctrain train run.toml
    """


_set_option = click.option(
    "--set",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="Set one key, such as method.sync_every=20; may be repeated.",
)


@main.command()
@click.argument("config", type=click.Path())
@_set_option
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint of the run.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def train(config: str, overrides: tuple[str, ...], resume: bool, quiet: bool) -> NoReturn:
    """Train what the TOML file CONFIG describes, on all ranks of this job."""
    from hpctrain.cluster.signals import remember

    remember()
    settings = _training_settings(config, overrides, resume, quiet)
    from hpctrain.compose.train import train as run

    sys.exit(run(settings))


@main.command()
@click.argument("config", type=click.Path())
@_set_option
@click.option("--workers", type=click.IntRange(min=1), help="How many workers to imagine.")
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint of the run.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def simulate(
    config: str, overrides: tuple[str, ...], workers: int | None, resume: bool, quiet: bool
) -> NoReturn:
    """Run CONFIG in virtual time, in this one process, without MPI."""
    extra = () if workers is None else (f"simulate.workers={workers}",)
    settings = _training_settings(config, (*overrides, *extra), resume, quiet)
    from hpctrain.compose.simulate import simulate as run

    sys.exit(run(settings))


@main.command()
@click.argument("config", type=click.Path())
@_set_option
@click.option("--resume", is_flag=True, help="Go on with the search in the run directory.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def search(config: str, overrides: tuple[str, ...], resume: bool, quiet: bool) -> NoReturn:
    """Search the space that the TOML file CONFIG describes, on all ranks of this job."""
    from hpctrain.cluster.signals import remember

    remember()
    settings = _search_settings(config, overrides, resume, quiet)
    from hpctrain.compose.search import search_file as run

    sys.exit(run(settings))


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
def replay(run: Path) -> NoReturn:
    """Repeat the recorded run in the directory RUN and compare it bit for bit."""
    from hpctrain.compose.replay import replay as repeat

    sys.exit(repeat(run))


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--plot", is_flag=True, help="Draw the run as well.")
@click.option(
    "--format", "fmt", type=click.Choice(["png", "svg"]), default="png", help="Of the drawing."
)
@click.option(
    "--top", type=click.IntRange(min=1), default=10, help="How many candidates of a search."
)
@click.option("--html", is_flag=True, help="Write a search as one page as well.")
def show(run: Path, plot: bool, fmt: str, top: int, html: bool) -> NoReturn:
    """Say what happened in the training or search in the directory RUN."""
    from hpctrain.compose.show import show as tell

    sys.exit(tell(run, plot, fmt, top, html))


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--to", type=click.Choice(["csv", "json", "optuna"]), required=True, help="Which format."
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def export(run: Path, to: Literal["csv", "json", "optuna"], file: Path) -> None:
    """Write the candidates of the search in the directory RUN into FILE.

    For optuna FILE is an SQLite storage if it ends in .db, .sqlite or .sqlite3, else a journal.
    """
    from hpctrain.compose.export import export as write

    click.echo(write(run, to, file))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For programs instead of people.")
def doctor(as_json: bool) -> NoReturn:
    """Check this machine: MPI, threads, devices, energy sensors, leftovers of dead jobs."""
    from hpctrain.cluster.doctor import doctor as examine

    sys.exit(examine(as_json))


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--quiet", is_flag=True, help="Only the exit code: 0 finished, 3 not finished.")
def status(run: Path, quiet: bool) -> NoReturn:
    """Say how the run in the directory RUN stands, and its jobs in Slurm."""
    from hpctrain.compose.status import status as tell

    sys.exit(tell(run, quiet))


_KINDS = (
    "run", "chain", "array", "preemptible", "heterogeneous", "restarting", "container", "calibrate"
)  # fmt: skip


@main.command()
@click.argument("config", type=click.Path())
@click.option("--site", default="generic", metavar="NAME|FILE", help="Profile of the machine.")
@click.option("--nodes", type=int, default=1, help="Hosts.")
@click.option("--time", "wall_time", required=True, metavar="T", help="Such as 08:00:00.")
@click.option("--kind", type=click.Choice(_KINDS), default="run", help="See docs/slurm.md.")
@click.option("--ranks-per-node", type=click.IntRange(min=1), help="Else one per GPU, or one.")
@click.option("--partition", default="", help="Else the site's.")
@click.option("--account", default="", help="Project that pays.")
@click.option("--array", type=click.IntRange(min=1), default=4, help="Tasks of an array.")
@click.option("--second", default="", metavar="[PARTITION:]N", help="Second kind of hosts.")
@click.option("--image", default="", metavar="FILE", help="Of a container.")
@click.option("--margin", type=click.IntRange(min=1), default=300, help="Seconds for saving.")
@_set_option
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="FILE.")
@click.option("--submit", is_flag=True, help="Submit it and print the job's number.")
@click.option("--dry-run", is_flag=True, help="Ask Slurm whether it would take it.")
def jobscript(
    config: str,
    site: str,
    overrides: tuple[str, ...],
    output: Path | None,
    submit: bool,
    dry_run: bool,
    **asked: Any,
) -> NoReturn:
    """Make a job script for Slurm that trains or searches what CONFIG describes."""
    from hpctrain.compose.jobscript import Wanted, request_of
    from hpctrain.compose.jobscript import jobscript as make

    sys.exit(make(config, site, request_of(**asked), overrides, Wanted(output, submit, dry_run)))


@main.command()
@click.argument("study", type=click.Path())
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; else one per core.")
@click.option("--html", is_flag=True, help="Write one page as well.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@click.option("--finished", is_flag=True, help="Run nothing, show the places that are complete.")
def compare(study: str, jobs: int | None, html: bool, quiet: bool, finished: bool) -> NoReturn:
    """Compare methods in virtual time as the TOML file STUDY says, each tuned alike.

    What was computed before, by an interrupted or a smaller study, is not computed again.
    """
    from hpctrain.compose.studies import compare as run

    sys.exit(run(study, jobs, html, quiet, finished))


main.add_command(energy)


@main.command(
    # What follows the ranks' own command is theirs, options included.
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.option("-n", "num_ranks", type=int, required=True, metavar="N", help="How many ranks.")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def launch(num_ranks: int, args: tuple[str, ...]) -> NoReturn:
    """Start N ranks on this machine that run ARGS: `train run.toml` or `script.py ...`.

    On a cluster use srun or mpirun instead: `srun hpctrain train run.toml`.
    """
    if args[:1] == ("train",):
        _check_before_launch(train, _training_settings, args[1:])
    if args[:1] == ("search",):
        _check_before_launch(search, _search_settings, args[1:])
    from hpctrain.cluster.launch import launch as start

    sys.exit(start(num_ranks, args))


def _check_before_launch(
    command: click.Command, check: Callable[..., "RunConfig"], args: Sequence[str]
) -> None:
    """Wrong settings end here, in one process, not in N that are already connected."""
    with command.make_context(f"hpctrain {command.name}", list(args)) as context:
        check(**context.params)


def _training_settings(
    config: str, overrides: tuple[str, ...], resume: bool, quiet: bool
) -> "RunConfig":
    return _settings(config, overrides, resume, quiet, search=False)


def _search_settings(
    config: str, overrides: tuple[str, ...], resume: bool, quiet: bool
) -> "RunConfig":
    return _settings(config, overrides, resume, quiet, search=True)


def _settings(
    config: str, overrides: tuple[str, ...], resume: bool, quiet: bool, search: bool
) -> "RunConfig":
    from hpctrain.config import load_config

    extra = []
    if resume:
        extra.append("checkpoint.resume=true")
    if quiet:
        extra.append("progress.show='none'")
    return load_config(config, (*overrides, *extra), search)


if __name__ == "__main__":
    main()
