"""A group of settings by the name of a component: "l2" for Reg(name="l2", strength=0.01)."""

from __future__ import annotations

import dataclasses
from typing import Any

from harness.config.groups import GROUPS
from harness.config.keys import choosing
from harness.errors import ConfigError, shown


def group_named(group: str, value: Any) -> Any:
    """The group of settings that `group=value` means on the command line.

    ConfigError for an unknown name, for a group that no component names, and for anything that is
    no name.
    """
    kind, found = GROUPS[group], choosing(group)
    if found is None or not isinstance(value, str):
        first = dataclasses.fields(kind)[0]
        or_name = "" if found is None else f", or a name, such as {first.default!r}"
        raise ConfigError(
            f"{group} is {shown(value)}; allowed: harness.{kind.__name__}(...), such as "
            f"{kind.__name__}({first.name}={first.default!r}){or_name}. A plain dict is read by "
            f"harness.run_config({{{group!r}: {{...}}}})."
        )
    key, registry = found
    return kind(**{key.partition(".")[2]: value, **registry.get(value, group).chosen()})
