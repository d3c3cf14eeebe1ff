"""The verbs that train, or say beforehand what training begins with."""

from __future__ import annotations

import click

from harness.cli.options import (
    JSON,
    LEDGER,
    OPEN,
    OVERRIDES,
    URI,
    Overriding,
    cli,
    completing,
    picture,
)


@cli.command(cls=Overriding, context_settings=OPEN, add_help_option=False)
@OVERRIDES
def train(overrides: tuple[str, ...]) -> int:
    """Train one run: harness train loss=mse optim.lr=.05 (-m: a grid; --help: all settings)."""
    from harness.cli import command_line

    return command_line.run(overrides, multirun=False)


@cli.command(cls=Overriding, context_settings=OPEN, add_help_option=False)
@OVERRIDES
def sweep(overrides: tuple[str, ...]) -> int:
    """Train a grid: harness sweep loss=mse,bce seed=0,1 (--dry-run, --into SWEEP, --quiet)."""
    from harness.cli import command_line

    return command_line.run(overrides, multirun=True)


@cli.command(cls=Overriding, context_settings=OPEN, add_help_option=False)
@OVERRIDES
def search(overrides: tuple[str, ...]) -> int:
    """Search a space for its best: harness search 'optim.lr=tag(log,interval(.003,3))' seed=0,1."""
    from harness.cli.search import run

    return run(overrides)


@cli.command()
@click.argument("sweep", default="newest", shell_complete=completing("sweeps"))
@click.option("--top", default=5, show_default=True, help="How many of the best configurations.")
@click.option("--seeds", default=10, show_default=True, help="Fresh seeds for each of them.")
@click.option("--quiet", is_flag=True, help="Say nothing of progress.")
@LEDGER
@URI
def confirm(
    sweep: str, top: int, seeds: int, quiet: bool, ledger: str | None, uri: str | None
) -> int:
    """Train the best configurations of a sweep again, on seeds that did not choose them.

    SWEEP: the first digits of a sweep's id, or newest (the default).
    """
    from harness.cli.confirm import confirm as verb

    return verb(sweep, top=top, seeds=seeds, ledger=ledger or "runs", uri=uri, quiet=quiet)


@cli.command()
@click.argument("run", shell_complete=completing("runs"))
@JSON
@LEDGER
@URI
def reproduce(run: str, as_json: bool, ledger: str | None, uri: str | None) -> int:
    """Train a finished run again, alone, and compare every number and weight.

    RUN is a run id, the first digits of one, an MLflow run id, a saved config.yaml, newest, best
    (of the newest sweep) or best:SWEEP. Exit code 0: equal to the last bit, or on another platform
    within the stated tolerance; 1: not.
    """
    import json

    from harness.analysis.claims import find_claim
    from harness.analysis.places import places
    from harness.analysis.reproduction import reproduce as again
    from harness.cli.progress import progress
    from harness.render import console

    claim = find_claim(run, places(ledger, uri))
    steps = {claim.run_id: claim.config.train.steps}
    with progress(steps, {claim.run_id: claim.config.loss.name}) as meter:
        found = again(claim, progress=lambda done, _: meter.step([claim.run_id], done))
    if as_json:
        click.echo(json.dumps(found.to_plain()))
    else:
        console.paragraphs(found.lines())
    return 0 if found.good else 1


@cli.command(context_settings={"ignore_unknown_options": True})
@OVERRIDES
@JSON
@click.option("--sweep", "grid", is_flag=True, help="A grid (a=1,2): one line per configuration.")
@click.option(
    "--plot",
    callback=picture,
    shell_complete=completing("files"),
    help="Draw expected loss over weight scale to a file.",
)
@click.option(
    "--measured",
    metavar="SWEEP",
    shell_complete=completing("sweeps"),
    help="With --plot: dots of a sweep's runs.",
)
def estimate(
    overrides: tuple[str, ...], as_json: bool, grid: bool, plot: str | None, measured: str | None
) -> int:
    """Expected initial loss, logit spread and floors of a config, without training.

    OVERRIDES as for train: harness estimate init.scheme=normal init.bias=normal. With --plot,
    loss=a,b draws several losses.
    """
    from harness.cli.estimating import estimate as verb

    return verb(overrides, as_json=as_json, grid=grid, plot=plot, measured=measured)


@cli.command(context_settings={"ignore_unknown_options": True})
@OVERRIDES
@click.option("--widths", default="32,64,128,256,512", show_default=True)
@click.option("--depths", default="1,2,4", show_default=True, help="Hidden layers.")
@click.option(
    "--steps", default=10, show_default=True, help="Training steps between the two measurements."
)
@click.option(
    "--plot",
    callback=picture,
    shell_complete=completing("files"),
    help="Draw the check to a file (.svg, .png, .pdf).",
)
def coordinates(
    overrides: tuple[str, ...], widths: str, depths: str, steps: int, plot: str | None
) -> int:
    """Check that activations keep their size as the network grows in width and depth."""
    from harness.cli.estimating import coordinates as verb

    return verb(overrides, widths=widths, depths=depths, steps=steps, plot=plot)
