"""Name, note and tags that a user gave a sweep or a run: {"named", "note", "tags"}."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.records.manifests import SweepManifest

OURS = ("mlflow.", "harness.")  # how tags begin that are no user's own


def of_manifest(sweep: SweepManifest) -> dict[str, Any]:
    """As the ledger keeps them; null and {} where none were given."""
    kept = sweep.tracking
    return {
        "named": kept.get("run_name"), "note": kept.get("note"), "tags": dict(kept.get("tags", {})),
    }  # fmt: skip


def of_tags(tags: Mapping[str, str]) -> dict[str, Any]:
    """As the tags of a sweep's parent, or of a run by itself, have them."""
    return {
        "named": tags.get("harness.run_name"), "note": tags.get("harness.note"),
        "tags": {key: text for key, text in tags.items() if not key.startswith(OURS)},
    }  # fmt: skip
