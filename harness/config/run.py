"""What one run is: frozen, validated groups of settings, and the hashes that name it.

`RunConfig` is plain data. It is built from keyword arguments in Python or from the nested dict of
a YAML (`run_config`), refuses unknown keys and bad values with a remedy, and is never executed.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.components.activations import ACTIVATIONS
from harness.components.biases import BIASES
from harness.components.inits import INITS, InitSpec
from harness.components.losses import LOSSES, LossSpec
from harness.components.optimizers import OPTIMIZERS, OptimizerSpec
from harness.components.penalties import PENALTIES, PenaltySpec
from harness.components.plugins import offered
from harness.components.registry import Registry
from harness.components.schedules import SCHEDULES
from harness.components.sources import SOURCES, SourceSpec
from harness.config.derived import Remembers, filled, plain
from harness.config.fields import check, knob, settings_of_its_own
from harness.errors import ConfigError, nearest, shown

SCOPES = ("linear", "all", "hidden", "output", "embedding")  # of init.weight_scale
Known = dict[tuple[str, str], Any]  # groups of settings that were built already
NUMERICS = 2  # raise when the engine's arithmetic changes, so that old and new runs never merge


@dataclass(frozen=True, kw_only=True)
class Data(Remembers):
    """Which words, how they are split, and how much context a prediction sees."""

    name: str = knob("census", component=SOURCES, stacks=False)
    path: str | None = knob(None, stacks=False, help="UTF-8 word list, one word a line")
    block_size: int = knob(3, low=1, high=64, unit="characters of context", stacks=False)
    split: tuple[float, ...] = knob((0.8, 0.1, 0.1), above=0.0, below=1.0, stacks=False)
    split_seed: int = knob(42, seed=True, stacks=False)
    fraction: float = knob(
        1.0, above=0.0, high=1.0, unit="share of the training words", stacks=False
    )
    unique_words: bool | None = knob(
        None,
        stacks=False,
        help="drop repeated words before the split; null = the source's own",
    )
    words: int = knob(5000, low=10, high=10_000_000, unit="words or points drawn", stacks=False)
    source_seed: int = knob(
        0, low=0, high=2**32 - 1, stacks=False, help="of what the source itself draws"
    )

    def __post_init__(self) -> None:
        check("data.", self)
        if len(self.split) != 3 or not math.isclose(sum(self.split), 1.0, abs_tol=1e-9):
            raise ConfigError(
                f"data.split is {list(self.split)}; allowed: three shares above 0 that sum to 1 "
                "(train, validation, test), such as [.8,.1,.1]."
            )
        if self.spec.path and not self.path:
            raise ConfigError(f"data.path is null; data={self.name} needs {self.spec.path}.")
        if self.path is not None and "path" not in self.spec.reads:
            able = [name for name in SOURCES.built_in() if "path" in SOURCES.get(name).reads]
            raise ConfigError(
                f"data.path is {shown(self.path)}, but data={self.name} reads no file; use "
                f"{' or '.join(f'data={name}' for name in able)}."
            )

    @property
    def spec(self) -> SourceSpec:
        """All that is known of this source."""
        return SOURCES.get(self.name, "data.name")


@dataclass(frozen=True, kw_only=True)
class Model(Remembers):
    """Shape of the network: embedding, hidden layers, output over the vocabulary."""

    n_embd: int = knob(10, low=1, high=4096, unit="numbers a symbol", stacks=False)
    hidden: tuple[int, ...] = knob(
        (200,), low=1, high=65536, unit="width of each hidden layer; [] is the linear net",
        stacks=False,
    )  # fmt: skip
    activation: str = knob("tanh", component=ACTIVATIONS, stacks=False)
    batch_norm: bool = knob(False, stacks=False)

    def __post_init__(self) -> None:
        check("model.", self)
        if len(self.hidden) > 64:
            raise ConfigError(
                f"model.hidden has {len(self.hidden)} layers; allowed: at most 64 widths."
            )


@dataclass(frozen=True, kw_only=True)
class Init(Remembers):
    """How parameters are drawn. Every knob here may differ inside one fused program."""

    scheme: str = knob("kaiming", component=INITS)
    weight_scale: float = knob(1.0, low=0.0, high=1e6, unit="multiple of the scheme's std")
    output_scale: float = knob(1.0, low=0.0, high=1e6, unit="further factor, last layer")
    embed_scale: float = knob(1.0, low=0.0, high=1e6, unit="multiple of the embedding's std")
    scope: str = knob("linear", one_of=SCOPES, help="which weights weight_scale reaches")
    bias: str = knob("zero", component=BIASES)
    output_bias: str | None = knob(None, component=BIASES, help="null = same as init.bias")
    bias_scale: float = knob(1.0, low=0.0, high=1e6, unit="std, half-width or the constant")
    seed: int | None = knob(None, seed=True, help="null = seed")
    params: Mapping[str, Any] = settings_of_its_own("scheme")

    def __post_init__(self) -> None:
        check("init.", self)
        if BIASES.get(self.bias).of_symbols:
            raise ConfigError(
                f"init.bias is {self.bias!r}, which is a number a symbol; allowed in every layer: "
                f"{', '.join(BIASES.having(of_symbols=False))}. Did you mean "
                f"init.output_bias={self.bias}?"
            )

    @property
    def spec(self) -> InitSpec:
        """All that is known of this scheme."""
        return INITS.bind(self.scheme, self.params)


@dataclass(frozen=True, kw_only=True)
class Loss(Remembers):
    """What is minimised. Matching scales the gradient only; logged losses keep their units."""

    name: str = knob("cross_entropy", component=LOSSES)
    reduction: str = knob("mean", one_of=("mean", "sum"), help="over classes, where it applies")
    batch_reduction: str = knob("mean", one_of=("mean", "sum"), help="in the gradient only")
    match_gradients: bool = knob(True)
    label_smoothing: float = knob(0.0, low=0.0, below=1.0)
    params: Mapping[str, Any] = settings_of_its_own("name")

    def __post_init__(self) -> None:
        check("loss.", self)
        if self.label_smoothing > 0 and not self.spec.smoothing:
            able = ", ".join(LOSSES.having(smoothing=True))
            raise ConfigError(
                f"loss.label_smoothing is {self.label_smoothing}, but {self.name} has no target "
                f"distribution to smooth; allowed: 0 here, or one of the losses {able}."
            )

    @property
    def spec(self) -> LossSpec:
        """All that is known of this loss."""
        return LOSSES.bind(self.name, self.params)


@dataclass(frozen=True, kw_only=True)
class Reg(Remembers):
    """What holds the weights back."""

    name: str = knob("none", component=PENALTIES)
    strength: float = knob(0.0, low=0.0, high=1e6)
    scope: str = knob("weights", one_of=("weights", "all"))
    params: Mapping[str, Any] = settings_of_its_own("name")

    def __post_init__(self) -> None:
        check("reg.", self)
        if self.spec.stage == "none" and self.strength > 0:
            raise ConfigError(
                f"reg.strength is {self.strength:g}, but reg.name is {self.name!r}; name the "
                f"regularizer, for example reg=l2 reg.strength=0,{self.strength:g} (known: "
                f"{', '.join(PENALTIES)})."
            )
        self.spec.strength.clean("reg.strength", self.strength)

    @property
    def spec(self) -> PenaltySpec:
        """All that is known of this regularizer."""
        return PENALTIES.bind(self.name, self.params)


@dataclass(frozen=True, kw_only=True)
class Optim(Remembers):
    """How parameters move."""

    name: str = knob("sgd", component=OPTIMIZERS, stacks=False)
    lr: float = knob(0.1, above=0.0, high=1e9)
    embed_lr: float | None = knob(None, above=0.0, high=1e9, help="null = optim.lr")
    momentum: float = knob(0.0, low=0.0, below=1.0)
    schedule: str = knob(
        "step", component=SCHEDULES, help="step: one drop; cosine: to 0 at the end"
    )
    schedule_at: float = knob(0.5, low=0.0, high=1.0, unit="share of the steps, before a drop")
    schedule_factor: float = knob(0.1, low=0.0, high=1e3, unit="multiple of the rate, from there")
    warmup: int = knob(0, low=0, high=100_000_000, unit="steps of linear warm-up")
    params: Mapping[str, Any] = settings_of_its_own("name")

    def __post_init__(self) -> None:
        check("optim.", self)
        self._check_schedule()
        if self.momentum > 0 and "momentum" not in self.spec.settings:
            built_in = OPTIMIZERS.built_in()
            able = [name for name in built_in if "momentum" in OPTIMIZERS.get(name).settings]
            raise ConfigError(
                f"optim.momentum is {self.momentum:g}, which optim={self.name} does not read; use "
                f"{' or '.join(f'optim={name}' for name in able)}, or optim.momentum=0."
            )

    @property
    def spec(self) -> OptimizerSpec:
        """All that is known of this optimizer."""
        return OPTIMIZERS.bind(self.name, self.params)

    def _check_schedule(self) -> None:
        """ConfigError for a setting of a schedule that the one chosen does not read."""
        reads = SCHEDULES.get(self.schedule, "optim.schedule").settings
        known = [SCHEDULES.get(name) for name in SCHEDULES.built_in()]
        for name in dict.fromkeys(own for spec in known for own in spec.settings):
            value, default = getattr(self, name), field_rules()[f"optim.{name}"]["default"]
            if name not in reads and value != default:
                able = [s for s in SCHEDULES.built_in() if name in SCHEDULES.get(s).settings]
                raise ConfigError(
                    f"optim.{name} is {shown(value)}, which optim.schedule={self.schedule} does "
                    f"not read; use {' or '.join(f'optim.schedule={s}' for s in able)}, or "
                    f"optim.{name}={shown(default)}."
                )

    def _schedule(self) -> Callable[[int, int], float]:
        spec = SCHEDULES.get(self.schedule, "optim.schedule")
        own = {name: getattr(self, name) for name in spec.settings}
        return functools.partial(spec.factor, **own)

    def factor(self, step: int, steps: int) -> float:
        """Multiple of the learning rate that step `step`, from 0, of `steps` uses.

        The schedule's; in the first `warmup` steps a share of it that grows in a straight line.
        """
        factor = self.once("schedule", self._schedule)(step, steps)
        return factor if step >= self.warmup else factor * (step + 1) / self.warmup


@dataclass(frozen=True, kw_only=True)
class Train(Remembers):
    """For how long, on how many examples at a time, and how often whole splits are looked at."""

    steps: int = knob(2000, low=0, high=100_000_000, stacks=False)
    batch_size: int = knob(32, low=1, high=1_000_000, unit="examples", stacks=False)
    eval_every: int | None = knob(
        None, low=1, high=100_000_000, unit="steps", stacks=False,
        help="null = max(1, ceil(steps/20))",
    )  # fmt: skip
    early_stopping: int | None = knob(
        None, low=1, high=100_000_000, unit="evaluations without a better nll/val",
        help="off = null",
    )  # fmt: skip
    batch_seed: int | None = knob(None, seed=True, help="null = seed")

    def __post_init__(self) -> None:
        if self.early_stopping in ("off", False, 0):  # `off` is False in YAML, text in a shell
            object.__setattr__(self, "early_stopping", None)
        check("train.", self)


@dataclass(frozen=True, kw_only=True)
class Engine(Remembers):
    """Where and how the arithmetic runs. chunk, workers and executor change no number."""

    device: str = knob("auto", one_of=("auto", "cpu", "cuda"), stacks=False)
    dtype: str = knob("float32", one_of=("float32", "float64"), stacks=False)
    chunk: int | str = knob("auto", numeric=False)
    workers: int | str = knob("auto", numeric=False)
    kernel: str = knob(
        "auto", one_of=("auto", "native", "torch"), numeric=False, stacks=False,
        help="auto: compiled for this processor where there is a C++ compiler, else torch",
    )  # fmt: skip
    executor: str = knob("local", one_of=("local", "ray", "slurm"), numeric=False)

    def __post_init__(self) -> None:
        for name, high in (("chunk", 100_000), ("workers", 1024)):
            value = getattr(self, name)
            if value == "auto":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
                raise ConfigError(
                    f"engine.{name} is {shown(value)}; allowed: auto, or a whole number from 1 to "
                    f"{high}."
                )
        for name in ("device", "dtype", "kernel", "executor"):
            rule = type(self).__dataclass_fields__[name].metadata
            value = getattr(self, name)
            if value not in rule["one_of"]:
                raise ConfigError(
                    f"engine.{name} is {shown(value)}; allowed: one of "
                    f"{', '.join(rule['one_of'])}.{nearest(str(value), rule['one_of'])}"
                )


@dataclass(frozen=True, kw_only=True)
class RunConfig(Remembers):
    """One run, whole. `run_id(data_sha256)` names it; equal ids mean equal numbers."""

    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    init: Init = field(default_factory=Init)
    loss: Loss = field(default_factory=Loss)
    reg: Reg = field(default_factory=Reg)
    optim: Optim = field(default_factory=Optim)
    train: Train = field(default_factory=Train)
    seed: int = knob(0, seed=True)
    engine: Engine = field(default_factory=Engine)

    def __post_init__(self) -> None:
        check("", self)
        kind = self.data.spec.kind
        if kind != self.loss.spec.kind:
            able = ", ".join(LOSSES.having(kind=kind))
            raise ConfigError(
                f"loss.name is '{self.loss.name}', which does not fit data={self.data.name}; "
                f"allowed there: {able}."
            )
        bias = self.init.output_bias
        if kind == "binary" and bias is not None and BIASES.get(bias).of_symbols:
            raise ConfigError(
                f"init.output_bias is {bias!r}, but data={self.data.name} has no symbols; "
                f"allowed there: {', '.join(BIASES.having(of_symbols=False))}."
            )
        if self.model.batch_norm and self.train.batch_size < 2:
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

    def nested(self) -> dict[str, Any]:
        """Every setting as the nested plain dict that a saved config.yaml holds."""
        return nest(self.flat())

    def resolved(self, device: str = "cpu") -> RunConfig:
        """The same run with every automatic value filled in; `device` is what `auto` means here."""
        return self.once(("resolved", device), lambda: self._resolved(device))

    def _resolved(self, device: str) -> RunConfig:
        t, o, i, e, d = self.train, self.optim, self.init, self.engine, self.data
        return dataclasses.replace(
            self,
            data=filled(
                d, unique_words=d.spec.unique_words if d.unique_words is None else d.unique_words
            ),
            init=filled(
                i,
                seed=self.seed if i.seed is None else i.seed,
                output_bias=i.bias if i.output_bias is None else i.output_bias,
            ),
            optim=filled(o, embed_lr=o.lr if o.embed_lr is None else o.embed_lr),
            train=filled(
                t,
                eval_every=max(1, -(-t.steps // 20)) if t.eval_every is None else t.eval_every,
                batch_seed=self.seed if t.batch_seed is None else t.batch_seed,
            ),
            engine=filled(e, device=device if e.device == "auto" else e.device),
        )

    def foreign(self) -> dict[str, dict[str, str]]:
        """{"group.key": name and identity} of every component that is not built in.

        The identity is that of its package: distribution, version, hash of its source. It is part
        of the run's ids.
        """
        out: dict[str, dict[str, str]] = {}
        names = tuple(getattr(getattr(self, group), field) for group, field in _component_fields())
        if _all_built_in(names, offered()):
            return out
        for name, (key, registry) in zip(names, component_keys().items(), strict=True):
            identity = None if name is None else registry.identity(name)
            if identity is not None:
                out[key] = {"name": name, **identity}
        return out

    def run_id(self, data_sha256: str, device: str = "cpu") -> str:
        """16 hex digits over every field that can change a number, and the data's checksum."""
        return self._digest(data_sha256, device, seeds=True)

    def config_id(self, data_sha256: str, device: str = "cpu") -> str:
        """As run_id without the seeds: replicates of one configuration share it."""
        return self._digest(data_sha256, device, seeds=False)

    def _digest(self, data_sha256: str, device: str, *, seeds: bool) -> str:
        """Hash of the JSON text of all that counts, keys in order, put together group by group.

        Each seed is there in full, so that null and the same seed given hash alike.
        """
        run = self.resolved(device)
        parts = {name: _hashed(name, getattr(run, name), seeds, data_sha256) for name in GROUPS}
        parts["numerics"] = f'"numerics":{NUMERICS}'
        if foreign := run.foreign():
            parts["components"] = f'"components":{_json(foreign)}'
        text = "{" + ",".join(parts[name] for name in sorted(parts) if parts[name]) + "}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


