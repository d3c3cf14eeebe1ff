"""A chunk: up to a few dozen runs of one shape as one stacked program, bit for bit as if alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.components.activations import ACTIVATIONS
from harness.components.biases import BIASES
from harness.config.run import RunConfig
from harness.data.dataset import Dataset
from harness.engine.backend import Backend, Look, Values
from harness.engine.device import resolve
from harness.engine.diagnostics import unit_metrics
from harness.engine.kernel import kernel_of
from harness.engine.native.backend import Native
from harness.engine.stacked import Stacked
from harness.engine.summary import Trained, finish, start_summary
from harness.records.record import RunRecord
from harness.theory.advice import StartVerdict

State = dict[str, Any]  # {"step", "tensors", "series", "meta"} of one run, as the ledger keeps it
BACKENDS: dict[str, type[Native | Stacked]] = {"native": Native, "torch": Stacked}
DIVERGED_NATS = 100.0  # train nll above this, and above ten times its start, counts as diverged


class Interrupted(Exception):  # noqa: N818  no error: somebody asked for it
    """Training was asked to stop; every run's state stands in the last checkpoint handed out."""


class Paused(Interrupted):
    """The step at which the chunk was to pause is reached; the states have been handed out."""


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """Who hears of a chunk while it trains, and who may stop it.

    on_evaluation(step, {k: values}) hears every evaluation and on_step(step) every few steps;
    on_states(states) is handed the runs' states when `wants_states()` says so; `stopping()` true
    makes `run` raise Interrupted within a few steps, after on_states. At pause_at, a step of an
    evaluation, `run` raises Paused, after on_states.
    """

    on_evaluation: Callable[[int, Mapping[int, Mapping[str, float]]], None] | None = None
    on_step: Callable[[int], None] | None = None
    on_states: Callable[[dict[int, State]], None] | None = None
    wants_states: Callable[[], bool] = lambda: False
    stopping: Callable[[], bool] = lambda: False
    pause_at: int | None = None


