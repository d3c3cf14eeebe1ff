"""`harness train` and `harness sweep`: from a command line, through Hydra, to runs.

What could run code is refused (guard) and what is misspelt is answered by name (spelling) before
Hydra starts; the user's YAML files are checked as Hydra reads them, before anything is built
from them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli import hydra_api
from harness.cli.grid import Drawn, Shape, read_shape
from harness.cli.gridsize import check_points
from harness.cli.guard import check_setting
from harness.cli.spelling import check_form, check_names, quote_paths
from harness.config.run import RunConfig, run_config
from harness.config.settings import own_settings
from harness.errors import ConfigError, shown
from harness.paths import conf_dir

if TYPE_CHECKING:
    from harness.cli.ends import End

# the user's own config (-cp) has no defaults list of ours: Hydra would leave files behind,
# log to stdout and train one run after another
SURROUNDINGS = {
    "hydra.run.dir": ".",
    "hydra.sweep.dir": "runs",
    "hydra.output_subdir": "null",
    "hydra/job_logging": "none",
    "hydra/hydra_logging": "none",
    "hydra/launcher": "harness",
    "hydra/sweeper": "harness",
}


@dataclass
class Task:
    """What Hydra calls: with one config for one run, with all of them (`fused`) for a grid."""

    again: bool = False
    dry_run: bool = False
    into: str | None = None
    quiet: bool = False
    shape: Shape = field(default_factory=Shape)  # of the grid, beside what the config says
    drawn: Drawn | None = None  # what became of it; the sweeper says
    overrides: tuple[str, ...] = ()
    began: float = field(default_factory=time.monotonic)
    looked: bool = False  # a dry run has shown a batch
    ends: list[End] = field(default_factory=list)  # of the batches of a grid
    exit_code: int = 0
    error: Exception | None = field(default=None, repr=False)

    def __call__(self, config: Any) -> float | None:
        """Train one run; returns best/nll_val for a sweeper of another kind."""
        try:
            return self._run([hydra_api.plain(config)], single=True)[0]
        except Exception as error:  # noqa: BLE001  Hydra would print its own lines around it
            self.error = error
            return None

    def fused(self, configs: Sequence[Any], jobs: Sequence[Sequence[str]]) -> list[Any]:
        """Train a whole grid; per job best/nll_val, or the exception that ended it."""
        del jobs  # what the user wrote names the sweep, not its thousands of points
        return self._run(configs, single=False)

    def _run(self, configs: Sequence[Any], *, single: bool) -> list[Any]:
        from harness.cli.sweep import Options, run_jobs_of

        if self.dry_run and self.looked:  # a sweeper that learns: what follows hangs on the values
            return [0.0] * len(configs)
        self.looked = True
        options = Options(
            part=not single,
            again=self.again,
            dry_run=self.dry_run,
            into=self.into,
            quiet=self.quiet,
            single=single,
            drawn=self.drawn,
            began=self.began,
        )
        outcome = run_jobs_of(configs, options=options, overrides=self.overrides)
        self.exit_code = max(self.exit_code, outcome.exit_code)
        self.into = self.into or outcome.sweep_id  # later batches of one sweeper join the first
        if not single and outcome.end is not None:
            self.ends.append(outcome.end)
        return outcome.values

    def tell(self) -> None:
        """Report the end of a grid, once for all its batches."""
        from harness.cli.ends import joined

        if self.ends:
            joined(self.ends).tell()


@dataclass
class Look(Task):
    """Keeps the composed configs and trains nothing."""

    configs: list[Any] = field(default_factory=list)

    def _run(self, configs: Sequence[Any], *, single: bool) -> list[Any]:
        del single
        self.configs += configs
        return [0.0] * len(configs)


def compose(argv: Sequence[str], *, multirun: bool) -> list[RunConfig]:
    """The runs that a command line of `train` or `sweep` means; nothing is trained or written."""
    task = Look()
    call(argv, task, multirun=multirun)
    return [run_config(own_settings(config)) for config in task.configs]


def run(argv: Sequence[str], *, multirun: bool) -> int:
    """Run one command line of `harness train` (or `sweep`: multirun); returns the exit code.

    Raises ConfigError or DataError for bad input, before any run is created.
    """
    own, rest = own_flags(argv)
    grid = multirun or bool({"-m", "--multirun"}.intersection(rest))
    for name in ("into", "zip", "drop"):
        value = getattr(own, name)
        if value and not grid:
            told = value if isinstance(value, str) else value[0]
            raise ConfigError(
                f"--{name} is {shown(told)}, but harness train makes one run, which belongs to no "
                "sweep; allowed with harness sweep."
            )
    shape = read_shape([text.split(",") for text in own.zip], own.drop, where="--")
    task = Task(
        again=own.again, dry_run=own.dry_run, into=own.into, quiet=own.quiet, shape=shape,
        overrides=(*(f"--zip={text}" for text in own.zip), *(f"--drop={t}" for t in own.drop)),
    )  # fmt: skip
    return call(rest, task, multirun=multirun)


def call(rest: Sequence[str], task: Task, *, multirun: bool) -> int:
    """Hand the rest of a command line and a task to Hydra; returns the exit code."""
    args = hydra_api.parse_flags(quote_paths(rest))
    if args.experimental_rerun is not None:
        raise ConfigError(
            "--experimental-rerun is refused: it unpickles a file. Train a saved config again with "
            "-cp FOLDER -cn config, or use harness reproduce RUN."
        )
    if args.shell_completion:
        return _complete(args.overrides)
    looks_only = args.cfg or args.info or args.help or args.hydra_help
    args.multirun = not looks_only and (multirun or args.multirun)
    args.run = False if args.multirun or looks_only else args.run
    args.overrides = [text for text in args.overrides if text != "experiment=null"]
    foreign = bool(args.config_dir or args.config_path)
    check_overrides(args.overrides, foreign=foreign, zipped=task.shape.zip)
    task.overrides = (*args.overrides, *task.overrides)
    if args.config_path is not None:
        args.config_path = str(Path(args.config_path).expanduser().resolve())
        args.overrides += surroundings(args.overrides)
    try:
        hydra_api.run_hydra(args, task)
    finally:
        task.tell()
    if task.error is not None:
        with hydra_api.clear_errors():
            raise task.error
    return task.exit_code


def _complete(words: Sequence[str]) -> int:
    """Hydra's -sc install=SHELL, uninstall=SHELL and query=SHELL, for all verbs."""
    from harness.cli import shells

    for word in words:
        what, _, shell = word.partition("=")
        if what in ("install", "uninstall", "query") and shell in shells.SHELLS:
            sys.stdout.write(f"{shells.asked(what, shell)}\n")
            return 0
    raise ConfigError(
        f"-sc is followed by {shown(' '.join(words))}; allowed: one of install=, uninstall= and "
        f"query=, with {', '.join(shells.SHELLS)}, such as install=bash. harness completion bash "
        "says the same."
    )


