"""`python -m harness` is the `harness` command."""

from harness.app.cli import main

main()
