"""Run studies: each trains what it needs, writes results.csv and figures, and quotes them.

    python -m experiments                    # all, oldest first
    python -m experiments rates four-points  # some
    python -m experiments loss-log           # one that takes minutes and runs by name alone

Runs are kept in ./runs and MLflow like any others, under the study's name; a study run again trains
nothing anew.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from types import ModuleType

import matplotlib as mpl

from experiments.lab import DIGITS, Lab, load, quote, quoted, rows_of, studies
from harness.errors import HarnessError


def main(argv: list[str] | None = None) -> int:
    """Run the studies named, or all; the exit code of the harness."""
    parser = argparse.ArgumentParser("python -m experiments", description=__doc__.split("\n")[0])
    parser.add_argument("study", nargs="*", help=", ".join(studies()))
    parser.add_argument("--ledger", default="runs", type=Path, help="where runs are kept")
    asked = parser.parse_args(argv)
    names = asked.study or list(studies())
    try:
        modules = {name: load(name) for name in names}
        if not asked.study:
            modules = {name: one for name, one in modules.items() if not left_out(name, one)}
        began = time.monotonic()
        for number, (name, module) in enumerate(modules.items(), 1):
            start = time.monotonic()
            print(f"[{number}/{len(modules)}] {name}", file=sys.stderr, flush=True)
            study(name, module, asked.ledger)
            print(f"[{number}/{len(modules)}] {name}: {time.monotonic() - start:.0f} s of "
                  f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)  # fmt: skip
    except HarnessError as error:
        print(f"experiments: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def left_out(name: str, module: ModuleType) -> bool:
    """Whether a study runs by its name alone; if so, says why."""
    why = getattr(module, "ALONE", "")
    if why:
        print(f"left out: {name} ({why}); python -m experiments {name}", file=sys.stderr)
    return bool(why)


def study(name: str, module: ModuleType, ledger: Path) -> None:
    """Train, write, draw and quote one study."""
    os.environ.setdefault("SOURCE_DATE_EPOCH", "0")  # the date that matplotlib writes into a file
    folder, lab = studies()[name], Lab(name, ledger)
    module.results(lab).to_csv(folder / "results.csv", index=False, float_format=DIGITS)
    rows = rows_of(folder)
    if hasattr(module, "draw"):
        with mpl.rc_context({"svg.hashsalt": name}):  # the same rows give the same file
            module.draw(rows, lab, folder)
    text = quoted(module, rows)
    quote(folder, text)
    print(text)


if __name__ == "__main__":
    sys.exit(main())
