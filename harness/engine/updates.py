"""Penalties, optimizers and schedules over stacked parameters, each run with its own numbers.

Every operation here is an exact identity for a run that does not ask for it (a coefficient of 0 or
a factor of 1), so what a run's neighbours use cannot change its bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from harness.config.run import RunConfig
from harness.engine.network import Network
from harness.engine.passes import Pass

BETA1, BETA2, ADAM_EPS = 0.9, 0.999, 1e-8


def schedule_factor(kind: str, step: int, steps: int) -> float:
    """Multiple of the learning rate that step `step` (from 0) of `steps` uses."""
    if kind == "step":
        return 1.0 if 2 * step < steps else 0.1
    if kind == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * step / steps))
    return 1.0


class Updater:
    """Optimizer state and per-run coefficients of one chunk; `apply(step)` moves the parameters.

    All runs share `optim.name`; learning rate, momentum, schedule, regularizer and strength may
    differ. Order in a step: penalty gradients and
    decoupled decay, optimizer, max-norm. Plain SGD needs no gradient buffers: `in_place`.
    """

    def __init__(self, runs: Sequence[RunConfig], net: Network) -> None:
        self.runs, self.net = [run.resolved() for run in runs], net
        self.kind, self.steps = runs[0].optim.name, runs[0].train.steps
        self.params = {n: t for n, t in net.tensors().items() if "running" not in n}
        self.grads = net.gradients()
        slots = {"sgd": 0, "momentum": 1}.get(self.kind, 2)
        self.in_place = self.kind == "sgd"
        self.state = {
            f"{name}@{i}": torch.zeros_like(t)
            for name, t in self.params.items()
            for i in range(slots)
        }
        self.scratch = (
            {n: torch.empty_like(t) for n, t in self.params.items()} if slots == 2 else {}
        )
        self.momentum_K = self._column(lambda run: run.optim.momentum)
        self.factors: tuple[float, ...] = ()
        self.rates: dict[bool, Tensor] = {}
        self.decays: dict[bool, Tensor] = {}
        self.penalties = {
            kind: self._coefficients(kind)
            for kind in ("l2", "l2_sum", "l1", "weight_decay", "max_norm")
        }
        reached = {n for kind, of in self.penalties.items() if kind != "max_norm" for n in of}
        self.penalised = [name for name in self.params if name in reached]
        ratio = [(r.optim.embed_lr or r.optim.lr) / r.optim.lr for r in self.runs]
        self.embed_ratio = None
        if any(r != 1.0 for r in ratio):
            ratio_K = torch.tensor(ratio, dtype=net.dtype, device=net.device)
            self.embed_ratio = ratio_K[:, None, None]

    def _column(self, of: Callable[[RunConfig], float | None]) -> Tensor:
        values = [of(run) for run in self.runs]
        return torch.tensor(values, dtype=self.net.dtype, device=self.net.device)

    def _coefficients(self, kind: str) -> dict[str, Tensor]:
        """Per penalised parameter, the strength of each run, (K,); empty where no run asks."""
        out: dict[str, Tensor] = {}
        for name in self.params:
            weights = name.endswith(".weight") and name != "embedding.weight"

            def strength(run: RunConfig, weights: bool = weights) -> float:
                reached = weights or (run.reg.scope == "all" and kind != "max_norm")
                return run.reg.strength if run.reg.name == kind and reached else 0.0

            column = [strength(run) for run in self.runs]
            if any(column):
                out[name] = torch.tensor(column, dtype=self.net.dtype, device=self.net.device)
        return out

    def _spread(self, column_K: Tensor, like: Tensor) -> Tensor:
        return column_K.view(-1, *[1] * (like.dim() - 1))

    def _numel(self, name: str) -> int:
        return self.net.real(name, self.params[name])[0].numel()

    def penalty(self, k: int) -> float:
        """The penalty in run k's objective at its present weights, float64; not weight decay."""
        total = 0.0
        for kind in ("l2", "l2_sum", "l1"):
            for name, strength_K in self.penalties[kind].items():
                w = self.net.real(name, self.params[name])[k].double()
                if float(strength_K[k]) == 0.0:
                    continue
                size = {"l2": w.square().mean, "l2_sum": w.square().sum, "l1": w.abs().sum}[kind]()
                total += self.runs[k].reg.strength * float(size)
        return total

    def rates_at(self, step: int) -> bool:
        """Set this step's learning rates; True where they differ from the step before."""
        factors = tuple(schedule_factor(r.optim.schedule, step, self.steps) for r in self.runs)
        if factors == self.factors:
            return False
        self.factors = factors
        for embedded in (False, True):
            lr = [
                f * ((run.optim.embed_lr or 0.0) if embedded else run.optim.lr)
                for run, f in zip(self.runs, factors, strict=True)
            ]
            self.rates[embedded] = torch.tensor(lr, dtype=self.net.dtype, device=self.net.device)
        return True

    def descent_scale(self) -> Tensor | None:
        """Minus the learning rates, (K,), where gradients are to carry them (plain SGD)."""
        return -self.rates[False] if self.in_place else None

    def apply(self, step: int, batch: Pass) -> None:
        """One step of every run, from the backward pass that stands in `batch`."""
        if not self.in_place:
            batch.collect(into_weights=False)
        for name in self.penalised:
            self._penalise(name, self.params[name])
        if self.in_place:
            batch.collect(into_weights=True, embed_ratio=self.embed_ratio)
        else:
            for name, param in self.params.items():
                self._move(name, param, self.grads[name], self.rate(name), step)
        for name, limit_K in self.penalties["max_norm"].items():
            self._cap(self.params[name], limit_K)

    def rate(self, name: str) -> Tensor:
        """This step's learning rate of a parameter, (K,)."""
        return self.rates[name == "embedding.weight"]

    def _penalise(self, name: str, param: Tensor) -> None:
        """Add penalty gradients, or take the same step on the parameters themselves (plain SGD)."""
        rate_K = self.rate(name)
        weight_decay = self.penalties["weight_decay"].get(name)
        square_K: Tensor | float = 0.0
        if name in self.penalties["l2"]:
            square_K = self.penalties["l2"][name] * (2.0 / self._numel(name))
        if name in self.penalties["l2_sum"]:
            square_K = self.penalties["l2_sum"][name] * 2.0 + square_K
        l1_K = self.penalties["l1"].get(name)
        if self.in_place:
            shrink_K = rate_K * square_K
            if weight_decay is not None:
                shrink_K = shrink_K + rate_K * weight_decay
            if l1_K is not None:
                step_K = self._spread(-rate_K * l1_K, param)
                param.addcmul_(torch.sign(param), step_K)
            param.mul_(self._spread(1.0 - shrink_K, param))
            return
        grad = self.grads[name]
        if isinstance(square_K, Tensor):
            grad.addcmul_(param, self._spread(square_K, param))
        if l1_K is not None:
            grad.addcmul_(torch.sign(param), self._spread(l1_K, param))
        if weight_decay is not None:
            param.mul_(self._spread(1.0 - rate_K * weight_decay, param))

    def _move(self, name: str, param: Tensor, grad: Tensor, rate_K: Tensor, step: int) -> None:
        rate = self._spread(rate_K, param)
        if self.kind == "momentum":
            velocity = self.state[f"{name}@0"]
            velocity.mul_(self._spread(self.momentum_K, param)).add_(grad)
            param.addcmul_(velocity, rate, value=-1.0)
        else:  # Adam, Kingma & Ba 2015, arXiv:1412.6980; AdamW differs by reg=weight_decay alone
            m, v, update = self.state[f"{name}@0"], self.state[f"{name}@1"], self.scratch[name]
            m.mul_(BETA1).add_(grad, alpha=1 - BETA1)
            v.mul_(BETA2).addcmul_(grad, grad, value=1 - BETA2)
            torch.sqrt(v, out=update)
            update.div_(math.sqrt(1 - BETA2 ** (step + 1))).add_(ADAM_EPS)
            torch.div(m, update, out=update)
            param.addcmul_(update, rate, value=-1.0 / (1 - BETA1 ** (step + 1)))

    def _cap(self, param: Tensor, limit_K: Tensor) -> None:
        """Scale each output unit's incoming weights, (I,), to norm <= limit where limit > 0."""
        norm_K1O = torch.linalg.vector_norm(param, dim=1, keepdim=True)
        limit = self._spread(limit_K, param)
        over = (norm_K1O > limit) & (limit > 0)
        param.mul_(torch.where(over, limit / norm_K1O, 1.0))