GROUPS: dict[str, type] = {
    "data": Data, "model": Model, "init": Init, "loss": Loss, "reg": Reg, "optim": Optim,
    "train": Train, "engine": Engine,
}  # fmt: skip


TOP = tuple(entry.name for entry in dataclasses.fields(RunConfig))


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
        }
        if name == "data":
            kept["data.sha256"] = data_sha256
        return _json(kept)[1:-1]

    return group.once(("hashed", seeds, data_sha256), derive)


def _json(plain: Mapping[str, Any]) -> str:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)


@functools.cache
def _component_fields() -> list[tuple[str, str]]:
    return [(group, field) for group, _, field in (key.partition(".") for key in component_keys())]


@functools.lru_cache(maxsize=4096)
def _all_built_in(names: tuple[str | None, ...], _offered: tuple[bool, tuple[str, ...]]) -> bool:
    """Whether these are built-in components, in the order of component_keys()."""
    return all(
        name is None or (name in registry.built_in() and registry.plugin(name) is None)
        for name, registry in zip(names, component_keys().values(), strict=True)
    )


@functools.cache
def component_keys() -> dict[str, Registry[Any]]:
    """{"group.key": registry} of the settings that name a component."""
    found = {key: rule.get("component") for key, rule in field_rules().items()}
    return {key: registry for key, registry in found.items() if registry is not None}


