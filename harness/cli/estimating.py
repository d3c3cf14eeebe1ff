"""The verbs `estimate` and `coordinates`: overrides in, text, JSON or a figure out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from harness.cli import command_line
from harness.errors import ConfigError, shown

if TYPE_CHECKING:
    from harness.config.run import RunConfig


def estimate(
    overrides: Sequence[str], *, as_json: bool, grid: bool, plot: str | None, measured: str | None
) -> int:
    """Print what the first loss of a config, or of each of a grid's, must be; maybe draw it."""
    from harness.data.dataset import load_data
    from harness.data.remarks import data_notes
    from harness.theory.estimate import describe, lines, table_lines

    several = grid or bool({"-m", "--multirun"}.intersection(overrides))
    several |= any("," in o.partition("=")[2] for o in overrides if o.startswith("loss="))
    runs = command_line.compose(overrides, multirun=several)
    if not runs:  # a flag of Hydra's that only looks, such as --cfg: it has printed
        return 0
    for text in data_notes(runs, {run.data: load_data(run.data) for run in runs}):
        click.echo(f"harness: {text}", err=True)
    if plot is not None:
        _draw(plot, runs, measured)
    elif measured is not None:
        raise ConfigError("--measured gives dots to a figure; name it with --plot FILE.")
    if as_json:
        found = [{"config": run.flat(), **describe(run)} for run in runs]
        click.echo(json.dumps(found if several else found[0], allow_nan=False))
    else:
        click.echo("\n".join(table_lines(runs) if several else lines(runs[0], describe(runs[0]))))
    return 0


def _draw(path: str, runs: Sequence[RunConfig], measured: str | None) -> None:
    from harness.render.figures.expected import plot_initial_loss

    table = None
    if measured is not None:
        from harness.analysis.sources import read_sweep

        table = read_sweep(measured)
    losses = list(dict.fromkeys(run.loss.name for run in runs))
    done = plot_initial_loss(path, runs[0], losses, table=table)
    click.echo(f"harness: drawn to {done}", err=True)


def coordinates(
    overrides: Sequence[str], *, widths: str, depths: str, steps: int, plot: str | None
) -> int:
    """Train a few steps at several widths and depths; print how spreads grow, maybe draw them."""
    from harness.engine.coordinates import check_coordinates, growth
    from harness.render import console

    runs = command_line.compose(overrides, multirun=False)
    if not runs:
        return 0
    (run,) = runs
    table = check_coordinates(
        run, widths=_sizes("--widths", widths), depths=_sizes("--depths", depths), steps=steps
    )
    if plot is not None:
        from harness.render.figures.coordinates import plot_coordinates

        click.echo(f"harness: drawn to {plot_coordinates(table, plot)}", err=True)
    console.paragraphs(growth(table))
    return 0


def _sizes(flag: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(
            f"{flag} is {shown(text)}; allowed: whole numbers with commas, such as 64,128."
        ) from None
