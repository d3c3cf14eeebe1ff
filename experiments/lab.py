"""What every study is made of: runs asked for by command, rows, claims, a README that quotes.

A study is a folder `YYYY-MM-name` with a README.md, a config in `conf/experiment/` and a `study.py`
of four names:

    SMALL: tuple[str, ...]                     settings that make it about a tenth of its size
    results(lab: Lab) -> pd.DataFrame          trains, and returns the rows of results.csv
    claims(rows: pd.DataFrame) -> list[Claim]  what the rows say to each prediction
    table(rows: pd.DataFrame) -> pd.DataFrame  what README.md shows of the rows

and, where the study has figures, `draw(rows: pd.DataFrame, lab: Lab, folder: Path) -> None`, which
may use what `results` left in `lab.kept`. `ALONE: str` says why a study is left out where none is
named, for what it costs. Claims and table see the rows as results.csv holds them,
so that each number of the README has its row there.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from harness import Ledger, RunRecord, read_sweep
from harness.analysis.table import SweepTable
from harness.errors import ConfigError, nearest

HERE = Path(__file__).parent
BEGIN, END = "<!-- made by the command: do not edit -->", "<!-- end -->"
DIGITS = "%.6g"


@dataclass(frozen=True)
class Claim:
    """One prediction of a study beside what the rows say.

    said: the sentence with its numbers. held: whether the prediction came true. direction: holds
    at a tenth of the study's size too, where a test looks.
    """

    said: str
    held: bool
    direction: bool = False


@dataclass
class Lab:
    """Where a study's runs are trained and kept.

    ledger: its folder. small: settings added to every command, to make it small. extra: settings
    added to every command, such as tracking=off. kept: what the figures need beside the rows, such
    as a SweepTable.
    """

    study: str
    ledger: Path = Path("runs")
    small: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    kept: dict[str, Any] = field(default_factory=dict)

    def sweep(self, *settings: str) -> SweepTable:
        """The sweep of these settings, trained unless it is there already."""
        return self._table("sweep", self._sized(settings))

    def confirm(self, sweep: SweepTable, *, top: int, seeds: int) -> SweepTable:
        """The `top` best configurations of a sweep, each on as many fresh seeds."""
        few = (1, 2) if self.small else (top, seeds)
        flags = ["--top", str(few[0]), "--seeds", str(few[1]), "--ledger", str(self.ledger)]
        return self._table("confirm", [str(sweep.meta["sweep_id"]), *flags])

    def records(self, sweep: SweepTable) -> dict[str, RunRecord]:
        """run_id -> the whole record of each run, with every series and the weights."""
        return Ledger(self.ledger).read_many(sweep.runs["run_id"])

    def _sized(self, settings: Sequence[str]) -> list[str]:
        """The settings with those of `small` in the place of their own."""
        smaller = {_key(one) for one in self.small}
        own = [one for one in settings if _key(one) not in smaller]
        return [*own, *self.small, f"tracking.experiment={self.study}", *self.extra,
                f"ledger.dir={self.ledger}"]  # fmt: skip

    def _table(self, verb: str, words: Sequence[str]) -> SweepTable:
        """The sweep that a command trains or finds; SystemExit with its code where it fails."""
        print("$", shlex.join(["harness", verb, *words]), file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "harness", verb, *words]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(done.returncode)
        (sweep,) = re.findall(r"^sweep ([0-9a-f]+)$", done.stdout, re.MULTILINE)
        return read_sweep(sweep, ledger=self.ledger)


def _key(setting: str) -> str:
    return setting.partition("=")[0].lstrip("+~")


def studies() -> dict[str, Path]:
    """Name without date -> folder, oldest first."""
    found = sorted(HERE.glob("????-??-*/study.py"))
    return {path.parent.name[8:]: path.parent for path in found}


def load(name: str) -> ModuleType:
    """A study's module; ConfigError for an unknown name."""
    known = studies()
    if name not in known:
        raise ConfigError(
            f"there is no study {name!r}; allowed: {', '.join(known)}.{nearest(name, known)}"
        )
    spec = importlib.util.spec_from_file_location(f"study_{name.replace('-', '_')}",
                                                  known[name] / "study.py")  # fmt: skip
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def quoted(module: ModuleType, rows: pd.DataFrame) -> str:
    """The part of README.md that the command writes: the table, then every claim."""
    shown = module.table(rows)
    lines = ["| " + " | ".join(map(str, shown.columns)) + " |", "|" + "---|" * shown.shape[1]]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in shown.itertuples(index=False)]
    claims: Sequence[Claim] = module.claims(rows)
    lines += [""]
    lines += [f"{n}. **{'Held' if one.held else 'Failed'}.** {one.said}"
              for n, one in enumerate(claims, 1)]  # fmt: skip
    return "\n".join([BEGIN, "", *lines, "", END])


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def quote(folder: Path, text: str) -> None:
    """Put the text where README.md has its two marks."""
    readme = folder / "README.md"
    old = readme.read_text()
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if len(pattern.findall(old)) != 1:
        raise ConfigError(f"{readme} lacks the marks {BEGIN} and {END}, once each.")
    readme.write_text(pattern.sub(lambda _: text, old))


def rows_of(folder: Path) -> pd.DataFrame:
    """results.csv as it was written; a missing value is nan, "none" and "null" stay words."""
    return pd.read_csv(folder / "results.csv", keep_default_na=False, na_values=[""])
