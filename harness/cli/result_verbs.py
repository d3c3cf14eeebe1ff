"""The verbs about runs that are there: shown, compared, drawn from, written again, removed."""

from __future__ import annotations

import functools
import sys
from typing import Any

import click

from harness.cli.options import JSON, LEDGER, STORE, URI, cli, completing, output, picture
from harness.errors import ConfigError


@cli.command(name="list")
@click.argument("sweep", required=False, shell_complete=completing("sweeps"))
@JSON
@LEDGER
@click.option("--uri", help="MLflow's address; its sweeps are listed too.")
def list_(sweep: str | None, as_json: bool, ledger: str | None, uri: str | None) -> int:
    """List the sweeps and single runs there are, newest first; of a SWEEP, its runs."""
    from harness.cli import inspect_verbs

    return inspect_verbs.list_verb(sweep, as_json=as_json, ledger=ledger, uri=uri)


@cli.command()
@click.argument("run", shell_complete=completing("runs"))
@click.option("--config", is_flag=True, help="Print only its config.yaml, which trains it again.")
@click.option(
    "--plot", callback=picture, shell_complete=completing("files"),
    help="Draw its curves and boundary (.svg, .png, .pdf).",
)  # fmt: skip
@click.option("--insides", is_flag=True, help="With --plot: what goes on in its layers too.")
@JSON
@LEDGER
@STORE
def show(run: str, **asked: Any) -> int:
    """Show one run: settings, numbers, where it came from; or a sweep: where its time went.

    RUN is the id of a run or of a sweep of the ledger, its first digits, newest (a sweep or single
    run), best (of the newest sweep) or best:SWEEP. --plot FILE draws the run's curves and, where
    inputs are points in the plane, its decision boundary.
    """
    from harness.cli import inspect_verbs

    return inspect_verbs.show_verb(run, **asked)


@cli.command()
@click.argument("first", shell_complete=completing("runs"))
@click.argument("second", shell_complete=completing("runs"))
@JSON
@LEDGER
@STORE
def diff(first: str, second: str, as_json: bool, ledger: str | None, uri: str | None) -> int:
    """Show what two runs differ in: settings first, then numbers."""
    from harness.cli import inspect_verbs

    return inspect_verbs.diff_verb(first, second, as_json=as_json, ledger=ledger, uri=uri)


@cli.command()
@click.argument("sweeps", nargs=-1, metavar="[SWEEP]...", shell_complete=completing("sweeps"))
@click.option(
    "--by", multiple=True, metavar="KEY", shell_complete=completing("keys"),
    help="One row per value of this setting, all else pooled; twice: a table of both.",
)  # fmt: skip
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="Metrics to give.",
    shell_complete=completing("metrics"),
)
@click.option(
    "--where",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only these runs; < > != too.",
    shell_complete=completing("conditions"),
)
@click.option(
    "--baseline", multiple=True, metavar="KEY=VALUE,...",
    shell_complete=completing("conditions"),
    help="Differences from the runs that have these settings, paired by seed.",
)  # fmt: skip
@click.option(
    "--sort",
    default="",
    metavar="NAME",
    help="Setting or metric; -NAME reverses the order.",
    shell_complete=completing("metrics"),
)
@click.option("--all-rates", is_flag=True, help="Pool over learning rates, not each loss's best.")
@JSON
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated rows on stdout.")
@LEDGER
@STORE
def compare(**asked: Any) -> int:
    """Compare configurations, replicates folded: mean, spread and 95 % interval.

    SWEEP: the first digits of a sweep's or run's id, an experiment's name, newest (the default) or
    all. Several are compared together: harness compare RUN RUN.
    """
    from harness.cli import inspect_verbs

    return inspect_verbs.compare_verb(**asked)


@cli.command()
@click.argument("sweeps", nargs=-1, metavar="[SWEEP]...", shell_complete=completing("sweeps"))
@click.option(
    "-o",
    "--out",
    callback=output,
    shell_complete=completing("files"),
    help="HTML file; default: report-SWEEP.html here.",
)
@LEDGER
@URI
def report(sweeps: tuple[str, ...], out: str | None, ledger: str | None, uri: str | None) -> int:
    """Explain sweeps or runs in one HTML file that needs nothing else; kept in MLflow too."""
    from harness.render.publishing import publish

    return publish(sweeps, out, ledger=ledger, uri=uri)


@cli.command()
@click.argument("run", shell_complete=completing("runs"))
@click.option("-n", "n", type=int, help="How many words (20), or characters of running text (500).")
@click.option(
    "--temperature", type=float, default=1.0, show_default=True,
    help="Below 1 keeps to likely symbols, above 1 dares more; 0 always takes the likeliest.",
)  # fmt: skip
@click.option(
    "--seed", type=int, default=0, show_default=True, help="The same seed, the same words."
)
@click.option("--calibrated", is_flag=True, help="By the link and temperature fitted to the run.")
@JSON
@LEDGER
@URI
def sample(  # noqa: PLR0913  one argument an option
    run: str, n: int | None, temperature: float, seed: int, calibrated: bool, as_json: bool,
    ledger: str | None, uri: str | None,
) -> int:  # fmt: skip
    """Draw words from a trained run, and mark those it has memorised; or running text.

    RUN is a run id, the first digits of one, an MLflow run id, a saved config, newest, best (of the
    newest sweep) or best:SWEEP.
    """
    from harness.analysis import sampling
    from harness.analysis.lookup import find_record
    from harness.analysis.places import places

    record = find_record(run, places(ledger, uri))
    found = sampling.sample(
        record, n, temperature=temperature, seed=seed, calibrated=calibrated
    )  # fmt: skip
    shown: dict[str, Any] = {"temperature": temperature, "seed": seed, "calibrated": calibrated}
    if as_json:
        import json

        click.echo(json.dumps(sampling.as_plain(record, *found, **shown)))
    else:
        click.echo("\n".join(sampling.lines(record, *found, **shown)))
    return 0


@cli.command()
@LEDGER
@URI
def sync(ledger: str | None, uri: str | None) -> int:
    """Write to MLflow what the ledger holds and MLflow lacks; safe to repeat."""
    from harness.config.settings import Tracking
    from harness.records.ledger import Ledger
    from harness.tracking.tracker import sync as write_again

    say = functools.partial(click.echo, err=True)
    found = write_again(Ledger(ledger or "runs"), Tracking(uri=uri), say=say)
    busy = f"; {found.behind} are left to the sweeps that train them" if found.behind else ""
    click.echo(f"{found.written} runs written to MLflow{busy}.")
    return 0


@cli.command()
@click.argument("sweep", shell_complete=completing("sweeps"))
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@LEDGER
@URI
def rm(sweep: str, dry_run: bool, yes: bool, ledger: str | None, uri: str | None) -> int:
    """Remove a sweep, or a run trained by itself, from the ledger and from MLflow.

    SWEEP is its id or the first digits of it. Runs that another sweep made as well are kept for it.
    """
    from harness.cli.removal import describe, remove
    from harness.render.console import paragraphs

    plan = describe(sweep, ledger or "runs")
    paragraphs(plan.text.splitlines())
    if dry_run:
        click.echo("Nothing was removed.")
        return 0
    try:
        sure = yes or click.confirm("Remove it?", default=False)
    except click.Abort:
        if not sys.stdin.isatty():
            raise ConfigError("nobody answered; --yes removes without asking.") from None
        raise
    if not sure:
        click.echo("Nothing was removed.")
        return 1
    click.echo(remove(plan, uri))
    return 0
