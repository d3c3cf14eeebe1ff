"""Where data come from: one module each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from harness.components.registry import Registry
from harness.components.spec import Spec


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceSpec(Spec):
    """One source. load: (settings of the group `data`) -> what its kind stands for.

    kind: "words": a list of words; "binary": points in the plane with labels -1 and +1. unique:
    the default of data.unique_words. reads_path: `data.path` has a meaning; needs_path: and must
    be given. entropy_known: the source's own cost of the data is known, and is reported.
    """

    load: Callable[..., Any]
    kind: Literal["words", "binary"] = "words"
    unique: bool = True
    reads_path: bool = False
    needs_path: bool = False
    entropy_known: bool = False


SOURCES: Registry[SourceSpec] = Registry("data source", SourceSpec, __name__)