def own_flags(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Take out the flags that are harness's own; the rest is for Hydra."""
    parser = argparse.ArgumentParser(prog="harness", add_help=False, allow_abbrev=False)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--into", metavar="SWEEP")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--zip", metavar="K1,K2", action="append", default=[])
    parser.add_argument("--drop", metavar="CONDITIONS", action="append", default=[])
    parser.exit_on_error = False
    try:
        return parser.parse_known_args(list(argv))
    except argparse.ArgumentError as error:
        raise ConfigError(f"{error}; harness train --help lists the flags.") from None


def check_overrides(
    overrides: Sequence[str], *, foreign: bool, zipped: Sequence[Sequence[str]] = ()
) -> None:
    """Refuse what could run code or is misspelt. `foreign`: the user brings YAML of their own."""
    for text in overrides:
        check_form(text)
    settings = hydra_api.parse_overrides(overrides)
    check_points(settings, zipped)
    for setting in settings:
        for value in setting.values:
            check_setting(setting.key, value)
    check_names([(s.key, s.values) for s in settings if not s.deletes], foreign=foreign)


def surroundings(overrides: Sequence[str]) -> list[str]:
    """Hydra's settings for a config that does not come from conf/, where the user names none."""
    given = [text.lstrip("+~").split("=")[0] for text in overrides]
    added = [f"{key}={value}" for key, value in SURROUNDINGS.items() if key not in given]
    return [*added, f"hydra.searchpath=['file://{conf_dir()}']"]
