"""What one run is: its settings as they were given, and as they are trained.

`RunConfig` is plain data. It is built from keyword arguments in Python or from the nested dict of
a YAML (`run_config`), refuses unknown keys and bad values with a remedy, and is never executed.
`ResolvedRun` is the same run with no automatic value left.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.components.biases import BIASES
from harness.components.losses import LOSSES
from harness.components.metrics import METRICS
from harness.components.plugins import offered
from harness.config.derived import Remembers, filled, plain
from harness.config.fields import check
from harness.config.groups import GROUPS, Data, Engine, Init, Loss, Model, Optim, Reg, Train
from harness.config.html import html_table
from harness.config.ids import digest
from harness.config.keys import SEED, TOP, component_keys, differing, nest
from harness.config.labels import text
from harness.config.named import group_named
from harness.errors import ConfigError, nearest, shown

Known = dict[tuple[str, str], Any]  # groups of settings that were built already


@dataclass(frozen=True, kw_only=True, repr=False)
class RunConfig(Remembers):
    """One run, whole. `run_id(data_sha256)` names it; equal ids mean equal numbers.

    A group may be the name of a component, which means what it does on the command line:
    RunConfig(loss="mse", reg="l2") is loss=mse reg=l2.
    """

    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    init: Init = field(default_factory=Init)
    loss: Loss = field(default_factory=Loss)
    reg: Reg = field(default_factory=Reg)
    optim: Optim = field(default_factory=Optim)
    train: Train = field(default_factory=Train)
    seed: int = SEED
    engine: Engine = field(default_factory=Engine)

    if TYPE_CHECKING:  # a group may be given by name, and is a group from then on

        def __init__(  # noqa: PLR0913  the groups
            self, *, data: Data | str = ..., model: Model = ..., init: Init | str = ...,
            loss: Loss | str = ..., reg: Reg | str = ..., optim: Optim | str = ...,
            train: Train = ..., seed: int = ..., engine: Engine = ...,
        ) -> None: ...  # fmt: skip

    def __post_init__(self) -> None:
        for name, group in GROUPS.items():
            if not isinstance(getattr(self, name), group):
                object.__setattr__(self, name, group_named(name, getattr(self, name)))
        check("", self)
        kind = self.data.spec.kind
        if kind != self.loss.spec.kind:
            able = ", ".join(LOSSES.having(kind=kind))
            raise ConfigError(
                f"loss.name is '{self.loss.name}', which does not fit data={self.data.name}; "
                f"allowed there: {able}."
            )
        for name in self.train.metrics:
            if METRICS.get(name).kind not in ("", kind):
                raise ConfigError(
                    f"train.metrics names {name!r}, which has no meaning for "
                    f"data={self.data.name}; leave it out there."
                )
        bias = self.init.output_bias
        if kind == "binary" and bias is not None and BIASES.get(bias).of_symbols:
            raise ConfigError(
                f"init.output_bias is {bias!r}, but data={self.data.name} has no symbols; "
                f"allowed there: {', '.join(BIASES.having(of_symbols=False))}."
            )
        if self.train.early_stopping is not None and self.data.split[1] == 0:
            raise ConfigError(
                f"train.early_stopping is {self.train.early_stopping}, but data.split="
                f"{list(self.data.split)} leaves nothing to validate on; allowed there: off."
            )
        if self.model.batch_norm and self.train.batch_size == 1:
            raise ConfigError(
                f"train.batch_size is {self.train.batch_size}, but model.batch_norm is true, which "
                "needs a spread over the batch; allowed: 2 or more, or model.batch_norm=false."
            )

    def flat(self) -> dict[str, Any]:
        """Every setting as {"group.key": value}, in declaration order; tuples as lists."""
        out: dict[str, Any] = {}
        for name in TOP:
            if name in GROUPS:
                out |= plain(name, getattr(self, name))
            else:
                out[name] = getattr(self, name)
        return out

    def changed(self) -> dict[str, Any]:
        """As `flat`, only the settings that differ from the defaults."""
        usual = RunConfig().flat()
        return {k: v for k, v in self.flat().items() if k not in usual or v != usual[k]}

    def _repr_html_(self) -> str:
        rows = [(key, text(value)) for key, value in self.changed().items()]
        return html_table("A run: what differs from the defaults", rows)

    def nested(self) -> dict[str, Any]:
        """Every setting as the nested plain dict that a saved config.yaml holds."""
        return nest(self.flat())

    def resolved(self, device: str = "cpu") -> ResolvedRun:
        """The same run with every automatic value filled in; `device` is what `auto` means here."""
        return self.once(("resolved", device), lambda: self._resolved(device))

    def _resolved(self, device: str) -> ResolvedRun:
        t, o, i, e, d = self.train, self.optim, self.init, self.engine, self.data
        return ResolvedRun(
            data=filled(
                ResolvedData, d,
                unique_words=d.spec.unique_words if d.unique_words is None else d.unique_words,
            ),
            model=self.model,
            init=filled(
                ResolvedInit, i,
                seed=self.seed if i.seed is None else i.seed,
                output_bias=i.bias if i.output_bias is None else i.output_bias,
            ),
            loss=self.loss,
            reg=self.reg,
            optim=filled(ResolvedOptim, o, embed_lr=o.lr if o.embed_lr is None else o.embed_lr),
            train=filled(
                ResolvedTrain, t,
                eval_every=max(1, -(-t.steps // 20)) if t.eval_every is None else t.eval_every,
                batch_seed=self.seed if t.batch_seed is None else t.batch_seed,
            ),
            seed=self.seed,
            engine=filled(Engine, e, device=device if e.device == "auto" else e.device),
        )  # fmt: skip

    def foreign(self) -> dict[str, dict[str, str]]:
        """{"group.key/name": name and identity} of every component that is not built in.

        The identity is that of its package: distribution, version, hash of its source. It is part
        of the run's ids.
        """
        out: dict[str, dict[str, str]] = {}
        names = tuple(_names(getattr(getattr(self, g), field)) for g, field in _component_fields())
        if _all_built_in(names, offered()):
            return out
        for own, (key, registry) in zip(names, component_keys().items(), strict=True):
            for name in own:
                identity = registry.identity(name)
                if identity is not None:
                    out[f"{key}/{name}"] = {"name": name, **identity}
        return out

    def run_id(self, data_sha256: str, device: str = "cpu") -> str:
        """16 hex digits over every field that can change a number, and the data's checksum."""
        return self.resolved(device).digest(data_sha256, seeds=True)

    def config_id(self, data_sha256: str, device: str = "cpu") -> str:
        """As run_id without the seeds: replicates of one configuration share it."""
        return self.resolved(device).digest(data_sha256, seeds=False)


