"""What many nested mappings have in common, kept once.

`shared` finds it, `without` leaves what is a mapping's own, `merged` puts the two together again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def shared(plains: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The entries, at any depth, that all of these mappings have with the very same value."""
    out: dict[str, Any] = {}
    for key, value in plains[0].items():
        if not all(key in plain for plain in plains):
            continue
        values = [plain[key] for plain in plains]
        if all(isinstance(one, Mapping) for one in values):
            out[key] = shared(values)
        elif all(one is value or _same(one, value) for one in values):
            out[key] = value
    return out


def _same(a: Any, b: Any) -> bool:
    return bool(a == b) and repr(a) == repr(b)  # 1, 1.0 and True are equal, and so are 0.0 and -0.0


def without(plain: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """What `merged` needs beside the base to give `plain` again."""
    out: dict[str, Any] = {}
    for key, value in plain.items():
        if key not in base:
            out[key] = value
        elif isinstance(value, Mapping):
            own = without(value, base[key])
            if own:
                out[key] = own
    return out


def merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping that `without` was given, its keys in order of name, as those of `base` are."""
    out: dict[str, Any] = {}
    for key in base if own.keys() <= base.keys() else sorted(base.keys() | own.keys()):
        common = base.get(key)
        if isinstance(common, dict):
            out[key] = merged(common, own[key]) if key in own else dict(common)
        else:
            out[key] = own.get(key, common)
    return out
