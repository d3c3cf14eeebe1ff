"""The shape of a grid: axes crossed or zipped, several grids side by side, points left out.

Works on texts `key=value` alone and knows nothing of Hydra, which reads the axes (hydra_api) and
composes the points (composition).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.analysis.selection import Condition, parse_conditions
from harness.config.keys import OF_COMPONENTS
from harness.errors import ConfigError, nearest, shown

Axes = Mapping[str, Sequence[str]]  # key -> its "key=value" texts, in order


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What `--zip` and `--drop`, or the same keys under hydra.sweeper, ask for.

    zip: groups of keys whose lists are paired instead of crossed; drop: conditions as in
    `compare --where`, a point that meets all of one text is left out; grids: axes of several grids,
    each a mapping like `params`, whose points stand side by side.
    """

    zip: tuple[tuple[str, ...], ...] = ()
    drop: tuple[str, ...] = ()
    grids: tuple[Mapping[str, str], ...] = ()

    def joined(self, other: Shape) -> Shape:
        """Both shapes' requests."""
        return Shape(
            zip=self.zip + other.zip, drop=self.drop + other.drop, grids=self.grids + other.grids
        )


@dataclass
class Drawn:
    """What became of a shape: `axes` in words, how many points it made, how many each drop took."""

    axes: list[str] = field(default_factory=list)
    points: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """For people, one line a grid and one a condition."""
        out = [f"grid: {text}" for text in self.axes]
        out += [f"dropped {count} where {text}" for text, count in self.dropped.items()]
        return out


def read_shape(
    zips: object = None,
    drops: object = None,
    grids: object = None,
    *,
    where: str = "hydra.sweeper.",
) -> Shape:
    """A shape from plain lists, as YAML gives them; ConfigError names what has another form."""
    paired = _list(f"{where}zip", zips, "a list of lists of keys, such as [[loss,optim.lr]]")
    groups = []
    for group in paired:
        names = list(group) if isinstance(group, (list, tuple)) else str(group).split(",")
        names = [str(name).strip() for name in names if str(name).strip()]
        if len(set(names)) < 2:
            raise ConfigError(
                f"{where}zip holds {shown(group)}; allowed: two or more different keys, such as "
                "loss,optim.lr."
            )
        groups.append(tuple(names))
    twice = [key for key, n in _counted(itertools.chain(*groups)).items() if n > 1]
    if twice:
        raise ConfigError(f"{where}zip names {twice[0]} in two groups; allowed: one.")
    texts = _list(f"{where}drop", drops, "a list of conditions, such as ['reg=none,strength>0']")
    several = _list(f"{where}grids", grids, "a list of mappings like hydra.sweeper.params")
    for grid in several:
        if not isinstance(grid, Mapping):
            raise ConfigError(
                f"{where}grids holds {shown(grid)}; allowed: mappings of keys to texts, such as "
                "{loss: 'mse,bce', optim.lr: '.1,.3'}."
            )
    return Shape(
        zip=tuple(groups),
        drop=tuple(str(text) for text in texts),
        grids=tuple({str(k): v for k, v in grid.items()} for grid in several),
    )


def points(axes: Axes, zipped: Sequence[Sequence[str]]) -> list[list[str]]:
    """Every point, the last axis fastest; a zipped group moves as one axis, at its first key."""
    blocks = [zip(*(axes[key] for key in group), strict=True) for group in _blocks(axes, zipped)]
    return [list(itertools.chain(*point)) for point in itertools.product(*blocks)]


def in_words(axes: Axes, zipped: Sequence[Sequence[str]]) -> str:
    """As in "[loss, optim.lr] (4) x seed (3) = 12 points"; axes of one value are left out."""
    parts, total = [], 1
    for group in _blocks(axes, zipped):
        length = len(axes[group[0]])
        total *= length
        if length > 1:
            name = group[0] if len(group) == 1 else f"[{', '.join(group)}]"
            parts.append(f"{name} ({length})")
    return f"{' x '.join(parts) or 'one point'} = {total:,} point{'s' * (total != 1)}"


