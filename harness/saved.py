"""A run's settings as files people read: config.yaml and the overrides that lead to it."""

from __future__ import annotations

import json
from typing import Any

from harness.config import RunConfig


def config_yaml(config: RunConfig) -> str:
    """The whole config as YAML, automatic values as they were given; `harness train` reads it."""
    lines = []
    for group, inner in config.nested().items():
        if isinstance(inner, dict):
            lines.append(f"{group}:")
            lines += [f"  {key}: {_scalar(value)}" for key, value in inner.items()]
        else:
            lines.append(f"{group}: {_scalar(inner)}")
    return "\n".join(lines) + "\n"


def overrides_of(config: RunConfig) -> list[str]:
    """["group.key=value", ...] for every setting that is not at its default."""
    default = RunConfig().flat()
    return [
        f"{key}={_scalar(value, bare=True)}"
        for key, value in config.flat().items()
        if value != default[key]
    ]


def overrides_yaml(overrides: list[str] | tuple[str, ...]) -> str:
    """A list of overrides as YAML."""
    return "".join(f"- {json.dumps(line, ensure_ascii=False)}\n" for line in overrides) or "[]\n"


def _scalar(value: Any, *, bare: bool = False) -> str:
    """One value in YAML's flow style. PyYAML takes 1e-05 for text: floats always have a dot."""
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_scalar(v, bare=bare) for v in value) + "]"
    if isinstance(value, float):
        text = repr(value)
        if "e" in text and "." not in text:
            text = text.replace("e", ".0e")
        return text
    if bare and isinstance(value, str) and value.replace("_", "a").isalnum():
        return value
    return json.dumps(value, ensure_ascii=False)
