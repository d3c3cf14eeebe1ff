"""Names of runs, configurations and sweeps: hashes of all that can change a number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from harness.config.derived import Remembers, plain
from harness.config.keys import rule_of

NUMERICS = 2  # raise when the engine's arithmetic changes, so that old and new runs never merge


def digest(
    groups: Mapping[str, Remembers], foreign: Mapping[str, Any], data_sha256: str, *, seeds: bool
) -> str:
    """16 hex digits: hash of the JSON text of all that counts, keys in order, group by group.

    groups: resolved, so that a value given and the same one left out hash alike. foreign: what
    is known of components that are not built in. seeds: whether the seeds count.
    """
    parts = {name: _hashed(name, group, seeds, data_sha256) for name, group in groups.items()}
    parts["numerics"] = f'"numerics":{NUMERICS}'
    if foreign:
        parts["components"] = f'"components":{_json(foreign)}'
    text = "{" + ",".join(parts[name] for name in sorted(parts) if parts[name]) + "}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _hashed(name: str, group: Remembers, seeds: bool, data_sha256: str) -> str:
    """What of a group counts in a run's id, or with no seed in a configuration's: JSON entries.

    A data file's checksum is in place of its path.
    """

    def derive() -> str:
        kept = {
            key: value
            for key, value in plain(name, group).items()
            if rule_of(key)["numeric"]
            and key != "data.path"
            and (seeds or not rule_of(key)["seed"])
            and not (rule_of(key)["later"] and value == rule_of(key)["default"])
        }
        if name == "data":
            kept["data.sha256"] = data_sha256
        return _json(kept)[1:-1]

    return group.once(("hashed", seeds, data_sha256), derive)


def _json(plain: Mapping[str, Any]) -> str:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sweep_id(run_ids: Iterable[str]) -> str:
    """16 hex digits naming a set of runs: hash of its sorted, distinct run_ids."""
    text = ",".join(sorted(set(run_ids)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
