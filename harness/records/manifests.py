"""What a sweep consists of: its runs in order, their names and settings, when it was created.

Written once, durably, before the first run trains; `created_ms` is the origin of every timestamp
that tracking writes, so that writing again changes nothing.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.config.automatic import follows, spelled, varying
from harness.config.foreign import recall, stored_components
from harness.config.ids import sweep_id
from harness.config.keys import differing, field_rules, nest, unnest
from harness.config.labels import short_names, text
from harness.config.run import RunConfig


class Configs(Mapping[str, Mapping[str, Any]]):
    """run_id -> nested settings, kept flat: what all runs share once, the rest run by run."""

    def __init__(self, base: Mapping[str, Any], own: Mapping[str, Mapping[str, Any]]) -> None:
        self.base, self.own = base, own

    @classmethod
    def shared(cls, flats: Mapping[str, Mapping[str, Any]]) -> Configs:
        """Of run_id -> flat settings."""
        rows = list(flats.values())
        first = rows[0] if rows else {}
        base = {key: value for key, value in first.items() if all(key in row for row in rows)}
        apart = {key for key, value in base.items() if any(row[key] != value for row in rows)}

        def own(flat: Mapping[str, Any]) -> dict[str, Any]:
            keys = apart | (flat.keys() - base.keys())
            return {k: flat[k] for k in flat if k in keys and (k not in base or flat[k] != base[k])}

        return cls(base, {run_id: own(flat) for run_id, flat in flats.items()})

    @classmethod
    def of(cls, configs: Mapping[str, Mapping[str, Any]]) -> Configs:
        """Of run_id -> nested settings."""
        if isinstance(configs, Configs):
            return configs
        return cls.shared({run_id: unnest(nested) for run_id, nested in configs.items()})

    def __getitem__(self, run_id: str) -> Mapping[str, Any]:
        return nest({**self.base, **self.own[run_id]})

    def __contains__(self, run_id: object) -> bool:
        return run_id in self.own

    def __iter__(self) -> Iterator[str]:
        return iter(self.own)

    def __len__(self) -> int:
        return len(self.own)

    def settings(self) -> list[str]:
        """The "group.key" of every setting that some run has."""
        return list(dict.fromkeys([*self.base, *(key for own in self.own.values() for key in own)]))

    def flat(self) -> dict[str, dict[str, Any]]:
        """run_id -> its settings as {"group.key": value}."""
        return {run_id: {**self.base, **own} for run_id, own in self.own.items()}


@dataclass(frozen=True, kw_only=True)
class SweepManifest:
    """A sweep, or (kind "single", sweep_id = run_id) one run trained by itself.

    configs: run_id -> nested plain settings; names: run_id -> what tells it from the others;
    varying: keys that differ; overrides: as the user gave them; tracking: experiment, address
    without its password, parent's MLflow id once known; launches: for each command that trained
    some of it, where its time went (see cli.launch), oldest first.
    """

    sweep_id: str
    created_ms: int
    run_ids: tuple[str, ...]
    configs: Mapping[str, Mapping[str, Any]]
    names: Mapping[str, str]
    kind: str = "sweep"
    varying: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    tracking: Mapping[str, Any] = field(default_factory=dict)
    components: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    launches: tuple[Mapping[str, Any], ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)  # by halving: run id -> its last step
    confirms: Mapping[str, Any] = field(default_factory=dict)
    # ^ of a sweep that confirms another: its id, the metric, the configurations chosen by it

    @cached_property
    def settings(self) -> dict[str, dict[str, Any]]:
        """run_id -> its flat settings as they are shown (see config.automatic)."""
        flats = Configs.of(self.configs).flat()
        return _spelled({run_id: flats[run_id] for run_id in self.run_ids})

    @property
    def shared(self) -> dict[str, Any]:
        """The settings that are the same in every run."""
        rows = list(self.settings.values())
        apart = set(differing(rows))
        return {key: value for key, value in (rows[0] if rows else {}).items() if key not in apart}

    def to_plain(self) -> dict[str, Any]:
        """JSON values; settings that all runs share are held once."""
        configs = Configs.of(self.configs)
        plain = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)}
        plain["names"] = [self.names[run_id] for run_id in self.run_ids]
        plain["configs"] = [configs.own[run_id] for run_id in self.run_ids]
        plain |= {"tracking": dict(self.tracking), "confirms": dict(self.confirms)}
        plain["dropped"] = dict(self.dropped)
        return plain | {"base": configs.base}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> SweepManifest:
        """The manifest of `to_plain`."""
        ids = tuple(plain["run_ids"])
        own = dict(zip(ids, plain["configs"], strict=True))
        recall(plain.get("components"))
        return cls(
            sweep_id=plain["sweep_id"],
            created_ms=plain["created_ms"],
            run_ids=ids,
            configs=Configs(plain["base"], own),
            names=dict(zip(ids, plain["names"], strict=True)),
            kind=plain["kind"],
            varying=tuple(plain["varying"]),
            overrides=tuple(plain["overrides"]),
            tracking=plain["tracking"],
            components=plain.get("components", {}),
            launches=tuple(plain.get("launches", ())),
            dropped=plain.get("dropped", {}),
            confirms=plain.get("confirms", {}),
        )

    def joined(self, other: SweepManifest) -> SweepManifest:
        """Add the other's runs behind the own ones; id and creation time stay.

        Every run gets a new name, by what varies now.
        """
        ids = (*self.run_ids, *(r for r in other.run_ids if r not in self.configs))
        flats = {**Configs.of(other.configs).flat(), **Configs.of(self.configs).flat()}
        flats = {run_id: flats[run_id] for run_id in ids}
        shown = _spelled(flats)
        keys = varying(list(shown.values()))
        return dataclasses.replace(
            self,
            run_ids=ids,
            configs=Configs.shared(flats),
            names=_names(shown, keys),
            varying=tuple(keys),
            overrides=(*self.overrides, *(o for o in other.overrides if o not in self.overrides)),
            components={**other.components, **self.components},
        )


def new_sweep(
    runs: Mapping[str, RunConfig],
    *,
    names: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
    tracking: Mapping[str, Any] | None = None,
) -> SweepManifest:
    """The manifest of run_id -> config, created now."""
    flats = {run_id: config.flat() for run_id, config in runs.items()}
    shown = _spelled(flats)
    keys = varying(list(shown.values()))
    return SweepManifest(
        sweep_id=sweep_id(runs),
        created_ms=time.time_ns() // 1_000_000,
        run_ids=tuple(runs),
        configs=Configs.shared(flats),
        names=dict(names or _names(shown, keys)),
        varying=tuple(keys),
        overrides=tuple(overrides),
        tracking=tracking or {},
        components=stored_components(runs.values()),
    )


def new_single(
    run_id: str,
    config: RunConfig,
    *,
    name: str | None = None,
    overrides: Sequence[str] = (),
    tracking: Mapping[str, Any] | None = None,
) -> SweepManifest:
    """The manifest of one run trained by itself, created now."""
    sweep = new_sweep(
        {run_id: config},
        names={run_id: name or describe(config)},
        overrides=overrides,
        tracking=tracking,
    )
    return dataclasses.replace(sweep, sweep_id=run_id, kind="single")


def run_names(runs: Mapping[str, RunConfig]) -> dict[str, str]:
    """Run id -> what varies, such as "mse weight_scale=0.3 seed=1"; all of it where nothing does.

    What is chosen by name comes first, by its name alone: columns of run names are narrow. A key is
    shortened to its last part where no other varying key ends alike.
    """
    shown = _spelled({run_id: config.flat() for run_id, config in runs.items()})
    return _names(shown, varying(list(shown.values())))


def _spelled(flats: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Settings as names and lists show them (see config.automatic), by run id."""
    return dict(zip(flats, spelled(list(flats.values())), strict=True))


