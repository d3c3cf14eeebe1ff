"""`harness train` and `harness sweep`: from a command line, through Hydra, to runs.

Hydra is called as a library: `sys.argv` stays untouched and every flag of Hydra's works. What could
run code is refused (guard) and what is misspelt is answered by name (spelling) before Hydra starts;
YAML files of the user's are checked as Hydra reads them, before anything is built from them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hydra import version
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from harness.cli.gridsize import check_points
from harness.cli.guard import check_setting, check_yaml
from harness.cli.spelling import check_form, check_names, quote_paths
from harness.config.run import RunConfig, run_config
from harness.config.settings import own_settings
from harness.errors import ConfigError, HarnessError, shown
from harness.paths import conf_dir

# a config of the user's own (-cp) has no defaults list of ours: Hydra would leave files behind,
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


# in what Hydra says of an override that its grammar does not know
GRAMMAR = ("overrid", "LexerNoViableAlt", "no viable alternative", "mismatched input", "extraneous")


@dataclass
class Task:
    """What Hydra calls: with one config for one run, with all of them (`fused`) for a grid."""

    again: bool = False
    dry_run: bool = False
    into: str | None = None
    quiet: bool = False
    overrides: tuple[str, ...] = ()
    exit_code: int = 0
    error: Exception | None = field(default=None, repr=False)

    def __call__(self, config: DictConfig) -> float | None:
        """Train one run; returns best/nll_val for a sweeper of another kind."""
        try:
            plain = OmegaConf.to_container(config, resolve=True)
            return self._run([plain], single=True)[0]
        except Exception as error:  # noqa: BLE001  Hydra would print its own lines around it
            self.error = error
            return None

    def fused(self, configs: Sequence[Any], jobs: Sequence[Sequence[str]]) -> list[Any]:
        """Train a whole grid; per job best/nll_val, or the exception that ended it."""
        del jobs  # what the user wrote names the sweep, not its thousands of points
        return self._run(configs, single=False)

    def _run(self, configs: Sequence[Any], *, single: bool) -> list[Any]:
        from harness.cli.sweep import Options, run_jobs_of

        options = Options(
            again=self.again, dry_run=self.dry_run, into=self.into, quiet=self.quiet, single=single
        )
        outcome = run_jobs_of(configs, options=options, overrides=self.overrides)
        self.exit_code = max(self.exit_code, outcome.exit_code)
        self.into = self.into or outcome.sweep_id  # later batches of one sweeper join the first
        return outcome.values


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
    _call(argv, task, multirun=multirun)
    return [run_config(own_settings(config)) for config in task.configs]


def run(argv: Sequence[str], *, multirun: bool) -> int:
    """Run one command line of `harness train` (or `sweep`: multirun); returns the exit code.

    Raises ConfigError or DataError for bad input, before any run is created.
    """
    own, rest = own_flags(argv)
    if own.into is not None and not (multirun or {"-m", "--multirun"}.intersection(rest)):
        raise ConfigError(
            f"--into is {shown(own.into)}, but harness train makes one run, which belongs to no "
            "sweep; allowed with harness sweep."
        )
    return _call(rest, Task(**vars(own)), multirun=multirun)


def _call(rest: Sequence[str], task: Task, *, multirun: bool) -> int:
    args = parse(quote_paths(rest))
    if args.experimental_rerun is not None:
        raise ConfigError(
            "--experimental-rerun is refused: it unpickles a file. Train a saved config again with "
            "-cp FOLDER -cn config, or use harness reproduce RUN."
        )
    looks_only = args.cfg or args.info or args.help or args.hydra_help or args.shell_completion
    args.multirun = not looks_only and (multirun or args.multirun)
    args.run = False if args.multirun or looks_only else args.run
    if not args.shell_completion:
        args.overrides = [text for text in args.overrides if text != "experiment=null"]
        check_overrides(args.overrides, foreign=bool(args.config_dir or args.config_path))
    elif any(text.startswith("query=") for text in args.overrides):
        _complete_after_verb()
    task.overrides = tuple(args.overrides)
    if args.config_path is not None:
        args.config_path = str(Path(args.config_path).expanduser().resolve())
        args.overrides += surroundings(args.overrides)
    _delegate(args, task)
    if task.error is not None:
        with clear_errors():
            raise task.error
    return task.exit_code


def _complete_after_verb() -> None:
    """Hydra completes what follows the command: let the verb count as a part of that.

    Its shell script says in COMP_LINE what was typed so far, and in COMP_POINT how far.
    """
    line = os.environ.get("COMP_LINE")
    if line is None:
        raise ConfigError(
            "COMP_LINE is not set, so there is nothing to complete: shells ask this, not people. "
            '`eval "$(harness train -sc install=bash)"` teaches it to bash.'
        )
    found = re.match(r"(\S+\s+)(train|sweep)\s+", line)
    if found:
        os.environ["COMP_LINE"] = found[1] + line[found.end() :]
        point = int(os.environ.get("COMP_POINT", len(line)))
        os.environ["COMP_POINT"] = str(max(len(found[1]), point - (found.end() - found.end(1))))


def own_flags(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Take out the flags that are harness's own; the rest is for Hydra."""
    parser = argparse.ArgumentParser(prog="harness", add_help=False, allow_abbrev=False)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--into", metavar="SWEEP")
    parser.add_argument("--quiet", action="store_true")
    parser.exit_on_error = False
    try:
        return parser.parse_known_args(list(argv))
    except argparse.ArgumentError as error:
        raise ConfigError(f"{error}; harness train --help lists the flags.") from None


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Hydra's flags and the overrides among them, in any order; ConfigError for an unknown flag."""
    parser = get_args_parser()
    parser.exit_on_error = False
    try:
        args, unknown = parser.parse_known_intermixed_args(list(argv))
    except argparse.ArgumentError as error:
        raise ConfigError(f"{error}; harness train --help lists the flags.") from error
    if unknown:
        raise ConfigError(f"{unknown[0]} is no flag; harness train --help lists them.")
    return args