OF_COMPONENTS = tuple(
    f"{name}.{entry.name}."
    for name, group in GROUPS.items()
    for entry in dataclasses.fields(group)
    if "settings_of" in entry.metadata
)  # prefixes of the settings that components declare for themselves


def rule_of(key: str) -> Mapping[str, Any]:
    """The rule of one setting, "group.key" or "group.params.key" (see fields.knob).

    An optimizer's own settings do not stack: one optimizer moves all runs of a program.
    """
    if key.startswith(OF_COMPONENTS):
        return {"numeric": True, "seed": False, "stacks": not key.startswith("optim.")}
    return field_rules()[key]


@functools.cache
def field_rules() -> dict[str, Mapping[str, Any]]:
    """{"group.key": the field's rule} for every setting of a run that no component declares."""
    rules: dict[str, Mapping[str, Any]] = {}
    for name, group in GROUPS.items():
        for entry in dataclasses.fields(group):
            if "settings_of" not in entry.metadata:
                rules[f"{name}.{entry.name}"] = entry.metadata
    rules["seed"] = RunConfig.__dataclass_fields__["seed"].metadata
    return rules


def component_defaults(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"group.params.key": default} of all that the components named in flat settings declare."""
    out: dict[str, Any] = {}
    for name, group in GROUPS.items():
        for entry in dataclasses.fields(group):
            key = f"{name}.{entry.metadata.get('settings_of')}"
            if key in flat:
                spec, prefix = component_keys()[key].get(flat[key], key), f"{name}.{entry.name}."
                if spec.missing:  # what it declared is not known here
                    out |= {own: v for own, v in flat.items() if own.startswith(prefix)}
                out |= {f"{prefix}{own}": param.default for own, param in spec.params.items()}
    return out


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


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": v} -> {"a": {"b": v}}."""
    out: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        node = out
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return out


def unnest(nested: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """{"a": {"b": v}} -> {"a.b": v}, the way back from `nest`."""
    out: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            out |= unnest(value, f"{before}{key}.")
        else:
            out[f"{before}{key}"] = value
    return out


def sweep_id(run_ids: Iterable[str]) -> str:
    """16 hex digits naming a set of runs: hash of its sorted, distinct run_ids."""
    text = ",".join(sorted(set(run_ids)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def varying(runs: Iterable[RunConfig]) -> list[str]:
    """The keys that differ between these runs, in declaration order."""
    return differing([run.flat() for run in runs])


def differing(flats: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys whose values differ between those of these mappings that have them."""
    first: dict[str, Any] = {}
    for flat in flats:
        if not flat.keys() <= first.keys():
            first = dict(flat) | first
    return [key for key, value in first.items() if any(f.get(key, value) != value for f in flats)]
