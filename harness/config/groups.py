"""The groups of settings of a run: what each setting means, its range, its default.

Each is frozen and checks itself: a value out of range is refused with what is allowed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.components.activations import ACTIVATIONS
from harness.components.biases import BIASES
from harness.components.inits import INITS, InitSpec
from harness.components.losses import LOSSES, LossSpec
from harness.components.metrics import METRICS
from harness.components.optimizers import OPTIMIZERS, OptimizerSpec
from harness.components.penalties import PENALTIES, PenaltySpec
from harness.components.schedules import SCHEDULES
from harness.components.sources import SOURCES, SourceSpec
from harness.config.derived import Remembers
from harness.config.fields import check, knob, settings_of_its_own
from harness.errors import ConfigError, nearest, shown

SCALINGS = ("none", "mup")  # of optim.scaling
BASE_WIDTH = 100
SCOPES = ("linear", "all", "hidden", "output", "embedding")  # of init.weight_scale


@dataclass(frozen=True, kw_only=True, repr=False)
class Data(Remembers):
    """Which words, how they are split, and how much context a prediction sees."""

    name: str = knob("census", component=SOURCES, stacks=False)
    path: str | None = knob(None, stacks=False)
    block_size: int = knob(3, low=1, high=64, unit="characters of context", stacks=False)
    split: tuple[float, ...] = knob((0.8, 0.1, 0.1), low=0.0, high=1.0, stacks=False)
    split_seed: int = knob(42, seed=True, stacks=False)
    fraction: float = knob(
        1.0, above=0.0, high=1.0, unit="share of the training words", stacks=False,
    )  # fmt: skip
    unique_words: bool | None = knob(None, stacks=False)
    words: int = knob(5000, low=10, high=10_000_000, unit="words or points drawn", stacks=False)
    source_seed: int = knob(0, low=0, high=2**32 - 1, stacks=False)
    end: str = knob(".", stacks=False)
    column: str | None = knob(None, stacks=False)

    def __post_init__(self) -> None:
        if isinstance(self.column, int) and not isinstance(self.column, bool):  # a number from 1
            object.__setattr__(self, "column", str(self.column))
        check("data.", self)
        points = self.spec.kind == "binary"
        three = len(self.split) == 3 and math.isclose(sum(self.split), 1.0, abs_tol=1e-9)
        if not three or self.split[0] == 0 or (0 in self.split and not points):
            more = " or, of points, [1,0,0]" if points else ""
            raise ConfigError(
                f"data.split is {list(self.split)}; allowed: three shares above 0 that sum to 1 "
                f"(train, validation, test), such as [.8,.1,.1]{more}."
            )
        if self.spec.path and not self.path:
            raise ConfigError(f"data.path is null; data={self.name} needs {self.spec.path}.")
        if self.path is not None and "path" not in self.spec.reads:
            able = [name for name in SOURCES.built_in() if "path" in SOURCES.get(name).reads]
            raise ConfigError(
                f"data.path is {shown(self.path)}, but data={self.name} reads no file; use "
                f"{' or '.join(f'data={name}' for name in able)}."
            )

        if len(self.end) != 1 or self.end.isspace():
            raise ConfigError(
                f"data.end is {shown(self.end)}; allowed: one character, no blank, such as "
                "'.' or '|'."
            )
        for key, value, usual in (("end", self.end, "."), ("column", self.column, None)):
            if value != usual and key not in self.spec.reads:
                raise ConfigError(
                    f"data.{key} is {shown(value)}, which data={self.name} does not read; "
                    "allowed: its default; data=file reads it."
                )

    @property
    def spec(self) -> SourceSpec:
        """All that is known of this source."""
        return SOURCES.get(self.name, "data.name")


@dataclass(frozen=True, kw_only=True, repr=False)
class Model(Remembers):
    """Shape of the network: embedding, hidden layers, output over the vocabulary."""

    n_embd: int = knob(10, low=1, high=4096, unit="numbers per symbol", stacks=False)
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


@dataclass(frozen=True, kw_only=True, repr=False)
class Init(Remembers):
    """How parameters are drawn. Every knob here may differ inside one fused program."""

    scheme: str = knob("kaiming", component=INITS)
    weight_scale: float = knob(1.0, low=0.0, high=1e6, unit="multiple of the scheme's std")
    output_scale: float = knob(1.0, low=0.0, high=1e6, unit="further factor, last layer")
    embed_scale: float = knob(1.0, low=0.0, high=1e6, unit="multiple of the embedding's std")
    scope: str = knob("linear", one_of=SCOPES)
    bias: str = knob("zero", component=BIASES)
    output_bias: str | None = knob(None, component=BIASES)
    bias_scale: float = knob(1.0, low=0.0, high=1e6, unit="std, half-width or the constant")
    seed: int | None = knob(None, seed=True)
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


@dataclass(frozen=True, kw_only=True, repr=False)
class Loss(Remembers):
    """What is minimised. Matching scales the gradient only; logged losses keep their units."""

    name: str = knob("cross_entropy", component=LOSSES)
    reduction: str = knob("mean", one_of=("mean", "sum"))
    batch_reduction: str = knob("mean", one_of=("mean", "sum"))
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


@dataclass(frozen=True, kw_only=True, repr=False)
class Reg(Remembers):
    """Which regularizer, and how strong it is."""

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


@dataclass(frozen=True, kw_only=True, repr=False)
class Optim(Remembers):
    """How gradients update the parameters."""

    name: str = knob("sgd", component=OPTIMIZERS, stacks=False)
    lr: float = knob(0.1, above=0.0, high=1e9)
    embed_lr: float | None = knob(None, above=0.0, high=1e9)
    momentum: float = knob(0.0, low=0.0, below=1.0)
    schedule: str = knob("step", component=SCHEDULES)
    schedule_at: float = knob(0.5, low=0.0, high=1.0, unit="share of the steps, before a drop")
    schedule_factor: float = knob(0.1, low=0.0, high=1e3, unit="multiple of the rate, from there")
    warmup: int = knob(0, low=0, high=100_000_000, unit="steps of linear warm-up")
    scaling: str = knob("none", one_of=SCALINGS, stacks=False, later=True)
    base_width: int = knob(
        BASE_WIDTH, low=1, high=65536, unit="hidden units", stacks=False, later=True,
    )  # fmt: skip
    params: Mapping[str, Any] = settings_of_its_own("name")

    def __post_init__(self) -> None:
        check("optim.", self)
        self._check_schedule()
        if self.scaling == "none" and self.base_width != BASE_WIDTH:
            raise ConfigError(
                f"optim.base_width is {self.base_width}, which optim.scaling=none does not read; "
                f"use optim.scaling=mup, or optim.base_width={BASE_WIDTH}."
            )
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
        rules = type(self).__dataclass_fields__
        known = [SCHEDULES.get(name) for name in SCHEDULES.built_in()]
        for name in dict.fromkeys(own for spec in known for own in spec.settings):
            value, default = getattr(self, name), rules[name].metadata["default"]
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


@dataclass(frozen=True, kw_only=True, repr=False)
class Train(Remembers):
    """For how long, on how many examples at a time, and how often whole splits are evaluated."""

    steps: int = knob(2000, low=0, high=100_000_000, stacks=False)
    batch_size: int | str = knob(
        32, low=1, high=1_000_000, word="full", unit="examples", stacks=False
    )
    eval_every: int | None = knob(None, low=1, high=100_000_000, unit="steps", stacks=False)
    early_stopping: int | None = knob(
        None, low=1, high=100_000_000, unit="evaluations without a better nll/val",
    )  # fmt: skip
    batch_seed: int | None = knob(None, seed=True)
    metrics: tuple[str, ...] = knob((), component=METRICS)

    def __post_init__(self) -> None:
        _check_metrics(self.metrics)
        if self.early_stopping in ("off", False, 0):  # `off` is False in YAML, text in a shell
            object.__setattr__(self, "early_stopping", None)
        check("train.", self)


def _check_metrics(names: Any) -> None:
    """ConfigError for anything but a list of metrics that a user brought."""
    own = METRICS.others()
    known = f"; known: {', '.join(own)}" if own else "; none is here, see docs/plugins.md"
    allowed = f"allowed: a list of metrics of your own{known}"
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"train.metrics is {shown(names)}; {allowed}.")
    for name in names:
        if name in METRICS.built_in() and name not in own:
            raise ConfigError(
                f"train.metrics names {shown(name)}, which every run measures by itself; {allowed}."
            )
        if name not in METRICS:
            raise ConfigError(f"train.metrics names {shown(name)}; {allowed}.{nearest(name, own)}")
        spec = METRICS.get(name, "train.metrics")
        if spec.value is None and not spec.missing:
            raise ConfigError(f"train.metrics names {shown(name)}, whose spec has no `value`.")
    if len(set(names)) < len(names):
        raise ConfigError(f"train.metrics is {shown(list(names))}; each may be named once.")


@dataclass(frozen=True, kw_only=True, repr=False)
class Engine(Remembers):
    """Where and how the arithmetic runs. chunk, workers and executor change no number."""

    device: str = knob("auto", one_of=("auto", "cpu", "cuda"), stacks=False)
    dtype: str = knob("float32", one_of=("float32", "float64"), stacks=False)
    chunk: int | str = knob("auto", numeric=False)
    workers: int | str = knob("auto", numeric=False)
    kernel: str = knob("auto", one_of=("auto", "native", "torch"), numeric=False, stacks=False)
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


GROUPS: dict[str, type] = {
    "data": Data, "model": Model, "init": Init, "loss": Loss, "reg": Reg, "optim": Optim,
    "train": Train, "engine": Engine,
}  # fmt: skip
