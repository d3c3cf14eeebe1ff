"""Penalties, optimizers and schedules over stacked parameters, each run with its own numbers.

Every operation here is an exact identity for a run that does not ask for it (a coefficient of 0 or
a factor of 1), so what a run's neighbours use cannot change its bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.components.penalties import PenaltySpec
from harness.config.run import ResolvedRun
from harness.engine.network import Network
from harness.engine.passes import Pass
from harness.engine.rates import rate_factor


@dataclass(frozen=True)
class Penalty:
    """A regularizer that some runs of a chunk have, and each run's strength, (K,), by parameter.

    Its functions see the rows of those runs alone, so that no other run can feel them.
    """

    spec: PenaltySpec
    strengths: dict[str, Tensor]

    def rows(self, name: str) -> Tensor | None:
        """The runs that penalise a parameter, (R,); None: all of them do."""
        asked_K = self.strengths[name] != 0
        return None if bool(asked_K.all()) else asked_K.nonzero()[:, 0]


def reached(run: ResolvedRun, name: str) -> bool:
    """Whether a run's regularizer reaches a parameter, of those that are trained."""
    linear = name.endswith(".weight") and name != "embedding.weight"
    return linear or (run.reg.scope == "all" and not run.reg.spec.linear_only)


def penalty_value(run: ResolvedRun, weights: Mapping[str, Tensor]) -> float:
    """The penalty in a run's objective at these parameters, float64; not weight decay."""
    value, strength = run.reg.spec.value, run.reg.strength
    if value is None or strength == 0.0:
        return 0.0
    own = [w for name, w in weights.items() if "running" not in name and reached(run, name)]
    return math.fsum(strength * float(value(w.double())) for w in own)


