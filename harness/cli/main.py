"""The `harness` command line: which verb is meant, and what becomes of errors.

Exit codes: 0 done; 1 some runs failed or a reproduction differs; 2 bad input; 130 or 143 stopped.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence

import click

from harness.cli import machine_verbs, result_verbs, training_verbs
from harness.cli.options import COMPLETE, cli
from harness.errors import ConfigError, HarnessError, shown
from harness.system import check_platform

VERBS = (training_verbs, result_verbs, machine_verbs)  # each adds its own to `cli`


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
        if COMPLETE in os.environ:  # a shell asks; click's `main` answers
            from harness.cli import shells

            shells.teach_click()
        elif words and words[0] in ("-sc", "--shell-completion"):  # what Hydra's script asks
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
    if isinstance(error, click.NoSuchOption) and context is not None and context.parent is not None:
        from harness.cli.near import no_flag

        return str(no_flag(error.option_name, context=context))
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
