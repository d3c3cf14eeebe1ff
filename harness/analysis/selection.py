"""Which runs are meant: key=value conditions, on the command line or from Python."""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.analysis.table import known_column
from harness.config.labels import text
from harness.errors import ConfigError, shown

if TYPE_CHECKING:
    from harness.analysis.table import SweepTable

ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
CONDITION = re.compile(r"\s*([A-Za-z_][\w./]*)\s*(!=|<=|>=|==|=|<|>)\s*([^=<>!].*?|)\s*")


@dataclass(frozen=True)
class Condition:
    """column, one of = != < <= > >=, value."""

    column: str
    sign: str
    value: Any

    def holds(self, found: Any) -> bool:
        """Whether a run with this value in the column is meant; missing values never order."""
        if self.sign in ORDER:
            return (
                is_number(found) and is_number(self.value) and ORDER[self.sign](found, self.value)
            )
        return same(found, self.value) == (self.sign == "=")


Given = str | Sequence[str] | Mapping[str, Any]


def conditions(table: SweepTable, given: Given) -> list[Condition]:
    """Of `loss=mse,weight_scale<1`, a list of such, or {key: value}; ConfigError if senseless."""
    if isinstance(given, Mapping):
        return [Condition(known_column(table, k), "=", v) for k, v in given.items()]
    return [
        Condition(known_column(table, one.column), one.sign, one.value)
        for one in parse_conditions(given)
    ]


def parse_conditions(given: str | Sequence[str]) -> list[Condition]:
    """`loss=mse,weight_scale<1` as conditions on columns named as written; ConfigError if none."""
    texts = [given] if isinstance(given, str) else given
    parts = [part for text in texts for part in _split(text)]
    out = []
    for part in parts:
        found = CONDITION.fullmatch(part)
        if not found:
            raise ConfigError(
                f"{shown(part)} is no condition; allowed: key=value, or != < <= > >= in place "
                "of =, such as loss.name=mse or nll/val<2.3."
            )
        key, sign, value = found.groups()
        out.append(Condition(key, "=" if sign == "==" else sign, parsed(value)))
    return out


def selected(table: SweepTable, wanted: Sequence[Condition]) -> list[bool]:
    """Per run, whether all conditions hold; ConfigError names the values there are if none does."""
    keep = [True] * len(table.runs)
    for one in wanted:
        held = [one.holds(value) for value in table.runs[one.column].tolist()]
        if not any(held) and len(held):
            raise ConfigError(
                f"no run has {one.column}{one.sign}{text(one.value)}; "
                f"there are: {values_of(table, one.column)}."
            )
        keep = [a and b for a, b in zip(keep, held, strict=True)]
    if wanted and len(keep) and not any(keep):
        raise ConfigError("no run meets all of these conditions together; leave one of them out.")
    return keep


def values_of(table: SweepTable, column: str, limit: int = 8) -> str:
    """The values of a column in words, for errors."""
    seen = sorted({_key(v): v for v in table.runs[column].tolist()}.items())
    few = [text(value) for _, value in seen[:limit]]
    return ", ".join(few) + (", ..." if len(seen) > limit else "")


def parsed(value: str) -> Any:
    """Text as a value: null, true, numbers (.1 too), [64,64], or the text itself."""
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", value, re.IGNORECASE):
        return float(value) if re.search(r"[.e]", value, re.IGNORECASE) else int(value)
    try:
        found = json.loads(value)
    except ValueError:
        return value
    return tuple(found) if isinstance(found, list) else found


def is_number(value: Any) -> bool:
    """Whether a value can be ordered as a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def same(a: Any, b: Any) -> bool:
    """Equal values; numbers to rounding, lists and tuples alike."""
    if is_number(a) and is_number(b):
        return math.isclose(a, b, rel_tol=1e-9)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and bool(a == b)


def _key(value: Any) -> tuple[int, float, str]:
    """Orders numbers by size, before text."""
    return (0, float(value), "") if is_number(value) else (1, 0.0, text(value))


sort_key = _key


def _split(given: str) -> list[str]:
    """At commas, but those within brackets."""
    return [part for part in re.split(r",(?![^\[]*\])", given) if part.strip()]
