"""Hydra's insides, wrapped: its flags, its grammar, its errors, its run.

No module but the hydra_* touches what Hydra keeps to itself, so a change is met there alone. Hydra
is called as a library: `sys.argv` stays untouched and every flag of Hydra's works.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from hydra import __version__ as installed
from hydra import version
from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from harness.cli import grid
from harness.cli.explaining import overview
from harness.cli.gridsize import check_points, check_total, range_length
from harness.cli.hydra_files import checked_files
from harness.cli.hydra_messages import in_words
from harness.cli.hydra_printing import resolved_whole, wrapped
from harness.cli.near import no_flag
from harness.cli.space import REPLICATES, Dimension, Space, check_space
from harness.cli.spelling import known_keys
from harness.config.settings import FREE
from harness.errors import ConfigError, HarnessError, shown
from harness.paths import conf_dir

Plain = dict[str, Any]
# what Hydra 1.3 must be told of its defaults; 1.4 has no older ones, and warns of being told
BASE = {"version_base": "1.3"} if installed.startswith("1.3.") else {}
OWN = ("hydra.", "omegaconf.", "antlr4.")  # packages whose errors are about what they were given


def parse_flags(argv: Sequence[str]) -> argparse.Namespace:
    """Hydra's flags and the overrides among them, in any order; ConfigError for an unknown flag."""
    parser = get_args_parser()
    parser.exit_on_error = False
    try:
        args, unknown = parser.parse_known_intermixed_args(list(argv))
    except argparse.ArgumentError as error:
        raise ConfigError(f"{error}; harness train --help lists the flags.") from error
    if unknown:
        flags = [name for action in parser._actions for name in action.option_strings]
        others = [name for name in flags if name.startswith("--")]
        raise no_flag(unknown[0], others, known_keys())
    return args


def may_add(text: str) -> str:
    """An override, marked for Hydra where it sets what a component declares for itself.

    No YAML of ours can hold such a key, so it is one that may be added.
    """
    return f"++{text}" if text.startswith(FREE) else text


class Setting:
    """One override as Hydra's grammar reads it."""

    def __init__(self, override: Override) -> None:
        self._override = override
        self.text = override.input_line or ""
        self.key = override.key_or_group
        self.deletes = override.is_delete()

    @property
    def points(self) -> int:
        """How many points of a grid it makes, counted without making them; 1 for one value."""
        if not self._override.is_sweep_override() or not self._override.is_discrete_sweep():
            return 1
        value: Any = self._override.value()
        if hasattr(value, "step"):
            return range_length(self.text, value.start, value.stop, value.step)
        return len(value.list) if hasattr(value, "list") else 1

    @property
    def values(self) -> list[Any]:
        """Its plain values; none where Hydra alone knows them (a glob, an interval)."""
        override = self._override
        if not override.is_sweep_override():
            return [override.value()]
        if not override.is_discrete_sweep() or override.value_type is ValueType.GLOB_CHOICE_SWEEP:
            return []
        return [Override._convert_value(value) for value in override.sweep_iterator()]


def parse_overrides(texts: Sequence[str]) -> list[Setting]:
    """Parse overrides one by one; ConfigError names the first that Hydra's grammar refuses."""
    parser, parsed = OverridesParser.create(), []
    for text in texts:
        try:
            with clear_errors():
                parsed += parser.parse_overrides([text])
        except ConfigError as error:
            named = "" if text in str(error) else f"{shown(text)}: "
            raise ConfigError(f"{named}{error}") from error
    return [Setting(override) for override in parsed]


def read_space(loader: ConfigLoader, params: Mapping[str, Any], arguments: Sequence[str]) -> Space:
    """What a search varies: the axes of a config and of a command line, intervals included."""
    parser = OverridesParser.create(config_loader=loader)
    given = [f"{key}={_listed(key, value)}" for key, value in params.items()]
    found: dict[str, Override] = {}
    for override in parser.parse_overrides([*given, *arguments]):
        found[override.get_key_element()] = override
    fixed, dimensions, replicates = [], [], []
    for key, override in found.items():
        if not override.is_sweep_override():
            fixed.append(f"{key}={override.get_value_element_as_str()}")
        elif key in REPLICATES:
            if not override.is_discrete_sweep():
                raise ConfigError(f"{override.input_line}: seeds are a list, such as {key}=0,1,2.")
            replicates.append((key, tuple(map(str, override.sweep_string_iterator()))))
        else:
            dimensions.append(_dimension(key, override))
    check_space(dimensions)
    return Space(tuple(fixed), tuple(dimensions), tuple(replicates))


