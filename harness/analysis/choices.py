"""What a search found and what a confirmation says of it, from a sweep's table, in sentences.

A sweep that `harness search` made carries its study, one that `harness confirm` made what was
chosen: both in `table.meta`, whether it was read from a ledger or from MLflow.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.numerics.digits import fixed
from harness.records.confirmation import Confirmed, confirmed
from harness.records.searches import Study

if TYPE_CHECKING:
    from harness.analysis.table import SweepTable

MARKS = 6  # places at which the history of the best is quoted


def study(table: SweepTable) -> Study | None:
    """The search that made this sweep; None where none did, or no trial has a value yet."""
    plain = table.meta.get("search")
    found = Study.from_plain(plain) if plain else None
    return found if found is not None and found.told else None


def confirmations(table: SweepTable) -> list[Confirmed]:
    """Configurations on fresh seeds, in the order of the choice; empty for any other sweep."""
    confirms = table.meta.get("confirms")
    return confirmed(confirms, table.rows()) if confirms else []


def about_search(table: SweepTable) -> list[str]:
    """History of the best, importance of the settings, and the warning about the best."""
    found = study(table)
    if found is None:
        return []
    told, best = found.told, found.best()
    if best is None:
        return [f"Search: none of {len(told)} trials has a finite {found.metric}."]
    out = [f"Search: best so far by {found.metric}, {history(found)}."]
    if found.importances:
        shares = ", ".join(f"{key} {share:.0%}" for key, share in found.importances.items())
        out.append(f"What the differences between its trials come from (fANOVA): {shares}.")
    out.append(biased(found))
    return out


def history(found: Study) -> str:
    """The best value after a few numbers of trials: "2.71 after 10 trials, 2.66 after 20"."""
    best = found.best_so_far()
    ends, n = [], 0
    for batch in found.batches:
        n += sum(trial.value is not None for trial in batch)
        ends.append(n)
    ends = sorted({end for end in ends if 0 < end <= len(best)})
    if len(ends) > MARKS:
        ends = sorted({ends[round(i * (len(ends) - 1) / (MARKS - 1))] for i in range(MARKS)})
    known = [(end, best[end - 1]) for end in ends if math.isfinite(best[end - 1])]
    return ", ".join(
        f"{fixed(value)} after {end:,}{' trials' if place == 0 else ''}"
        for place, (end, value) in enumerate(known)
    )


def biased(found: Study) -> str:
    """Why the best value of a search is not what to expect, and what to do."""
    return (
        f"The best of {len(found.told):,} trials flatters itself, the more so the more were tried: "
        f"`harness confirm {str(found.sweep_id)[:8]}` trains the best on fresh seeds."
    )
