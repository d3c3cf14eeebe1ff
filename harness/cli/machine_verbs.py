"""The verbs about this machine and this harness: what there is, and what it means."""

from __future__ import annotations

import click

from harness.cli.options import JSON, URI, cli, completing
from harness.paths import check_path


@cli.command()
@click.option("--ledger", default="runs", show_default=True, help="Folder of the ledger.")
@URI
def doctor(ledger: str, uri: str | None) -> int:
    """Say what this machine offers, what is missing, and how to get it."""
    from harness.cli.doctor import doctor as verb

    check_path("--ledger", ledger)
    return verb(ledger, uri)


@cli.command()
@click.argument("kind", required=False, shell_complete=completing("kinds"))
@JSON
def components(kind: str | None, as_json: bool) -> int:
    """List what a config may name, and where each comes from.

    KIND: losses, inits, biases, penalties, optimizers, schedules, activations, sources, metrics.
    """
    import json

    from harness.cli.component_list import lines, listed
    from harness.render.screen import screen

    rows = listed(kind)
    click.echo(json.dumps(rows) if as_json else "\n".join(lines(rows, screen().width)))
    return 0


@cli.command()
@click.argument("key", shell_complete=completing("explained"))
def explain(key: str) -> int:
    """Explain a setting at length: its meaning, range, unit, default and choices.

    KEY: a setting (optim.lr), a group (optim) or a choice (optim=adam).
    """
    from harness.cli.explaining import explain as verb

    click.echo("\n".join(verb(key)))
    return 0


@cli.command()
@click.argument("shell", required=False, type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str | None) -> int:
    """Print the script that teaches a shell to complete verbs, settings, values and ids.

    In ~/.bashrc or ~/.zshrc: eval "$(harness completion bash)" (or zsh). For fish:
    harness completion fish > ~/.config/fish/completions/harness.fish. SHELL is left out for the one
    that the variable SHELL names.
    """
    from harness.cli.shells import script

    click.echo(script(shell))
    return 0


@cli.command()
@click.option("--port", type=int, help="Port to serve on; default: 5000, or the next free one.")
def ui(port: int | None) -> int:
    """Open MLflow's pages over the same store, on 127.0.0.1 alone."""
    from harness.cli.ui import serve

    return serve(port)