def _names(flats: Mapping[str, Mapping[str, Any]], told: Sequence[str]) -> dict[str, str]:
    keys = sorted(told, key=lambda key: not key.endswith(".name"))
    label = short_names(keys)
    out = {}
    for run_id, flat in flats.items():
        parts = [_part(k, label[k], text(flat[k])) for k in keys if k in flat]
        out[run_id] = " ".join(parts)[:240] or _described(flat)
    return out


def describe(config: RunConfig) -> str:
    """What one run is, where nothing tells it from others: "mse weight_scale=0.3 seed=1".

    Loss, scale of the initial weights and seed, and what is not at its default.
    """
    return _described(spelled([config.flat()])[0])


def _described(flat: Mapping[str, Any]) -> str:
    default = RunConfig().flat()
    rules = field_rules()
    own = [k for k in flat if flat[k] != default.get(k) and not follows([flat], k)]
    told = [k for k in own if rules.get(k, {}).get("numeric", True)]
    named = dict.fromkeys(["loss.name", "init.weight_scale", *told, "seed"])
    keys = sorted(named, key=lambda key: key.endswith("seed"))  # seeds last
    label = short_names(keys)
    parts = [_part(k, label[k], text(flat[k])) for k in keys if k != "data.path"]
    return " ".join(parts)[:240]


def _part(key: str, label: str, value: str) -> str:
    alone = key.endswith(".name") and value != "none"
    return value if alone else f"{label}={value}"
