"""The `harness` command: its verbs, and what becomes of errors. Each verb loads what it needs.

Exit codes: 0 done; 1 some runs failed or a reproduction differs; 2 bad input; 130 or 143 stopped.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness import __version__
from harness.errors import ConfigError, HarnessError, shown
from harness.paths import check_output, check_path
from harness.system import check_platform

_OPEN = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def _path(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    del context
    if value is None:
        return None
    check_path(option.opts[0], value)
    if not Path(value).is_dir():
        raise ConfigError(
            f"{option.opts[0]} is {shown(value)}, and there is no such folder; allowed: one that "
            "`harness sweep` or `harness train` has made (ledger.dir). Without a ledger, --uri "
            "names an MLflow store."
        )
    return value


def _output(_: click.Context, option: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        check_output(option.opts[0], value)
    return value


_LEDGER = click.option(
    "--ledger", callback=_path, show_default="./runs",
    help="Folder of the ledger; a ledger named here is the only place looked in.",
)  # fmt: skip
_URI = click.option("--uri", help="MLflow's address; default: MLFLOW_TRACKING_URI, or ./mlflow.db.")
_STORE = click.option("--uri", help="Read this MLflow store, without a ledger unless one is named.")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON value on stdout.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="harness")
def cli() -> None:
    """A laboratory for initial loss and overfitting.

    One YAML in, one tracked run out; a grid in, a few fused tensor programs. Start with
    `harness sweep experiment=smoke`, then `harness ui`.
    """


@cli.command(context_settings=_OPEN, add_help_option=False)
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
def train(overrides: tuple[str, ...]) -> int:
    """Train one run: harness train loss=mse optim.lr=.05 (-m: a grid; --help: all settings)."""
    from harness.cli import command_line

    return command_line.run(overrides, multirun=False)


@cli.command(context_settings=_OPEN, add_help_option=False)
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
def sweep(overrides: tuple[str, ...]) -> int:
    """Train a grid: harness sweep loss=mse,bce seed=0,1 (--dry-run, --into SWEEP, --quiet)."""
    from harness.cli import command_line

    return command_line.run(overrides, multirun=True)


@cli.command(context_settings=_OPEN, add_help_option=False)
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
def search(overrides: tuple[str, ...]) -> int:
    """Search a space for its best: harness search 'optim.lr=tag(log,interval(.003,3))' seed=0,1."""
    from harness.cli.search import run

    return run(overrides)


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
@_JSON
@click.option("--sweep", "grid", is_flag=True, help="A grid (a=1,2): one line a configuration.")
@click.option("--plot", callback=_output, help="Draw expected loss over weight scale to a file.")
@click.option("--measured", metavar="SWEEP", help="With --plot: dots of a sweep's runs.")
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
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
@click.option("--widths", default="32,64,128,256,512", show_default=True)
@click.option("--depths", default="1,2,4", show_default=True, help="Hidden layers.")
@click.option("--steps", default=10, show_default=True, help="Steps between the two looks.")
@click.option("--plot", callback=_output, help="Draw the check to a file (.svg, .png, .pdf).")
def coordinates(
    overrides: tuple[str, ...], widths: str, depths: str, steps: int, plot: str | None
) -> int:
    """Check that activations keep their size as the network grows in width and depth."""
    from harness.cli.estimating import coordinates as verb

    return verb(overrides, widths=widths, depths=depths, steps=steps, plot=plot)


@cli.command()
@click.argument("run")
@click.option("-n", "n", type=int, help="How many words, 20; of running text characters, 500.")
@click.option(
    "--temperature", type=float, default=1.0, show_default=True,
    help="Below 1 keeps to likely symbols, above 1 dares more; 0 always takes the likeliest.",
)  # fmt: skip
@click.option(
    "--seed", type=int, default=0, show_default=True, help="The same seed, the same words."
)
@click.option("--calibrated", is_flag=True, help="By the link and temperature fitted to the run.")
@_JSON
@_LEDGER
@_URI
def sample(
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
@click.argument("run")
@_JSON
@_LEDGER
@_URI
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

    claim = find_claim(run, places(ledger, uri))
    steps = {claim.run_id: claim.config.train.steps}
    with progress(steps, {claim.run_id: claim.config.loss.name}) as meter:
        found = again(claim, progress=lambda done, _: meter.step([claim.run_id], done))
    if as_json:
        click.echo(json.dumps(found.to_plain()))
    else:
        click.echo("\n".join(found.lines()))
    return 0 if found.good else 1


@cli.command()
@_LEDGER
@_URI
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
@click.argument("sweep")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_LEDGER
@_URI
def rm(sweep: str, dry_run: bool, yes: bool, ledger: str | None, uri: str | None) -> int:
    """Remove a sweep, or a run trained by itself, from the ledger and from MLflow.

    SWEEP is its id or the first digits of it. Runs that another sweep made as well are kept for it.
    """
    from harness.cli.removal import describe, remove

    plan = describe(sweep, ledger or "runs")
    click.echo(plan.text)
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


@cli.command()
@click.argument("sweeps", nargs=-1, metavar="[SWEEP]...")
@click.option(
    "--by", multiple=True, metavar="KEY",
    help="One row a value of this setting, all else pooled; twice: a table of both.",
)  # fmt: skip
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Metrics to give.")
@click.option("--where", multiple=True, metavar="KEY=VALUE", help="Only these runs; < > != too.")
@click.option(
    "--baseline", multiple=True, metavar="KEY=VALUE,...",
    help="Differences to the runs that have these settings, paired by seed.",
)  # fmt: skip
@click.option(
    "--sort", default="", metavar="NAME", help="Setting or metric; -NAME reverses the order."
)
@click.option("--all-rates", is_flag=True, help="Pool over learning rates, not each loss's best.")
@_JSON
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated rows on stdout.")
@_LEDGER
@_STORE
def compare(**asked: Any) -> int:
    """Compare configurations, replicates folded: mean, spread and 95 % interval.

    SWEEP: the first digits of a sweep's or run's id, an experiment's name, newest (the default) or
    all. Several are compared together: harness compare RUN RUN.
    """
    from harness.cli import inspect_verbs

    return inspect_verbs.compare_verb(**asked)


@cli.command()
@click.argument("sweep", default="newest")
@click.option("--top", default=5, show_default=True, help="How many of the best configurations.")
@click.option("--seeds", default=10, show_default=True, help="Fresh seeds for each of them.")
@click.option("--quiet", is_flag=True, help="Say nothing of progress.")
@_LEDGER
@_URI
def confirm(
    sweep: str, top: int, seeds: int, quiet: bool, ledger: str | None, uri: str | None
) -> int:
    """Train the best configurations of a sweep again, on seeds that did not choose them.

    SWEEP: the first digits of a sweep's id, or newest (the default).
    """
    from harness.cli.confirm import confirm as verb

    return verb(sweep, top=top, seeds=seeds, ledger=ledger or "runs", uri=uri, quiet=quiet)


@cli.command(name="list")
@click.argument("sweep", required=False)
@_JSON
@_LEDGER
@click.option("--uri", help="MLflow's address; its sweeps are listed too.")
def list_(sweep: str | None, as_json: bool, ledger: str | None, uri: str | None) -> int:
    """List the sweeps and single runs there are, newest first; of a SWEEP, its runs."""
    from harness.cli import inspect_verbs

    return inspect_verbs.list_verb(sweep, as_json=as_json, ledger=ledger, uri=uri)


@cli.command()
@click.argument("run")
@click.option("--config", is_flag=True, help="Print its config.yaml alone, which trains it again.")
@_JSON
@_LEDGER
@_STORE
def show(run: str, config: bool, as_json: bool, ledger: str | None, uri: str | None) -> int:
    """Show one run: settings, numbers, where it came from; or a sweep: where its time went.

    RUN is the id of a run or of a sweep of the ledger, its first digits, newest (a sweep or single
    run), best (of the newest sweep) or best:SWEEP.
    """
    from harness.cli import inspect_verbs

    return inspect_verbs.show_verb(run, config=config, as_json=as_json, ledger=ledger, uri=uri)


@cli.command()
@click.argument("first")
@click.argument("second")
@_JSON
@_LEDGER
@_STORE
def diff(first: str, second: str, as_json: bool, ledger: str | None, uri: str | None) -> int:
    """Show what two runs differ in: settings first, then numbers."""
    from harness.cli import inspect_verbs

    return inspect_verbs.diff_verb(first, second, as_json=as_json, ledger=ledger, uri=uri)


@cli.command()
@click.option("--ledger", default="runs", show_default=True, help="Folder of the ledger.")
@_URI
def doctor(ledger: str, uri: str | None) -> int:
    """Say what this machine offers, what is missing, and how to get it."""
    from harness.cli.doctor import doctor as verb

    check_path("--ledger", ledger)
    return verb(ledger, uri)


@cli.command()
@click.argument("kind", required=False)
@_JSON
def components(kind: str | None, as_json: bool) -> int:
    """List what a config may name, and where each comes from.

    KIND: losses, inits, biases, penalties, optimizers, schedules, activations, sources, metrics.
    """
    import json

    from harness.cli.component_list import lines, listed

    rows = listed(kind)
    click.echo(json.dumps(rows) if as_json else "\n".join(lines(rows)))
    return 0


@cli.command()
@click.argument("key")
def explain(key: str) -> int:
    """Explain a setting at length: its meaning, range, unit, default and choices.

    KEY: a setting (optim.lr), a group (optim) or a choice (optim=adam).
    """
    from harness.cli.explaining import explain as verb

    click.echo("\n".join(verb(key)))
    return 0


@cli.command()
@click.option("--port", type=int, help="Port to serve on; default: 5000, or the next free one.")
def ui(port: int | None) -> int:
    """Open MLflow's pages over the same store, on 127.0.0.1 alone."""
    from harness.cli.ui import serve

    return serve(port)