def _dimension(key: str, override: Override) -> Dimension:
    value: Any = override.value()
    log = "log" in getattr(value, "tags", ())
    other = set(getattr(value, "tags", ())) - {"log"}
    if other:
        raise ConfigError(f"{override.input_line}: tag {min(other)}; allowed: log.")
    if override.value_type is ValueType.INTERVAL_SWEEP:
        whole = isinstance(value.start, int) and isinstance(value.end, int)
        low, high = float(value.start), float(value.end)
        return Dimension(key=key, low=low, high=high, log=log, step=1 if whole else None)
    texts = tuple(map(str, override.sweep_string_iterator()))
    if log:
        raise ConfigError(
            f"{override.input_line}: a choice has no scale; allowed: tag(log,interval(low,high))."
        )
    numbers = [value.start, value.step] if override.value_type is ValueType.RANGE_SWEEP else []
    if numbers and all(isinstance(n, int) for n in numbers) and len(texts) > 1 and value.step > 0:
        step = int(value.step)
        return Dimension(key=key, low=float(texts[0]), high=float(texts[-1]), step=step)
    return Dimension(key=key, choices=texts)


def grid_jobs(
    loader: ConfigLoader, params: Mapping[str, Any], arguments: Sequence[str], shape: grid.Shape
) -> tuple[list[list[str]], grid.Drawn]:
    """The overrides of every point of a grid, the last axis fastest, and the grid in words.

    params: axes that a config brings (`hydra.sweeper.params`), to which each of shape.grids adds
    its own; arguments take their place where they name the same key. `shape.drop` is the
    sweeper's to apply, to composed points. ConfigError for an interval, an empty axis, too many
    points, or lists that cannot be paired.
    """
    parser = OverridesParser.create(config_loader=loader)
    every = []
    for own in shape.grids or ({},):
        given = {**params, **own}
        texts = [may_add(f"{key}={_listed(key, value)}") for key, value in given.items()]
        every.append(_axes(parser.parse_overrides([*texts, *arguments]), shape.zip))
    grid.check_zips(every, shape.zip)
    drawn, jobs = grid.Drawn(), []
    for axes in every:
        zipped = grid.applicable(axes, shape.zip)
        jobs += grid.points(axes, zipped)
        drawn.axes.append(grid.in_words(axes, zipped))
    drawn.points = len(jobs)
    check_total(len(jobs))
    return jobs, drawn


def _listed(key: str, value: Any) -> Any:
    """An axis as Hydra's grammar has it; a YAML list is answered with the text it should be."""
    if isinstance(value, (list, tuple)) or OmegaConf.is_list(value):
        text = ",".join(str(one) for one in value)
        raise ConfigError(
            f"hydra.sweeper.params: {key} is the list {list(value)}, which would be one value; for "
            f"an axis write the text '{text}', for one value that is a list '[{text}]'."
        )
    return value


def _axes(overrides: Sequence[Override], zipped: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    last = {override.get_key_element().lstrip("+"): override for override in overrides}
    check_points([Setting(override) for override in last.values()], zipped)
    axes: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        name = key.lstrip("+")
        if not override.is_sweep_override():
            axes[name] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            axes[name] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise ConfigError(
                f"{override.input_line}: a grid cannot hold an interval; allowed: key=a,b,c or "
                "key=range(start,stop,step)."
            )
    return axes


def run_hydra(args: argparse.Namespace, task: Any) -> None:
    """Call Hydra as its own `main` would: `task(config)` for one run, the launcher for a grid."""
    if BASE:
        version.setbase(BASE["version_base"])
    args.overrides = [may_add(text) for text in args.overrides]
    # for --help; with OmegaConf 2.4, which Hydra 1.4 brings, the new kind took over the old name
    register = getattr(OmegaConf, "register_new_resolver" if BASE else "register_resolver")
    register("harness.settings", overview, replace=True)
    helping, whole = args.help or args.hydra_help, args.cfg == "hydra" and args.resolve
    args.help, args.hydra_help = helping, False  # our page has what Hydra's says
    around = wrapped() if helping else resolved_whole() if whole else contextlib.nullcontext()
    with clear_errors(), _full_errors(), checked_files(), around:
        _run_hydra(
            args=args,
            args_parser=get_args_parser(),
            task_function=task,
            config_path=str(conf_dir()),
            config_name="config",
        )


def plain(config: DictConfig) -> Plain:
    """A composed config as plain values, interpolations resolved."""
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


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


def _hydras(error: Exception) -> bool:
    """Whether an error was raised by Hydra itself: by its check of what it was given."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))
    return name.startswith(OWN)
