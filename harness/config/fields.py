"""Settings that know their range: frozen dataclass fields declared with `knob`, checked by `check`.

A group of settings is a frozen dataclass whose fields say their default, range, unit and whether
runs that differ in them can still be trained in one fused program (`stacks`).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Collection
from typing import Any

from harness.components.params import Settings, bounds
from harness.components.registry import Registry
from harness.components.spec import params_of
from harness.errors import ConfigError, nearest, shown

SEED_LIMIT = 2**32 - 1


def knob(  # noqa: PLR0913  each is a keyword, and a field gives two or three
    default: Any,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    below: float | None = None,
    one_of: Collection[str] | None = None,
    word: str | None = None,
    component: Registry[Any] | None = None,
    unit: str = "",
    stacks: bool = True,
    seed: bool = False,
    numeric: bool = True,
    later: bool = False,
) -> Any:
    """A dataclass field that carries its own rule.

    low/high are inclusive bounds, above/below exclusive ones. `component`: instead of one_of, the
    value names one of this registry's components. `word`: allowed in place of a number. `stacks`:
    runs that differ here can share one fused program. `seed`: replicates may differ here (left out
    of config_id). `numeric`: the value can change a number a run produces (left out of run_id
    otherwise). `later`: came after runs without it were kept; at its default it is in no id, so
    that theirs stay what they are.
    """
    if seed:
        low, high = 0, SEED_LIMIT
    rule = {
        "low": low, "above": above, "high": high, "below": below,
        "one_of": component if component is not None else one_of, "component": component,
        "word": word,
        "unit": unit, "stacks": stacks, "seed": seed, "numeric": numeric,
        "later": later, "default": default,
    }  # fmt: skip
    return dataclasses.field(default=default, metadata=rule)


def settings_of_its_own(field: str) -> Any:
    """A dataclass field for the settings that a component declares for itself (Spec.params).

    field: the one that holds the component's name. The values are complete and checked, so that a
    default and the same value given are one run.
    """
    return dataclasses.field(default=Settings(), metadata={"settings_of": field})


def allowed(rule: typing.Mapping[str, Any], kind: Any) -> str:
    """What a field accepts, in words: "a number above 0, or null"."""
    or_null = ", or null" if _optional(kind) else ""
    if rule.get("one_of"):
        return "one of " + ", ".join(rule["one_of"]) + or_null
    base = _element(kind)
    ends = bounds(rule)
    if _is_list(kind):
        plural = {bool: "true or false", int: "whole numbers", float: "numbers", str: "texts"}
        words = f"a list of {plural[base]}{f', each {ends}' if ends else ''}"
        words += f", such as {list(rule['default'])}" if rule.get("default") else ""
    else:
        single = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
        words = f"{single[base]} {ends}".rstrip()
        words = f"{rule['word']}, or {words}" if rule.get("word") else words
    return words + or_null + (f" ({rule['unit']})" if rule.get("unit") else "")


def choices(rule: typing.Mapping[str, Any], kind: Any) -> tuple[str, ...]:
    """The values of a field that can be listed, as one writes them: names, true, null, a word."""
    words = [str(name) for name in rule.get("one_of") or ()]
    words += ["true", "false"] if _element(kind) is bool else []
    words += [rule["word"]] if rule.get("word") else []
    return (*words, *(["null"] if _optional(kind) else ()))


def check(prefix: str, settings: Any) -> None:
    """Check and normalise every field of a frozen settings object, in place; ConfigError if wrong.

    Whole floats become ints where an int is asked for, ints become floats, lists become tuples.
    """
    group = _group(type(settings))  # type: ignore[arg-type]  # mypy takes a type for unhashable
    for name, kind, rule in group.fields:
        clean = _clean(f"{prefix}{name}", getattr(settings, name), kind, rule)
        object.__setattr__(settings, name, clean)
    for name, named, registry in group.own:
        chosen, given = getattr(settings, named), getattr(settings, name)
        spec = registry.get(chosen, f"{prefix}{named}")
        own = params_of(spec, given, f"{prefix}{name}", f"{registry.kind} {chosen}")
        object.__setattr__(settings, name, own)


class _Group(typing.NamedTuple):
    """What `check` must know of a class of settings, read once."""

    fields: list[tuple[str, Any, typing.Mapping[str, Any]]]  # name, type, rule
    own: list[tuple[str, str, Registry[Any]]]  # name, the field with the component's, its registry


@functools.cache
def _group(group: type) -> _Group:
    kinds = typing.get_type_hints(group)  # reads source text: too slow for once a run
    rules = {entry.name: entry.metadata for entry in dataclasses.fields(group) if entry.metadata}
    own = [(name, rule["settings_of"]) for name, rule in rules.items() if "settings_of" in rule]
    return _Group(
        [(name, kinds[name], r) for name, r in rules.items() if "settings_of" not in r],
        [(name, named, rules[named]["component"]) for name, named in own],
    )


def _clean(key: str, value: Any, kind: Any, rule: typing.Mapping[str, Any]) -> Any:
    if value is None and _optional(kind):
        return None
    if rule.get("word") and value == rule["word"]:
        return value
    if _is_list(kind):
        if isinstance(value, (str, bytes)) or not isinstance(value, (list, tuple)):
            raise _refuse(key, value, kind, rule)
        return tuple(_clean_one(key, v, _element(kind), kind, rule, value) for v in value)
    return _clean_one(key, value, _element(kind), kind, rule, value)


def _clean_one(
    key: str, value: Any, base: type, kind: Any, rule: typing.Mapping[str, Any], whole: Any
) -> Any:
    if base is bool:
        if not isinstance(value, bool):
            raise _refuse(key, whole, kind, rule)
        return value
    if base is str:
        if not isinstance(value, str):
            raise _refuse(key, whole, kind, rule)
        if "\x00" in value:
            raise ConfigError(f"{key} holds a NUL character; remove it.")
        if rule["one_of"] is not None and value not in rule["one_of"]:
            raise _refuse(key, whole, kind, rule)
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _refuse(key, whole, kind, rule)
    if isinstance(value, float) and not math.isfinite(value):
        raise _refuse(key, whole, kind, rule)
    if base is int:
        if value != int(value):
            raise _refuse(key, whole, kind, rule)
        value = int(value)
    else:
        try:
            value = float(value) + 0.0  # -0.0 is 0.0, in ids too
        except OverflowError:
            raise _refuse(key, whole, kind, rule) from None
    low, above, high, below = rule["low"], rule["above"], rule["high"], rule["below"]
    outside = (
        (low is not None and value < low)
        or (above is not None and value <= above)
        or (high is not None and value > high)
        or (below is not None and value >= below)
    )
    if outside:
        raise _refuse(key, whole, kind, rule)
    return value


def _refuse(key: str, value: Any, kind: Any, rule: typing.Mapping[str, Any]) -> ConfigError:
    hint = nearest(value, rule["one_of"]) if rule["one_of"] and isinstance(value, str) else ""
    if isinstance(value, tuple):
        value = list(value)
    return ConfigError(f"{key} is {shown(value)}; allowed: {allowed(rule, kind)}.{hint}")


@functools.cache
def _args(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


@functools.cache
def _optional(kind: Any) -> bool:
    return type(None) in _args(kind)


@functools.cache
def _inner(kind: Any) -> Any:
    return next(k for k in _args(kind) if k is not type(None))


@functools.cache
def _is_list(kind: Any) -> bool:
    return typing.get_origin(_inner(kind)) is tuple


@functools.cache
def _element(kind: Any) -> type:
    inner = _inner(kind)
    if typing.get_origin(inner) is tuple:
        inner = typing.get_args(inner)[0]
    return typing.cast(type, inner)
