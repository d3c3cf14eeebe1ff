"""The command itself, and the options that several of its verbs have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness import __version__
from harness.errors import ConfigError, shown
from harness.paths import check_output, check_path, check_picture

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMPLETE = "_HARNESS_COMPLETE"  # set by a shell that asks what could come next
OPEN = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def folder(_: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """The value of --ledger; ConfigError where there is no such folder."""
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


def output(_: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """The value of an option that names a file to write; ConfigError where that cannot be."""
    if value is not None:
        check_output(option.opts[0], value)
    return value


Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def completing(name: str) -> Complete:
    """A function of cli.completing, which is loaded once a shell asks."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        from harness.cli import completing as module

        answer: Complete = getattr(module, name)
        return answer(ctx, param, incomplete)

    return complete


class Overriding(click.Command):
    """A verb that takes settings: flags that others parse are completed too."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Flags, where the word begins with a dash."""
        from click.shell_completion import CompletionItem

        from harness.cli.completing import flags

        others = [CompletionItem(one) for one in flags(self.name or "", incomplete)]
        return [*super().shell_complete(ctx, incomplete), *others]


OVERRIDES = click.argument(
    "overrides", nargs=-1, type=click.UNPROCESSED, shell_complete=completing("overrides")
)


def picture(_: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """The value of an option that names a figure's file; ConfigError where that cannot be."""
    if value is not None:
        check_picture(option.opts[0], value)
    return value


LEDGER = click.option(
    "--ledger", callback=folder, show_default="./runs", shell_complete=completing("files"),
    help="Folder of the ledger; a ledger named here is the only place searched.",
)  # fmt: skip
URI = click.option("--uri", help="MLflow's address; default: MLFLOW_TRACKING_URI, or ./mlflow.db.")
STORE = click.option("--uri", help="Read this MLflow store, without a ledger unless one is named.")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON value on stdout.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="harness")
def cli() -> None:
    """A laboratory for initial loss and overfitting.

    One YAML in, one tracked run out; a grid in, a few fused tensor programs. Start with
    `harness sweep experiment=smoke`, then `harness ui`.
    """
