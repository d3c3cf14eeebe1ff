"""Names on a command line: misspelt settings and group choices answered with the nearest one.

Also quotes paths for the user, whose characters Hydra's grammar would take for its own.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.cli.near import setting_meant
from harness.config.groups import GROUPS
from harness.config.keys import choosing, field_rules
from harness.config.settings import CLUSTERS, FREE, SURROUNDINGS, Halving, Ledger, Tracking
from harness.errors import ConfigError, nearest, shown
from harness.paths import conf_dir

LONGEST = 100_000  # characters of one override
PATH_KEYS = ("data.path", "ledger.dir", "tracking.uri", "tracking.artifacts")


@functools.cache
def known_keys() -> tuple[str, ...]:
    """Every setting a command line can give, "group.key"."""
    keys = list(field_rules())
    clusters = [(f"engine.{name}", kind) for name, kind in CLUSTERS.items()]
    around = [("tracking", Tracking), ("ledger", Ledger), ("halving", Halving)]
    for group, kind in [*around, *clusters]:
        keys += [f"{group}.{entry.name}" for entry in dataclasses.fields(kind)]
    return tuple(keys)


@functools.cache
def group_choices() -> dict[str, tuple[str, ...]]:
    """Group -> the YAML files to choose from, as conf/ has them."""
    return {
        folder.name: tuple(sorted(path.stem for path in folder.glob("*.yaml")))
        for folder in sorted(conf_dir().iterdir())
        if folder.is_dir()
    }


def check_form(text: str) -> None:
    """ConfigError for what is no key=value at all; finer faults are left to Hydra's parser."""
    if len(text) > LONGEST:
        raise ConfigError(
            f"{shown(text, 40)} has {len(text):,} characters; allowed: {LONGEST:,}. Longer grids "
            "belong in a YAML file: -cd FOLDER experiment=NAME."
        )
    if re.search(r"\d{400}", text):
        raise ConfigError(f"{shown(text, 40)} holds a number of over 400 digits; write fewer.")
    key, equals, _ = text.partition("=")
    if not equals and not text.startswith("~"):
        raise ConfigError(
            f"{shown(text)} is no setting: it has no '='; allowed: key=value, such as seed=1 or "
            f"loss=mse.{setting_meant(text, (*known_keys(), *group_choices()))}"
        )
    if equals and not key.strip("+~ "):
        raise ConfigError(f"{shown(text)} names no setting; allowed: key=value, such as seed=1.")


def check_names(given: Sequence[tuple[str, Sequence[Any]]], *, foreign: bool) -> None:
    """ConfigError for an unknown key or group choice, before anything is composed.

    given: (key or group, its values). foreign: the user's own YAML may add group choices.
    """
    choices = group_choices()
    known = known_keys()
    for key, values in given:
        if key == "hydra" or key.startswith(("hydra.", "hydra/")) or "/" in key or "@" in key:
            continue
        if key in choices:
            group = choosing(key)
            options = (*choices[key], *(group[1].others() if group is not None else ()))
            for value in values:
                _check_choice(key, value, options, foreign=foreign)
        elif key in (*GROUPS, *SURROUNDINGS, *(f"engine.{name}" for name in CLUSTERS)):
            continue
        elif key.startswith(FREE):
            continue  # whether the component has it is known once it is chosen
        elif key not in known:
            where = [name for name in known if name.startswith(key.partition(".")[0] + ".")]
            several = ", ".join(where) or f"seed, {', '.join(f'{g}.*' for g in GROUPS)}"
            guess = setting_meant(key, [*known, *choices])
            raise ConfigError(f"{key} is not a setting; known: {several}.{guess}")


def _check_choice(group: str, value: Any, options: tuple[str, ...], *, foreign: bool) -> None:
    if value is None and group == "experiment":
        return
    if isinstance(value, dict):
        return  # a mapping of settings: checked when the run is built
    if group == "data" and isinstance(value, str) and value not in options:
        path = Path(value)
        if path.suffix or len(path.parts) > 1:
            raise ConfigError(
                f"data is {shown(value)}, which looks like a file; for a word list of your own: "
                f"data=file data.path={value}. Known: {', '.join(options)}."
            )
    if not isinstance(value, str) or (value not in options and not foreign):
        raise ConfigError(
            f"{group} is {shown(value)}; known: {', '.join(options)}.{nearest(str(value), options)}"
        )


def quote_paths(argv: Sequence[str]) -> list[str]:
    """Quote the values of path settings: `data.path=a (1).txt` means that file, as it stands.

    A value that is quoted already is left alone; commas separate several paths (a grid over
    files) unless the whole is a file.
    """
    return [_quoted(word) for word in argv]


def _quoted(word: str) -> str:
    key, equals, value = word.partition("=")
    if not equals or key.lstrip("+") not in PATH_KEYS or value in ("", "null"):
        return word
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return word
    several = "," in value and not Path(value).expanduser().exists()
    parts = value.split(",") if several else [value]
    return f"{key}={','.join(_quote(part) for part in parts)}"


def _quote(text: str) -> str:
    # a backslash counts as an escape only before a quote, so it is doubled there and at the end
    return "'" + re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), text) + "'"