def check_overrides(overrides: Sequence[str], *, foreign: bool) -> None:
    """Refuse what could run code or is misspelt. `foreign`: the user brings YAML of their own."""
    for text in overrides:
        check_form(text)
    parser, parsed = OverridesParser.create(), []
    for text in overrides:
        try:
            with clear_errors():
                parsed += parser.parse_overrides([text])
        except ConfigError as error:
            named = "" if text in str(error) else f"{shown(text)}: "
            raise ConfigError(f"{named}{error}") from error
    check_points(parsed)
    for override in parsed:
        for value in _values(override):
            check_setting(override.key_or_group, value)
    check_names(
        [(o.key_or_group, _values(o)) for o in parsed if not o.is_delete()], foreign=foreign
    )


def _values(override: Override) -> list[Any]:
    if override.is_sweep_override() and override.is_discrete_sweep():
        if override.value_type is not None and override.value_type.name == "GLOB_CHOICE_SWEEP":
            return []
        return [Override._convert_value(value) for value in override.sweep_iterator()]
    return [] if override.is_sweep_override() else [override.value()]


def surroundings(overrides: Sequence[str]) -> list[str]:
    """Hydra's settings for a config that does not come from conf/, where the user names none."""
    given = [text.lstrip("+~").split("=")[0] for text in overrides]
    added = [f"{key}={value}" for key, value in SURROUNDINGS.items() if key not in given]
    return [*added, f"hydra.searchpath=['file://{conf_dir()}']"]


def _delegate(args: argparse.Namespace, task: Task) -> None:
    version.setbase("1.3")
    with clear_errors(), _full_errors(), _checked_files():
        _run_hydra(
            args=args,
            args_parser=get_args_parser(),
            task_function=task,
            config_path=str(conf_dir()),
            config_name="config",
        )


@contextlib.contextmanager
def _full_errors() -> Iterator[None]:
    """Let Hydra raise instead of printing and leaving."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before


@contextlib.contextmanager
def clear_errors() -> Iterator[None]:
    """Hydra's and OmegaConf's complaints about a config as ConfigError, one line."""
    try:
        yield
    except BrokenPipeError:  # the reader of --help has gone: nothing is wrong with the settings
        raise
    except RecursionError:
        raise ConfigError("a setting is nested too deeply; write a plain value.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"this is no YAML: {' '.join(str(error).split())}.") from error
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, HarnessError):
            cause = cause.__cause__
        if cause is not None:
            raise cause from None
        if not isinstance(error, (HydraException, OmegaConfBaseException)) and not _hydras(error):
            raise
        raise ConfigError(in_words(error)) from error
    except Exception as error:
        if not _hydras(error):
            raise
        raise ConfigError(
            f"Hydra cannot read these settings ({type(error).__name__}: {error}); write plain "
            "values."
        ) from error


def in_words(error: Exception) -> str:
    """Hydra's or OmegaConf's message as one line, the setting first and no inner types."""
    text = " ".join(f"{error} {error.__cause__ or ''}".split())
    text = re.sub(r" See https://hydra\.cc/\S*override_grammar/\S*( for details)?", "", text)
    grid = re.search(r"Ambiguous value for argument '(.*?)' 1\.", text)
    if grid:
        name = grid[1].partition("=")[0]
        return (
            f"{grid[1]} gives {name} several values, which make a grid; allowed: a grid with "
            "`harness sweep` (`harness estimate --sweep`), a list as key=[a,b], a text with a "
            "comma quoted twice as 'key=\"a,b\"'."
        )
    if "BasicSweeper does not support" in text:
        return "a grid cannot hold an interval; allowed: key=a,b,c or key=range(start,stop,step)."
    key = getattr(error, "full_key", None)
    text = re.sub(r" (full_key: \S*|object_type=\S*|reference_type=\S*)", "", text)
    if any(sign in text for sign in GRAMMAR):
        text += ". Allowed: key=value, a grid as key=a,b; quote odd text twice: 'key=\"a b\"'"
    return f"{key}: {text}." if key else text or type(error).__name__


def _hydras(error: Exception) -> bool:
    """Whether an error was raised by Hydra itself: by its check of what it was given."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))
    return name.startswith(("hydra.", "omegaconf.", "antlr4."))


class CheckedSource(FileConfigSource):
    """Hydra's reader of YAML files, with a look at each file that is not the project's own."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Read one YAML file; ConfigError where it could run code."""
        path = Path(self.path, self._normalize_file_name(config_path)).resolve()
        if path.is_file() and not path.is_relative_to(conf_dir()):
            check_yaml(path)
        return super().load_config(config_path)


@contextlib.contextmanager
def _checked_files() -> Iterator[None]:
    Plugins.instance()  # fills the registry
    types = SourcesRegistry.instance().types
    before = types["file"]
    types["file"] = CheckedSource
    try:
        yield
    finally:
        types["file"] = before
