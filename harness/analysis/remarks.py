"""What must be known to read a comparison: what was pooled, left out, or proves something."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.analysis.grouping import LR
from harness.config.labels import text
from harness.records import partial
from harness.records.verdicts import CERTAIN

if TYPE_CHECKING:
    from harness.analysis.table import SweepTable


def about_runs(table: SweepTable, found: SweepTable) -> list[str]:
    """Runs without numbers, and what the numbers of a known source prove."""
    status = table.runs["status"].tolist()
    out = about_progress(table)
    out += [
        f"{_runs(count)} {word.lower()}: no numbers of {_them(count)} here."
        for word in ("FAILED", "RUNNING", "KILLED")
        if (count := status.count(word)) and not (out and word != "FAILED")
    ]
    out += partial.remarks(found.rows(partial.READ))
    out += about_machines(found)
    if "memorised/evidence" in found.metrics:
        sure = int((found.runs["memorised/evidence"] > CERTAIN).sum())
        if sure:
            out.append(
                f"certified memorisation in {_runs(sure)}: the training words cost less than under "
                f"the source that drew them, by more than {CERTAIN:g} nats in all "
                "(memorised/evidence), which no model does that has not seen them."
            )
    return out


def about_progress(table: SweepTable) -> list[str]:
    """How much of a sweep there is to see, where it has not ended: it runs, or was stopped."""
    left = table.unfinished
    if not left:
        return []
    seen = table.runs["status"].tolist().count("FINISHED")
    sentence = (
        f"Seen so far: {seen:,} finished {'run' if seen == 1 else 'runs'}; {_runs(left)} "
        f"{'has' if left == 1 else 'have'} not ended, so that some settings may lack seeds or be "
        "absent, and the best may change."
    )
    return [sentence]


def about_machines(table: SweepTable) -> list[str]:
    """That runs were trained on machines of several kinds, and what they differ in."""
    kinds = Counter(kind for kind in table.runs["machine"].tolist() if kind)
    if len(kinds) < 2:
        return []
    parts = [kind.split(", ") for kind, _ in kinds.most_common()]
    alike = set.intersection(*map(set, parts))
    each = "; ".join(
        f"{_runs(count)} on {', '.join(one for one in own if one not in alike)}"
        for own, (_, count) in zip(parts, kinds.most_common(), strict=True)
    )
    sentence = (
        f"Trained on machines of {len(kinds)} kinds ({each}): between them a run's numbers agree "
        "to rounding, not to the last bit."
    )
    return [sentence]


def about_reading(
    found: SweepTable, by: Sequence[str], rows: Sequence[Mapping[str, Any]], *,
    at_best: bool, rated: Sequence[Mapping[str, Any]],
) -> list[str]:  # fmt: skip
    """What rows pool, at which learning rates, and whether intervals can be had."""
    out = []
    if by:
        others = [k for k in found.varying_settings if k not in by and not (at_best and k == LR)]
        if others:
            each = ", ".join(f"{key} ({found.runs[key].map(repr).nunique()})" for key in others)
            out.append(f"Rows pool {each}: sd and interval hold their differences too.")
    if at_best:
        out.append(
            "Each loss at its own best learning rate, chosen on validation: "
            + "; ".join(f"{_label(one['group'])} {one['lr']:g}" for one in rated)
            + ". One rate for all would compare rates, not losses."
        )
    elif rated and "loss.name" in found.varying:
        out.append(
            "Best learning rates: "
            + "; ".join(f"{_label(one['group'])} {one['lr']:g}" for one in rated)
            + ". Compare each loss at its own; --by loss.name does."
        )
    edge = [one for one in rated if one["lr"] in (one["of"][0], one["of"][-1])]
    if edge and (at_best or "loss.name" in found.varying):
        names = ", ".join(_label(one["group"]) for one in edge)
        out.append(f"The best rate of {names} is at the end of those tried: try further.")
    elif "loss.name" in found.varying and LR not in found.varying:
        out.append(
            "All losses ran at one learning rate; that can favour some, even with matched "
            "gradients. Sweep optim.lr to compare each at its own best."
        )
    if rows and max(row["n"] for row in rows) == 1:
        out.append("One run each, so no intervals: sweep seed=0,1,2 as well.")
    return out


def _label(group: Mapping[str, Any]) -> str:
    return " ".join(text(value) for value in group.values()) or "all"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _them(count: int) -> str:
    return "it" if count == 1 else "them"
