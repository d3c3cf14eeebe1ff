"""A run's settings as files people read: config.yaml and the overrides that lead to it."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from harness import __version__
from harness.config.foreign import recall
from harness.config.keys import component_defaults, unnest
from harness.config.run import Known, RunConfig, run_config
from harness.config.settings import own_settings
from harness.errors import ConfigError, nearest
from harness.system import KEYS

STAMP = (
    "version",
    "components",
    "numerics",
    "git_commit",
    "git_dirty",
    "data_sha256",
    "platform",
    *KEYS,
)


def config_yaml(config: RunConfig, provenance: Mapping[str, Any] | None = None) -> str:
    """The whole config as YAML, automatic values as they were given; `harness train` reads it.

    provenance: of the run's record; what a reproduction must know of it is under `saved`.
    """
    parts: dict[str, Any] = config.nested()
    if provenance:
        parts["saved"] = {key: provenance[key] for key in STAMP if key in provenance}
    lines = []
    for group, inner in parts.items():
        if isinstance(inner, dict):
            lines.append(f"{group}:")
            lines += [f"  {key}: {_scalar(value)}" for key, value in inner.items()]
        else:
            lines.append(f"{group}: {_scalar(inner)}")
    return "\n".join(lines) + "\n"


def read_config(
    values: Mapping[str, Any], where: str = "this config", known: Known | None = None
) -> RunConfig:
    """The run that a config's plain values describe; what belongs to its surroundings is left out.

    One that harness saved (it has a `saved` group) must hold every setting this version knows and
    no other: a default that came later, or a key since renamed, would silently change its numbers.
    ConfigError says which; ConfigError on bad values, as config.run_config; known: as there.
    """
    if not isinstance(values, Mapping):
        return run_config(values)
    own = {k: v for k, v in own_settings(values).items() if k != "saved"}
    stamp = values.get("saved")
    if stamp is not None:
        check_whole(own, where, stamp if isinstance(stamp, Mapping) else {})
    return run_config(own, known)


def check_whole(values: Mapping[str, Any], where: str, stamp: Mapping[str, Any]) -> None:
    """ConfigError unless nested settings have exactly the keys of this version."""
    recall(stamp.get("components"))
    given, known = unnest(values), RunConfig().flat()
    known |= component_defaults(given)
    lacking = [key for key in known if key not in given]
    unknown = sorted(given.keys() - known.keys())
    if not lacking and not unknown:
        return
    parts = []
    if lacking:
        now = ", ".join(f"{key} (now {known[key]!r} by default)" for key in lacking[:5])
        parts.append(f"it lacks {now}{', ...' if len(lacking) > 5 else ''}")
    if unknown:
        guesses = "".join(nearest(key, lacking) for key in unknown[:1])
        parts.append(f"{', '.join(unknown[:5])} is unknown here.{guesses}".rstrip("."))
    raise ConfigError(
        f"{where} was saved by harness {stamp.get('version', 'of another version')} and this is "
        f"{__version__}: {'; '.join(parts)}. Its numbers could change unnoticed, so it is refused: "
        "use that version, or write every setting it was trained with into the file."
    )


def overrides_of(config: RunConfig) -> list[str]:
    """["group.key=value", ...] for every setting that is not at its default."""
    default = _default()
    return [
        f"{key}={_scalar(value, bare=True)}"
        for key, value in config.flat().items()
        if value != default.get(key)
    ]


@functools.cache
def _default() -> Mapping[str, Any]:
    return RunConfig().flat()


def _scalar(value: Any, *, bare: bool = False) -> str:
    """One value in YAML's flow style. PyYAML takes 1e-05 for text: floats always have a dot."""
    if isinstance(value, Mapping):
        own = (f"{key}: {_scalar(v, bare=bare)}" for key, v in value.items())
        return "{" + ", ".join(own) + "}"
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