class Updater:
    """Optimizer state and per-run coefficients of one chunk; `apply(step)` moves the parameters.

    All runs share `optim.name`; learning rate, the optimizer's settings, schedule, regularizer and
    strength may differ. Order in a step: penalty gradients and decoupled decay, optimizer,
    constraints. Where the optimizer's step is the gradient alone, no buffers hold it: `in_place`.
    """

    def __init__(self, runs: Sequence[ResolvedRun], net: Network) -> None:
        self.runs, self.net = runs, net
        self.optimizer, self.steps = self.runs[0].optim.spec, self.runs[0].train.steps
        self.params = {n: t for n, t in net.tensors().items() if "running" not in n}
        self.times = {n: rate_factor(self.runs[0], n) for n in self.params}  # runs share these
        self.in_place = self.optimizer.in_place and set(self.times.values()) == {1.0}
        self.grads = net.gradients()
        slots, buffers = range(self.optimizer.slots), range(self.optimizer.buffers)
        self.state = {
            f"{n}@{i}": torch.zeros_like(t) for n, t in self.params.items() for i in slots
        }
        self.scratch = {n: [torch.empty_like(t) for _ in buffers] for n, t in self.params.items()}
        self.settings = {
            name: self._column([getattr(run.optim, name) for run in self.runs])
            for name in self.optimizer.settings
        }
        self.factors: tuple[float, ...] = ()
        self.rates: dict[bool, Tensor] = {}
        self.penalties = [self._penalty(s) for s in dict.fromkeys(r.reg.spec for r in self.runs)]
        self.pulls = {name: self._pull(name, "gradient") for name in self.params}
        self.decays = {name: self._pull(name, "decoupled") for name in self.params}
        ratio = [r.optim.embed_lr / r.optim.lr for r in self.runs]
        self.embed_ratio = None
        if any(r != 1.0 for r in ratio):
            self.embed_ratio = self._column(ratio)[:, None, None]

    def _column(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=self.net.dtype, device=self.net.device)

    def _penalty(self, spec: PenaltySpec) -> Penalty:
        """A regularizer of the chunk, with strengths of the parameters that any run penalises."""
        strengths = {}
        for param in self.params:
            column = [
                run.reg.strength if run.reg.spec is spec and reached(run, param) else 0.0
                for run in self.runs
            ]
            if any(column):
                strengths[param] = self._column(column)
        return Penalty(spec, strengths)

    def _pull(self, name: str, stage: str) -> Tensor | None:
        """c of the penalty gradients c * w of a parameter at a stage, (K,); None without any."""
        pull_K: Tensor | None = None
        for penalty in self.penalties:
            strength_K = penalty.strengths.get(name)
            if penalty.spec.stage == stage and penalty.spec.shrink and strength_K is not None:
                own_K = strength_K * penalty.spec.shrink(self._numel(name))
                pull_K = own_K if pull_K is None else pull_K + own_K
        return pull_K

    def _spread(self, column_K: Tensor, like: Tensor) -> Tensor:
        return column_K.view(-1, *[1] * (like.dim() - 1))

    def _numel(self, name: str) -> int:
        return self.net.real(name, self.params[name])[0].numel()

    def penalty(self, k: int) -> float:
        """The penalty in run k's objective at its present weights, float64; not weight decay."""
        own = {name: self.net.real(name, w)[k] for name, w in self.params.items()}
        return penalty_value(self.runs[k], own)

    def rates_at(self, step: int) -> bool:
        """Set this step's learning rates; True where they differ from the step before."""
        factors = tuple(run.optim.factor(step, self.steps) for run in self.runs)
        if factors == self.factors:
            return False
        self.factors = factors
        for embedded in (False, True):
            self.rates[embedded] = self._column(
                [
                    f * (run.optim.embed_lr if embedded else run.optim.lr)
                    for run, f in zip(self.runs, factors, strict=True)
                ]
            )
        return True

    def descent_scale(self) -> Tensor | None:
        """Minus the learning rates, (K,), where gradients are to carry them (plain SGD)."""
        return -self.rates[False] if self.in_place else None

    def apply(self, step: int, batch: Pass) -> None:
        """One step of every run, from the backward pass that stands in `batch`."""
        if not self.in_place:
            batch.collect(into_weights=False)
        for name, param in self.params.items():
            self._penalise(name, param)
        if self.in_place:
            batch.collect(into_weights=True, embed_ratio=self.embed_ratio)
        else:
            for name, param in self.params.items():
                self._move(name, param, step)
        for penalty in self.penalties:
            for name in penalty.strengths if penalty.spec.project is not None else ():
                self._project(penalty, name)

    def rate(self, name: str) -> Tensor:
        """This step's learning rate of a parameter, (K,)."""
        rate_K = self.rates[name == "embedding.weight"]
        return rate_K if self.times[name] == 1.0 else rate_K * self.times[name]

    def _block(self, spec: PenaltySpec, name: str, stored: Tensor) -> Tensor:
        """What a regularizer may touch of a stored tensor: all, where it leaves the padding 0."""
        return stored if spec.keeps_zeros else self.net.real(name, stored)

    def _penalise(self, name: str, param: Tensor) -> None:
        """Add penalty gradients, or take the same step on the parameters themselves (plain SGD)."""
        rate_K, pull_K, decay_K = self.rate(name), self.pulls[name], self.decays[name]
        if self.in_place and pull_K is not None:  # then both kinds are one factor
            decay_K, pull_K = pull_K if decay_K is None else pull_K + decay_K, None
        grad = self.grads[name]
        for penalty in self.penalties:
            if name in penalty.strengths and penalty.spec.sloped:
                into, scale_K = (param, -rate_K) if self.in_place else (grad, None)
                self._slope(penalty, name, into, scale_K)
        if pull_K is not None:
            grad.addcmul_(param, self._spread(pull_K, param))
        if decay_K is not None:
            param.mul_(self._spread(1.0 - rate_K * decay_K, param))

    def _slope(self, penalty: Penalty, name: str, into: Tensor, scale_K: Tensor | None) -> None:
        """Add strength * (d penalty / d w), times a scale a run, to a stored tensor."""
        strength_K, rows = penalty.strengths[name], penalty.rows(name)
        if scale_K is not None:
            strength_K = scale_K * strength_K
        w = self._block(penalty.spec, name, self.params[name])
        into = self._block(penalty.spec, name, into)
        if rows is None:
            into.add_(penalty.spec.slope(w) * self._spread(strength_K, w))
        else:
            w = w[rows]
            into.index_add_(0, rows, penalty.spec.slope(w) * self._spread(strength_K[rows], w))

    def _project(self, penalty: Penalty, name: str) -> None:
        """A constraint on the parameters, in place."""
        assert penalty.spec.project is not None
        w, limit_K = self._block(penalty.spec, name, self.params[name]), penalty.strengths[name]
        rows = penalty.rows(name)
        if rows is None:
            penalty.spec.project(w, self._spread(limit_K, w))
        else:
            own = w[rows]
            penalty.spec.project(own, self._spread(limit_K[rows], own))
            w[rows] = own

    def _move(self, name: str, param: Tensor, step: int) -> None:
        state = [self.state[f"{name}@{i}"] for i in range(self.optimizer.slots)]
        settings = {key: self._spread(column, param) for key, column in self.settings.items()}
        rate = self._spread(self.rate(name), param)
        self.optimizer.step(
            param, self.grads[name], state, self.scratch[name], rate, step, **settings
        )
