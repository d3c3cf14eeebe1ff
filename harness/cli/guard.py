"""Nothing in a config is executed: what could run code is refused before Hydra sees it.

Hydra builds objects named by `_target_`, hands its logging settings to `logging.config`, resolves
`${oc.env:...}` from the environment, and YAML tags can build Python objects. None of that is needed
to describe a run, so the user's overrides and YAML files that hold any of it are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from harness.errors import ConfigError, shown

# `()` and `class` name factories in logging settings; the optuna sweeper calls its search space
EXECUTED = ("_target_", "()", "class", "custom_search_space")
SURROUNDINGS = ("hydra.job.env_set", "hydra.job.env_copy", "hydra.searchpath")
_HARMLESS = re.compile(r"\$\{now:[^${}]*\}")  # a timestamp in a folder's name
_PLAIN_TAGS = ("null", "bool", "int", "float", "str", "seq", "map", "merge", "timestamp")
_NODES = 100_000  # values of one YAML file, aliases written out
_LIMIT = 1 << 20  # bytes of one YAML file; a config is a few kilobytes


def check_setting(key: str, value: Any) -> None:
    """Refuse one override, `key` dotted and `value` plain; ConfigError says what and why."""
    for part in re.split(r"[./@]", key):
        if part in EXECUTED:
            raise _refuse(key, value, f"'{part}' names code to run")
    for name in SURROUNDINGS:
        if key == name or key.startswith(name + "."):
            raise _refuse(key, value, "it reaches outside the config; for a folder of YAML: -cd")
    _walk(key, value)


def _walk(key: str, value: Any) -> None:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            check_setting(f"{key}.{name}", inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _walk(key, inner)
    elif isinstance(value, str):
        check_text(key, value)


def check_text(key: str, text: str) -> None:
    """Refuse `${resolver:...}` (environment, files, decoding) and logging's ext:// references."""
    rest = _HARMLESS.sub("", text)
    if "${" in rest and ":" in rest[rest.index("${") :]:
        raise _refuse(key, text, "a resolver reads the environment; write the value itself")
    if rest.startswith(("ext://", "cfg://")):
        raise _refuse(key, text, "it names code to run")


def _refuse(key: str, value: Any, why: str) -> ConfigError:
    return ConfigError(
        f"{key} is {shown(value)}; refused: {why}. Allowed: plain values, and registered names."
    )


def check_yaml(path: Path) -> list[str]:
    """Refuse a user's YAML file that could run code or is not YAML; builds nothing.

    Returns what YAML reads differently from how it looks, such as `seed: 010`, which is 8.
    """
    try:
        if path.stat().st_size > _LIMIT:
            raise ConfigError(f"{path} has over {_LIMIT} bytes; that is not a config.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as UTF-8 text: {error}.") from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            return []
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError(f"{path} holds no settings; allowed: lines such as `seed: 1`.")
        _check_node(str(path), "", root, set())
        size = _expanded(root, {})
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {' '.join(str(error).split())}.") from error
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply for a config.") from None
    if size > _NODES:
        raise ConfigError(
            f"{path} grows without end, or past {_NODES:,} values, once its aliases (*name) are "
            "written out; write the values themselves."
        )
    return [f"{path}, line {line}: {said}" for line, said in _misread("", root, set())]


def _misread(key: str, node: yaml.Node, seen: set[int]) -> Iterator[tuple[int, str]]:
    """(line, remark) for whole numbers that YAML takes for base 8 or 60."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for name, inner in node.value:
            yield from _misread(f"{key}.{name.value}".lstrip("."), inner, seen)
    elif isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            yield from _misread(key, inner, seen)
    elif (
        isinstance(node, yaml.ScalarNode)
        and node.tag.endswith(":int")
        and (base := _odd_base(str(node.value)))
    ):
        meant = yaml.SafeLoader("").construct_yaml_int(node)
        remark = (
            f"`{key}: {node.value}` is {meant}, as YAML reads it in base {base}; write {meant} if "
            f"that is meant, else {_decimal(str(node.value))}."
        )
        yield node.start_mark.line + 1, remark


def _odd_base(text: str) -> int | None:
    if re.fullmatch(r"[-+]?0_*[0-7][0-7_]*", text):
        return 8
    return 60 if ":" in text else None


def _decimal(text: str) -> str:
    """What stands there without the zeros in front; a time of day in quotes."""
    if ":" in text:
        return f"'{text}'"
    digits = text.lstrip("+-").replace("_", "").lstrip("0") or "0"
    return f"-{digits}" if text.startswith("-") else digits


def _expanded(node: yaml.Node, known: dict[int, float]) -> float:
    """Values in a tree once aliases are written out; infinite where one holds itself."""
    if id(node) not in known:
        known[id(node)] = math.inf  # until counted: an alias that leads here never ends
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            inner = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            inner = node.value
        known[id(node)] = 1 + sum(_expanded(part, known) for part in inner)
    return known[id(node)]


def _check_node(path: str, key: str, node: yaml.Node, seen: set[int]) -> None:
    if id(node) in seen:  # aliases: once is enough, and loops end
        return
    seen.add(id(node))
    where = f"{path}: {key or 'the file'}"
    if node.tag not in {f"tag:yaml.org,2002:{name}" for name in _PLAIN_TAGS}:
        raise _refuse(where, node.tag, "a YAML tag builds an object")
    if isinstance(node, yaml.MappingNode):
        for name_node, inner in node.value:
            _check_node(path, key, name_node, seen)
            name = str(name_node.value)
            inner_key = f"{key}.{name}" if key else name
            value = inner.value if isinstance(inner, yaml.ScalarNode) else None
            try:
                check_setting(inner_key, value)
            except ConfigError as error:
                raise ConfigError(f"{path}: {error}") from None
            _check_node(path, inner_key, inner, seen)
    elif isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            _check_node(path, key, inner, seen)
    elif isinstance(node, yaml.ScalarNode):
        try:
            check_text(key or "the value", str(node.value))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
