"""Errors a user can cause and mend; the command line prints them without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HarnessError(Exception):
    """Base of every error raised on purpose; `exit_code` is what the command line returns."""

    exit_code = 1


class ConfigError(HarnessError):
    """A setting is wrong: the message names key, value, what is allowed and what to do."""

    exit_code = 2


class DataError(HarnessError):
    """A data file is missing, empty or unreadable: the message names file, line and remedy."""

    exit_code = 2


class PluginError(HarnessError):
    """A plug-in of another package is broken, clashes or is missing: the message names it."""

    exit_code = 2


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.5) -> str:
    """The hint " Did you mean 'x'?" for the closest known word; empty where none is close."""
    close = difflib.get_close_matches(str(word), list(known), n=1, cutoff=cutoff)
    return f" Did you mean '{close[0]}'?" if close else ""


def shown(value: object, limit: int = 80) -> str:
    """A value as a message prints it, null and true as in YAML.

    Beyond `limit` characters its middle is left out: a path is told by its end, a list by both.
    """
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a loop
        text = f"a {type(value).__name__} too large to show"
    if len(text) <= limit:
        return text
    half = (limit - 3) // 2
    return f"{text[: limit - 3 - half]}...{text[-half:]}"