@cli.command()
@click.argument("sweeps", nargs=-1, metavar="[SWEEP]...")
@click.option("-o", "--out", callback=_output, help="HTML file; default: report-SWEEP.html here.")
@_LEDGER
@_URI
def report(sweeps: tuple[str, ...], out: str | None, ledger: str | None, uri: str | None) -> int:
    """Explain sweeps or runs in one HTML file that needs nothing else; kept in MLflow too."""
    from harness.render.publishing import publish

    return publish(sweeps, out, ledger=ledger, uri=uri)


def run(argv: list[str] | None = None) -> int:
    """Run one command line; returns its exit code, and prints errors on stderr in one line."""
    from harness.cli.stopping import Terminated, asked, end_on_signals
    from harness.cli.terminal import replace_unshowable

    replace_unshowable()
    warnings.formatwarning = _warning_line
    words = sys.argv[1:] if argv is None else argv
    with end_on_signals():
        try:
            code = _answer(words)
        except (KeyboardInterrupt, Terminated):
            code = 1
    return 128 + asked() if asked() else code  # also where a library swallowed what was raised


def _answer(words: Sequence[str]) -> int:
    from harness.cli.stopping import asked

    try:
        check_platform()
        check_words(words)
        if words and words[0] in ("-sc", "--shell-completion"):  # Hydra's script knows no verbs
            words = ["train", *words]
        code = cli.main(args=list(words), prog_name="harness", standalone_mode=False)
    except click.Abort:
        return 130
    except SystemExit as done:  # Hydra's help leaves this way
        return 2 if done.code else 0  # for what is wrong with its flags
    except BrokenPipeError:  # the reader of our output has gone: nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except HarnessError as error:
        return _told(error, error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        return _told(error, 2, text=_of_click(error))
    except Exception as error:  # noqa: BLE001  a defect of ours: say so, in one line
        # an import that was broken off by a signal is no defect
        return 1 if asked() else _told(error, 1, f"unexpected {type(error).__name__}: ")
    return code if isinstance(code, int) else 0


def _warning_line(message: Warning | str, *_: object, **__: object) -> str:
    return f"harness: {message}\n"


def check_words(words: Sequence[str]) -> None:
    """ConfigError for words that no terminal, file or database could show again."""
    for word in words:
        if "\x00" in word or any("\ud800" <= char <= "\udfff" for char in word):
            raise ConfigError(
                f"{shown(word)} holds a NUL character or bytes that are not UTF-8; remove them (a "
                "file of such a name must be renamed)."
            )


def _of_click(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "harness"
    return f"{error.format_message()} See {path} --help."


def _told(error: Exception, code: int, prefix: str = "", text: str = "") -> int:
    if os.environ.get("HARNESS_DEBUG") == "1":
        traceback.print_exception(error)
    line = f"harness: {prefix}{text or error}"
    # a terminal takes neither halves of characters nor what would move its cursor
    click.echo(
        "".join(
            char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
            for char in line
        ),
        err=True,
    )
    if prefix:
        click.echo("harness: HARNESS_DEBUG=1 shows where.", err=True)
    return code


def main() -> None:
    """The console script."""
    code = run()
    for number in (signal.SIGINT, signal.SIGTERM):  # nothing is left to stop but Python's own end
        signal.signal(number, signal.SIG_IGN)
    if code in (130, 143):  # asked to stop: taking torch and mlflow apart would take seconds more
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