def applicable(axes: Axes, groups: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """The zip groups that this grid has; ConfigError for half a group or unequal lengths."""
    out: list[Sequence[str]] = []
    for group in groups:
        there = [key for key in group if key in axes]
        if not there:
            continue
        absent = [key for key in group if key not in axes]
        if absent:
            raise ConfigError(
                f"zip pairs {', '.join(group)}, but {absent[0]} is not an axis of this grid; give "
                f"it a list of as many values as {there[0]}.{_meant(absent[0], axes)}"
            )
        lengths = {key: n for key in group if (n := len(axes[key])) > 1}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{key} has {n}" for key, n in lengths.items())
            raise ConfigError(f"zip pairs lists of equal length, but {told}.")
        if len(lengths) > 1:  # one value is no list: it goes with all values of the others
            out.append(tuple(lengths))
    return out


def check_zips(every: Sequence[Axes], groups: Sequence[Sequence[str]]) -> None:
    """ConfigError for a group that no grid has."""
    known = sorted({key for axes in every for key in axes})
    for group in groups:
        if not any(key in axes for axes in every for key in group):
            raise ConfigError(
                f"zip pairs {', '.join(group)}, and none of them is an axis; axes here: "
                f"{', '.join(known) or 'none'}.{_meant(group[0], known)}"
            )


def kept(configs: Sequence[Mapping[str, Any]], drops: Sequence[str], drawn: Drawn) -> list[bool]:
    """Per composed point, whether it stays; counts what each text took. Nothing is validated yet.

    ConfigError for an unknown key, or where no point is left.
    """
    keep = [True] * len(configs)
    for text in drops:
        wanted = parse_conditions(text)
        taken = 0
        for place, config in enumerate(configs):
            if keep[place] and all(_holds(config, one) for one in wanted):
                keep[place], taken = False, taken + 1
        drawn.dropped[text] = taken
    if configs and not any(keep):
        raise ConfigError(
            f"drop takes all {len(configs)} points; leave out one of: {', '.join(drops)}."
        )
    return keep


def _holds(config: Mapping[str, Any], one: Condition) -> bool:
    return one.holds(_value(config, one.column))


def _value(config: Mapping[str, Any], key: str) -> Any:
    """A composed setting by its name, its group's name ("loss": loss.name) or unique last part."""
    flat = _flat(config)
    if key in flat:
        return flat[key]
    if key.startswith(OF_COMPONENTS):  # of another component than this point's
        return None
    if f"{key}.name" in flat:
        return flat[f"{key}.name"]
    ends = [name for name in flat if name.rpartition(".")[2] == key]
    if len(ends) == 1:
        return flat[ends[0]]
    raise ConfigError(f"drop names {shown(key)}, which is not a setting.{_meant(key, flat)}")


def _meant(key: str, known: Iterable[str]) -> str:
    """The keys that end so, else the nearest one, as a question."""
    ends = [name for name in known if name.rpartition(".")[2] == key]
    return f" Did you mean {' or '.join(ends)}?" if ends else nearest(key, known)


def _flat(config: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            out |= _flat(value, f"{before}{key}.")
        else:
            out[f"{before}{key}"] = value
    return out


def _blocks(axes: Axes, zipped: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Axes in order, each alone or with those it is paired with."""
    first = {group[0]: group for group in (sorted(g, key=list(axes).index) for g in zipped)}
    others = {key for group in first.values() for key in group[1:]}
    return [first.get(key, (key,)) for key in axes if key not in others]


def _list(key: str, given: object, form: str) -> list[Any]:
    if given is None:
        return []
    if isinstance(given, (str, Mapping)) or not isinstance(given, Sequence):
        raise ConfigError(f"{key} is {shown(given)}; allowed: {form}.")
    return list(given)


def _counted(keys: Any) -> dict[str, int]:
    out: dict[str, int] = {}
    for key in keys:
        out[key] = out.get(key, 0) + 1
    return out
