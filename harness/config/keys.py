"""The keys of a run's settings, "group.key": their rules, and flat and nested forms of them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from harness.components.registry import Registry
from harness.config.fields import knob
from harness.config.groups import GROUPS

TOP = ("data", "model", "init", "loss", "reg", "optim", "train", "seed", "engine")  # of a config
SEED = knob(0, seed=True)  # the one setting outside of a group


@functools.cache
def field_rules() -> dict[str, Mapping[str, Any]]:
    """{"group.key": the field's rule} for every setting of a run that no component declares."""
    rules: dict[str, Mapping[str, Any]] = {}
    for name, group in GROUPS.items():
        for entry in dataclasses.fields(group):
            if "settings_of" not in entry.metadata:
                rules[f"{name}.{entry.name}"] = entry.metadata
    rules["seed"] = SEED.metadata
    return rules


@functools.cache
def component_keys() -> dict[str, Registry[Any]]:
    """{"group.key": registry} of the settings that name a component."""
    found = {key: rule.get("component") for key, rule in field_rules().items()}
    return {key: registry for key, registry in found.items() if registry is not None}


def choosing(group: str) -> tuple[str, Registry[Any]] | None:
    """The setting that choosing a group by name means, and its components: "loss" -> loss.name."""
    for key, registry in component_keys().items():
        own, _, field = key.partition(".")
        if own == group and field in ("name", "scheme"):
            return key, registry
    return None


OF_COMPONENTS = tuple(
    f"{name}.{entry.name}."
    for name, group in GROUPS.items()
    for entry in dataclasses.fields(group)
    if "settings_of" in entry.metadata
)  # prefixes of the settings that components declare for themselves


def rule_of(key: str) -> Mapping[str, Any]:
    """The rule of one setting, "group.key" or "group.params.key" (see fields.knob).

    An optimizer's own settings do not stack: one optimizer moves all runs of a program.
    """
    if key.startswith(OF_COMPONENTS):
        return {
            "numeric": True,
            "seed": False,
            "later": False,
            "stacks": not key.startswith("optim."),
        }
    return field_rules()[key]


def component_defaults(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"group.params.key": default} of all that the components named in flat settings declare."""
    out: dict[str, Any] = {}
    for name, group in GROUPS.items():
        for entry in dataclasses.fields(group):
            key = f"{name}.{entry.metadata.get('settings_of')}"
            if key in flat:
                spec, prefix = component_keys()[key].get(flat[key], key), f"{name}.{entry.name}."
                if spec.missing:  # what it declared is not known here
                    out |= {own: v for own, v in flat.items() if own.startswith(prefix)}
                out |= {f"{prefix}{own}": param.default for own, param in spec.params.items()}
    return out


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": v} -> {"a": {"b": v}}."""
    out: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        node = out
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return out


def unnest(nested: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """{"a": {"b": v}} -> {"a.b": v}, the way back from `nest`."""
    out: dict[str, Any] = {}
    for key, value in nested.items():
        if type(value) is dict or isinstance(value, Mapping):  # the first is ten times as quick
            out |= unnest(value, f"{before}{key}.")
        else:
            out[f"{before}{key}"] = value
    return out


def differing(flats: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys whose values differ between those of these mappings that have them."""
    first: dict[str, Any] = {}
    for flat in flats:
        if not flat.keys() <= first.keys():
            first = dict(flat) | first
    return [key for key, value in first.items() if any(f.get(key, value) != value for f in flats)]