@dataclass(frozen=True, kw_only=True, repr=False)
class ResolvedData(Data):
    """Data settings with the source's own choice filled in."""

    unique_words: bool


@dataclass(frozen=True, kw_only=True, repr=False)
class ResolvedInit(Init):
    """Init settings with the output layer's bias and the seed filled in."""

    output_bias: str
    seed: int


@dataclass(frozen=True, kw_only=True, repr=False)
class ResolvedOptim(Optim):
    """Optimizer settings with the embedding's rate filled in."""

    embed_lr: float


@dataclass(frozen=True, kw_only=True, repr=False)
class ResolvedTrain(Train):
    """Training settings with the evaluation interval and the batches' seed filled in."""

    eval_every: int
    batch_seed: int


@dataclass(frozen=True, kw_only=True, repr=False)
class ResolvedRun(RunConfig):
    """A run with no automatic value left: what is trained, and what its ids are made of.

    engine.chunk, engine.workers and engine.kernel stay as given: how work is divided is decided
    for many runs at once, on the machine that trains them, and is in no id.
    """

    data: ResolvedData
    init: ResolvedInit
    optim: ResolvedOptim
    train: ResolvedTrain

    def resolved(self, device: str = "cpu") -> ResolvedRun:  # noqa: ARG002  the base's own
        """Itself: `device` was chosen already."""
        return self

    def digest(self, data_sha256: str, *, seeds: bool) -> str:
        """16 hex digits naming the run, or without the seeds its configuration; see ids.digest."""
        groups = {name: getattr(self, name) for name in GROUPS}
        return digest(groups, self.foreign(), data_sha256, seeds=seeds)


@functools.cache
def _component_fields() -> list[tuple[str, str]]:
    return [(group, field) for group, _, field in (key.partition(".") for key in component_keys())]


def _names(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """The components that a setting names: one, several or none."""
    if isinstance(value, str):
        return (value,)
    return value or ()


@functools.lru_cache(maxsize=4096)
def _all_built_in(
    names: tuple[tuple[str, ...], ...], _offered: tuple[bool, tuple[str, ...]]
) -> bool:
    """Whether these are built-in components, in the order of component_keys()."""
    return all(
        name in registry.built_in() and registry.plugin(name) is None
        for own, registry in zip(names, component_keys().values(), strict=True)
        for name in own
    )


def run_config(values: Mapping[str, Any], known: Known | None = None) -> RunConfig:
    """Build a RunConfig from a nested plain dict; ConfigError on unknown keys or bad values.

    known: to be given again for the next of many runs, which then share their equal groups; it
    must not outlive a change of the registered components.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"the config is {shown(values)}; it must be a mapping of groups.")
    groups: dict[str, Any] = {}
    for name, inner in values.items():
        if name == "seed":
            groups[name] = inner
            continue
        if name not in GROUPS:
            raise ConfigError(
                f"{shown(name)} is not a setting; allowed at the top: {', '.join(TOP)}."
                f"{nearest(str(name), TOP)}"
            )
        if known is None:
            groups[name] = build(GROUPS[name], f"{name}.", inner)
            continue
        key = name, repr(inner)  # tells 1 from 1.0 and from true
        if key not in known:
            known[key] = build(GROUPS[name], f"{name}.", inner)
        groups[name] = known[key]
    return RunConfig(**groups)


def build(group: type, prefix: str, values: Any) -> Any:
    """One settings group from a plain dict, strict on unknown keys."""
    if isinstance(values, str) or not isinstance(values, Mapping):
        raise ConfigError(
            f"{prefix[:-1]} is {shown(values)}; it must be a mapping of settings, such as "
            f"{prefix}{dataclasses.fields(group)[0].name}."
        )
    known = [entry.name for entry in dataclasses.fields(group)]
    for key in values:
        if key not in known:
            raise ConfigError(
                f"{prefix}{key} is not a setting; known: "
                f"{', '.join(prefix + k for k in known)}.{nearest(str(key), known)}"
            )
    return group(**values)


def varying(runs: Iterable[RunConfig]) -> list[str]:
    """The keys that differ between these runs, in declaration order."""
    return differing([run.flat() for run in runs])
