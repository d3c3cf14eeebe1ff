"""The `harness` command: its verbs, and what becomes of errors. Each verb loads what it needs.

Exit codes: 0 done; 1 some runs failed or a reproduction differs; 2 bad input; 130 or 143 stopped.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings

import click

from harness import __version__

_OPEN = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


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
    from harness import hydra_app

    return hydra_app.run(overrides, multirun=False)


@cli.command(context_settings=_OPEN, add_help_option=False)
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
def sweep(overrides: tuple[str, ...]) -> int:
    """Train a grid: harness sweep loss=mse,bce seed=0,1 (--dry-run, --into SWEEP, --quiet)."""
    from harness import hydra_app

    return hydra_app.run(overrides, multirun=True)


@cli.command()
@click.argument("run")
@click.option("-n", "n", type=int, default=20, show_default=True, help="How many words.")
@click.option(
    "--temperature", type=float, default=1.0, show_default=True,
    help="Below 1 keeps to likely symbols, above 1 dares more; 0 always takes the likeliest.",
)  # fmt: skip
@click.option(
    "--seed", type=int, default=0, show_default=True, help="The same seed, the same words."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON value on stdout.")
def sample(run: str, n: int, temperature: float, seed: int, as_json: bool) -> int:
    """Draw words from a trained run, and mark those it has memorised.

    RUN is a run id, the first digits of one, an MLflow run id, or a saved config.
    """
    from harness import sampling
    from harness.lookup import find_record

    record = find_record(run)
    found = (record, *sampling.sample(record, n, temperature=temperature, seed=seed))
    if as_json:
        import json

        click.echo(json.dumps(sampling.as_plain(*found, temperature, seed), ensure_ascii=False))
    else:
        click.echo("\n".join(sampling.lines(*found, temperature, seed)))
    return 0


@cli.command()
@click.option("--port", type=int, help="Port to serve on; default: 5000, or the next free one.")
def ui(port: int | None) -> int:
    """Open MLflow's pages over the same store, on 127.0.0.1 alone."""
    from harness.ui import serve

    return serve(port)


def run(argv: list[str] | None = None) -> int:
    """Run one command line; returns its exit code, and prints errors on stderr in one line."""
    from harness.errors import HarnessError
    from harness.stopping import end_on_terminate

    warnings.formatwarning = _warning_line
    try:
        with end_on_terminate():
            code = cli.main(args=argv, prog_name="harness", standalone_mode=False)
    except HarnessError as error:
        return _told(error, error.exit_code)
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        return 130
    except SystemExit as done:  # Hydra's help leaves this way
        return done.code if isinstance(done.code, int) else int(bool(done.code))
    except BrokenPipeError:  # the reader of our output has gone: nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001  a defect of ours: say so, in one line
        return _told(error, 1, f"unexpected {type(error).__name__}: ")
    return code if isinstance(code, int) else 0


def _warning_line(message: Warning | str, *_: object, **__: object) -> str:
    return f"harness: {message}\n"


def _told(error: Exception, code: int, prefix: str = "") -> int:
    if os.environ.get("HARNESS_DEBUG") == "1":
        traceback.print_exception(error)
    click.echo(f"harness: {prefix}{error}", err=True)
    if prefix:
        click.echo("harness: HARNESS_DEBUG=1 shows where.", err=True)
    return code


def main() -> None:
    """The console script."""
    sys.exit(run())
