"""`harness components`: what a config may name, where each comes from, in one line each."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from harness.components import REGISTRIES
from harness.components.registry import Registry
from harness.errors import ConfigError, PluginError, nearest


def listed(kind: str | None) -> list[dict[str, Any]]:
    """Every component, or those of one kind: kind, name, origin, summary, params, error.

    origin: "harness", a distribution with its version, or "this process". error: why a plug-in
    cannot be used, "" where it can. ConfigError for an unknown kind.
    """
    if kind is not None and kind not in REGISTRIES:
        known = ", ".join(REGISTRIES)
        raise ConfigError(f"KIND is {kind!r}; allowed: {known}.{nearest(kind, REGISTRIES)}")
    return [
        row
        for name, registry in REGISTRIES.items()
        if kind in (None, name)
        for row in _rows(name, registry)
    ]


def _rows(kind: str, registry: Registry[Any]) -> Iterator[dict[str, Any]]:
    for name in registry.names():
        row: dict[str, Any] = {"kind": kind, "name": name, "origin": "harness"}
        row |= {"summary": "", "params": {}, "error": ""}
        try:
            plugin = registry.plugin(name)
            if plugin is not None:
                row["origin"] = f"{plugin.distribution} {plugin.version}"
            elif registry.only_here(name):
                row["origin"] = "this process"
            spec = registry.get(name)
            row["summary"] = spec.summary
            row["params"] = {own: param.default for own, param in spec.params.items()}
        except PluginError as error:
            row["error"] = str(error)
        yield row


def lines(rows: list[dict[str, Any]], width: int = 80) -> list[str]:
    """The same for a terminal of so many columns, kinds apart."""
    name = max((len(row["name"]) for row in rows), default=0)
    out: list[str] = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        out += ["", kind] if out else [kind]
        for row in (row for row in rows if row["kind"] == kind):
            own = ", ".join(f"{key}={value}" for key, value in row["params"].items())
            words = row["error"] or row["summary"] + (f" ({own})" if own else "")
            origin = "" if row["origin"] == "harness" else f" [{row['origin']}]"
            head = f"  {row['name']:{name}}  "
            out += textwrap.wrap(
                f"{words}{origin}".strip() or "-", width, initial_indent=head,
                subsequent_indent=" " * len(head), break_on_hyphens=False,
            )  # fmt: skip
    return out
