"""What a sweep's parent is told where it searched or confirms: history, importance, optimism."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.records.confirmation import confirmed
from harness.tracking.projection import TAG_LENGTH

if TYPE_CHECKING:
    from harness.records.manifests import SweepManifest
    from harness.records.searches import Study
    from harness.tracking.entries import Point

STUDY = "search.json"  # the study, among the parent's artifacts
SEARCHED = "harness.search"


def search_tags(study: Study | None) -> dict[str, str]:
    """How far a search has come, what it found, and what its settings are worth."""
    if study is None or not study.told:
        return {}
    best = study.best()
    told = {
        "metric": study.metric,
        "trials": len(study.told),
        "best": None if best is None else best.value,
        "settings": {} if best is None else best.params,
        "importance": {key: round(share, 4) for key, share in study.importances.items()},
    }
    return {SEARCHED: json.dumps(told)[:TAG_LENGTH]}


def search_files(study: Study | None) -> dict[str, bytes]:
    """The study as an artifact."""
    return {} if study is None else {STUDY: json.dumps(study.to_plain()).encode()}


def search_points(study: Study | None, created_ms: int) -> list[Point]:
    """Two curves over the number of trials: the value of each, and the best so far.

    And what each setting explains, as single values.
    """
    if study is None:
        return []
    out: list[Point] = []
    for number, (trial, best) in enumerate(
        zip(study.told, study.best_so_far(), strict=True), 1
    ):  # fmt: skip
        for name, value in (("search/value", trial.worth), ("search/best", best)):
            if math.isfinite(value):
                out.append((name, value, created_ms + number, number))
    out += [
        (f"search/importance/{key}", share, created_ms, 0)
        for key, share in study.importances.items()
    ]
    return out


def confirm_points(sweep: SweepManifest, done: Sequence[Mapping[str, Any]]) -> list[Point]:
    """Chosen value, fresh mean, optimism and test split over the rank that the choice gave."""
    if not sweep.confirms:
        return []
    out: list[Point] = []
    for one in confirmed(sweep.confirms, done):
        values = {
            "chosen": one.chosen, "fresh": one.fresh.mean, "optimism": one.optimism,
            "test": one.test.mean,
        }  # fmt: skip
        out += [
            (f"confirm/{name}", value, sweep.created_ms + one.rank, one.rank)
            for name, value in values.items()
            if value is not None
        ]
    return out


def paragraphs(
    sweep: SweepManifest, study: Study | None, done: Sequence[Mapping[str, Any]]
) -> list[str]:
    """For the parent's page, in Markdown; nothing for a plain grid."""
    out = []
    best = study.best() if study is not None else None
    if study is not None and best is not None:
        settings = " ".join(f"`{key}={value}`" for key, value in best.params.items())
        out.append(
            f"\nA search of {len(study.told)} trials by `{study.metric}`; the best, "
            f"{best.worth:.4f}, at {settings}. The best of many flatters itself: `harness confirm "
            f"{sweep.sweep_id[:8]}` trains it on fresh seeds. Curves: `search/best` and "
            f"`search/value` over trials; all trials in `{STUDY}`."
        )
        if study.importances:
            shares = ", ".join(f"`{k}` {share:.0%}" for k, share in study.importances.items())
            out.append(f"\nWhat the differences come from (fANOVA): {shares}.")
    if sweep.confirms:
        chosen = sweep.confirms
        out.append(
            f"\nThe best of {chosen['configurations']} configurations of sweep "
            f"`{chosen['sweep_id'][:8]}`, chosen by `{chosen['metric']}`, on seeds that it did not "
            "use:\n\n| rank | chosen | fresh | optimism | test |\n|---|---|---|---|---|"
        )
        out += [
            f"| {one.rank} | {one.chosen:.4f} | {one.fresh.words()} | "
            f"{'-' if one.optimism is None else f'{one.optimism:+.4f}'} | {one.test.words()} |"
            for one in confirmed(chosen, done)
        ]
    return out