class Chunk:
    """K runs of one shape and one data set, trained together from step 0 or from saved states."""

    def __init__(
        self, runs: Sequence[RunConfig], data: Dataset, *, states: Sequence[State] | None = None,
        hooks: Hooks | None = None,
    ) -> None:  # fmt: skip
        self.hooks = hooks or Hooks()
        self.given, self.data = list(runs), data
        self.runs = [resolve(run) for run in runs]
        first = self.runs[0]
        self.K, self.steps = len(runs), first.train.steps
        self.eval_every = first.train.eval_every
        self.backend: Backend = BACKENDS[kernel_of(first)](self.runs, data)
        self.evaluator = self.backend.evaluations([name for name in data.held if name != "test"])
        self.series: list[dict[str, tuple[list[int], list[float]]]] = [{} for _ in runs]
        self.summary: list[dict[str, float]] = [{} for _ in runs]
        self.begun: dict[int, StartVerdict] = {}  # the verdict on each start
        self.diverged: list[int | None] = [None] * self.K
        self.final: list[dict[str, Tensor] | None] = [None] * self.K  # weights of ended runs
        self.seconds, self.started = 0.0, time.time()
        self.evaluating = 0.0  # of this process's time: all but training
        self.step = 0
        if states:
            self._restore(states)

    def run(self) -> list[RunRecord]:
        """Train to the end; one record a run, in order."""
        self.clock = time.perf_counter()
        while True:
            step = self.step
            looked = step % self.eval_every == 0 and step < max(self.steps, 1)
            if looked and not self._seen(step):
                began = time.perf_counter()
                self._evaluate(step)
                self.evaluating += time.perf_counter() - began
            if step == self.steps or all(w is not None for w in self.final):
                return self._finish()
            self._boundary()
            if step == self.hooks.pause_at:
                if self.hooks.on_states is not None:
                    self.hooks.on_states(self.states())
                raise Paused
            going = [k for k in range(self.K) if self.final[k] is None]
            if looked:
                for k, values in enumerate(self.backend.observe(step, going)):
                    self._add(k, step, values)
                self.step += 1
            else:
                ahead = self.eval_every - step % self.eval_every
                stop = min(self.steps, step + min(ahead, self.backend.stretch(step)))
                self.backend.train(step, stop, going)
                self.step = stop

    def _seen(self, step: int) -> bool:
        """Whether this step was evaluated already, before the state we resumed from was saved."""
        return any(
            curve["nll/train"][0][-1:] == [step] for curve in self.series if "nll/train" in curve
        )

    def _add(self, k: int, step: int, values: Mapping[str, float]) -> None:
        if self.final[k] is not None:
            return
        for name, value in values.items():
            steps, numbers = self.series[k].setdefault(name, ([], []))
            steps.append(step)
            numbers.append(value)

    def _evaluate(self, step: int) -> None:
        going = [k for k in range(self.K) if self.final[k] is None]
        if step == 0:
            found = {}
            for k, look in self.evaluator.looks(going, closely=True):
                found[k] = look.values
                self._start(k, look)
        else:
            found = self.evaluator.evaluate(going)
        for k, values in found.items():
            self._note(k, step, values)
        if self.hooks.on_evaluation is not None and found:
            self.hooks.on_evaluation(step, found)

    def _note(self, k: int, step: int, values: Values) -> None:
        """Keep a run's split metrics, with its penalty; see whether it diverged or is to stop."""
        penalty = self.backend.penalty(k)
        if self.runs[k].reg.spec.value is not None:
            values["penalty"] = penalty
        bad = not math.isfinite(values["nll/train"]) or not math.isfinite(values["loss/train"])
        start = self.series[k].get("nll/train", ([], [math.inf]))[1][0]
        if step > 0 and values["nll/train"] > max(DIVERGED_NATS, 10 * start):
            bad = True
        self._add(k, step, {n: v for n, v in values.items() if math.isfinite(v)})
        if bad:
            self.diverged[k] = step
        if bad or self._out_of_patience(k):
            self.final[k] = self.backend.weights(k)

    def _out_of_patience(self, k: int) -> bool:
        patience = self.runs[k].train.early_stopping
        if patience is None:
            return False
        values = self.series[k]["nll/val"][1]
        return len(values) - 1 - values.index(min(values)) >= patience

    def _start(self, k: int, look: Look) -> None:
        """What is known at step 0: measured loss, its shuffled control, spread of the logits."""
        pairs, run, z_CV = self.evaluator.set.splits["train"], self.runs[k], look.logits
        names = [f"hidden.{i}" for i in range(len(look.units))]
        phi = ACTIVATIONS.get(run.model.activation)
        values = unit_metrics(names, phi, look.units, pairs.n)
        values["init/loss_measured"] = look.values["loss/train"]
        if look.shuffled is not None:
            values["init/loss_shuffled"] = look.shuffled
        if z_CV.shape[1] > 1:
            fixed = BIASES.get(run.init.output_bias or run.init.bias).vector
            if fixed is not None:  # a fixed vector is no spread
                z_CV = z_CV - torch.from_numpy(fixed(self.data.targets)).to(z_CV)
            var_C = z_CV.double().var(1)
            values["init/logit_std"] = float((var_C * pairs.count_C).sum() / pairs.n) ** 0.5
        theory, self.begun[k] = start_summary(run, self.data, values)
        self.summary[k].update(values | theory)

    def _boundary(self) -> None:
        hooks = self.hooks
        if hooks.on_step is not None:
            hooks.on_step(self.step)
        stop = hooks.stopping()
        if hooks.on_states is not None and (stop or hooks.wants_states()):
            hooks.on_states(self.states())
        if stop:
            raise Interrupted

    def states(self) -> dict[int, State]:
        """Every run's whole state between two steps, by its place in the chunk."""
        self._tick()
        tensors = self.backend.state()
        out = {}
        for k in range(self.K):
            parts = {n: t[k].detach().to("cpu", copy=True) for n, t in tensors.items()}
            final = self.final[k]
            if final is not None:
                parts |= {f"final:{n}": t for n, t in final.items()}
            out[k] = {
                "step": self.step,
                "tensors": parts,
                "series": {n: (list(s), list(v)) for n, (s, v) in self.series[k].items()},
                "meta": {
                    "summary": dict(self.summary[k]), "diverged": self.diverged[k],
                    "seconds": self.seconds, "started": self.started,
                },
            }  # fmt: skip
        return out

    def _restore(self, states: Sequence[State]) -> None:
        tensors = self.backend.state()
        self.step = states[0]["step"]
        self.seconds = max(s["meta"]["seconds"] for s in states)
        self.started = min(s["meta"]["started"] for s in states)
        for k, state in enumerate(states):
            for name, stored in tensors.items():
                stored[k].copy_(state["tensors"][name])
            for name, (steps, values) in state["series"].items():
                self.series[k][name] = ([int(s) for s in steps], [float(v) for v in values])
            self.summary[k] = dict(state["meta"]["summary"])
            self.begun[k] = start_summary(self.runs[k], self.data, self.summary[k])[1]
            self.diverged[k] = state["meta"]["diverged"]
            final = {
                n.removeprefix("final:"): t
                for n, t in state["tensors"].items()
                if n.startswith("final:")
            }
            self.final[k] = final or None

    def _tick(self) -> None:
        now = time.perf_counter()
        self.seconds += now - self.clock
        self.clock = now

    def _finish(self) -> list[RunRecord]:
        """The last look at each run: an evaluation like those before it, and what a record adds."""
        self._tick()
        for k, weights in enumerate(self.final):  # a run that ended early is looked at as it ended
            if weights is not None:
                self.backend.load(k, weights)
        going = {k for k in range(self.K) if self.final[k] is None}
        seen = self._seen(self.step)
        last = self.backend.evaluations(self.data.held)
        found, records = {}, []
        for k, look in last.looks(range(self.K), closely=False):
            if k in going and not seen:
                found[k] = {n: v for n, v in look.values.items() if not n.endswith("/test")}
                self._note(k, self.step, found[k])
            trained = Trained(
                series=self.series[k], start=self.summary[k], begun=self.begun[k],
                diverged_step=self.diverged[k], weights=self.backend.weights(k),
                device=self.runs[k].engine.device, started=self.started,
                seconds=self.seconds / self.K, look=look, pairs=last.set.splits,
            )  # fmt: skip
            records.append(finish(self.given[k], self.data, trained))
        if self.hooks.on_evaluation is not None and found:
            self.hooks.on_evaluation(self.step, found)
        self.evaluating += time.perf_counter() - self.clock
        return records
