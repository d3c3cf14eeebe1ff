"""Components of a run that are not harness's own: what is stored of them, and reading without them.

A stored run keeps the name, package and facts of each such component (its record under
`provenance`, a sweep's manifest, MLflow's tag), so that it can be listed, compared and reported
where the package is not installed. Only training needs the package.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.components.spec import facts_of
from harness.config.keys import choosing, component_keys
from harness.config.run import RunConfig
from harness.errors import ConfigError, PluginError

Stored = Mapping[str, Mapping[str, Any]]  # "group.key/name" -> identity and facts


def stored_components(runs: Iterable[RunConfig]) -> dict[str, dict[str, Any]]:
    """What is to be kept with runs of their foreign components; {} where all are built in."""
    out: dict[str, dict[str, Any]] = {}
    for run in runs:
        for place, own in run.foreign().items():
            if place not in out:
                key = place.partition("/")[0]
                spec = component_keys()[key].get(own["name"], key)
                out[place] = {**own, "facts": facts_of(spec)}
    return out


def chosen(group: str, name: str) -> dict[str, Any] | None:
    """What `group=name` sets where a plug-in or a call brought that name; None where none did."""
    found = choosing(group)
    if found is None or name not in found[1].others():
        return None
    key, registry = found
    return {key.partition(".")[2]: name, **registry.get(name, key).chosen()}


def recall(components: Stored | None) -> None:
    """Make runs readable that were stored with these components, installed here or not."""
    for place, known in (components or {}).items():
        registry = component_keys().get(place.partition("/")[0])
        if registry is not None:
            identity = {key: str(known[key]) for key in ("distribution", "version", "sha256")}
            registry.recall(str(known["name"]), known.get("facts", {}), identity)


def check_trainable(runs: Iterable[RunConfig], *, elsewhere: bool = False) -> None:
    """PluginError for a run with a component that is not here, ConfigError for one that is here
    alone where other processes are to train it (`elsewhere`).
    """
    seen = set()
    for run in runs:
        for place, own in run.foreign().items():
            if place in seen:
                continue
            seen.add(place)
            key = place.partition("/")[0]
            registry = component_keys()[key]
            spec = registry.get(own["name"], key)
            if spec.missing:
                raise PluginError(spec.missing)
            if elsewhere and registry.only_here(own["name"]):
                raise ConfigError(
                    f"{key} is {own['name']!r}, which a call of register added to this process "
                    "alone; worker processes do not know it. Train with harness.train(...), or "
                    "make it a plug-in (docs/plugins.md)."
                )
