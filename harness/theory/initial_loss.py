"""What the loss of a config must be before the first step, and how far one draw may be from it.

`expected_initial_loss` joins three parts: the law of the logits (propagation), the expected loss
under it and its spread over draws, both of which the loss itself knows. Nothing is sampled. Results
are shared between configs that differ only where the start does not.
"""

from __future__ import annotations

import dataclasses
import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from harness.components.activations import ACTIVATIONS
from harness.components.biases import BIASES
from harness.components.registry import forgetful
from harness.numerics.logit_law import LogitLaw
from harness.numerics.logit_pairs import Meeting
from harness.numerics.quadrature import Array, correlate, hermite_table, normal_nodes, scale_nodes
from harness.theory.advice import (
    InitialLoss,
    SmartStart,
    advise,
    smart_start,
    verdict,
    z_limit,
)  # fmt: skip
from harness.theory.layer_laws import NotCovered, layers
from harness.theory.overlap import Facts, facts
from harness.theory.propagation import Signal, propagate

if TYPE_CHECKING:
    from harness.config.groups import Loss, Model
    from harness.config.run import ResolvedInit, RunConfig
    from harness.data.dataset import Dataset

__all__ = ["InitialLoss", "LogitLaw", "SmartStart", "expected_initial_loss", "verdict"]

LARGE = 200  # classes up to which differing means are kept apart in the spread
NARROW = 0.01  # a share of the expected loss that finite width must move before it is a caveat


def expected_initial_loss(run: RunConfig, data: Dataset) -> InitialLoss:
    """The start that a config promises on a data set's whole training split.

    About 30 ms for a law not seen before, nothing for one that was: seeds, learning rates and
    regularizers do not matter to it.
    """
    init = dataclasses.replace(run.resolved().init, seed=0)
    loss = dataclasses.replace(run.loss, batch_reduction="mean", match_gradients=True)
    return _initial_loss(run.model, init, loss, facts(data))


@forgetful
@lru_cache(maxsize=4096)
def _initial_loss(model: Model, init: ResolvedInit, loss: Loss, known: Facts) -> InitialLoss:
    try:
        signal = _signal(model, init, known, False)
    except NotCovered as unknown:
        return _uncovered(str(unknown), loss, known)
    if loss.spec.expected is None:
        return _untold(signal, init, loss, known)
    expected, sd = _mean(signal, init, loss, known), None
    if expected is not None:
        sd = _spread(signal, init, loss, known)
    flat = LogitLaw.iid(0.0, known.V)
    uniform = _evaluate(flat, loss, known)
    smart = smart_start(loss, known)
    s = _logit_std(signal, init, known)

    def start(scale: float, bias: str, exact: bool) -> float | None:
        other = dataclasses.replace(init, output_scale=scale, output_bias=bias)
        there = _signal(model, other, known, False)
        if there.overflow or expected is None:
            return None
        if exact or known.kind == "binary":
            return _mean(there, other, loss, known)
        return _evaluate(_law(there, other, known), loss, known)

    fault = ACTIVATIONS.get(model.activation).fault
    share, layer = max(((row[3], row[0]) for row in signal.table if fault), default=(0.0, ""))
    saturated = share, f"{model.activation} units of {layer} are {fault}"
    return InitialLoss(
        uniform=uniform, expected=expected, sd=sd, logit_std=s, layers=_layers(signal, s),
        caveats=_caveats(signal, model, init, loss, known, (expected, sd)),
        smart_start=smart,
        advice=advise(init, uniform, expected, smart, saturated, start),
        z_limit=z_limit(layer.fan_in for layer in layers(model, init, known)), dead=signal.dead,
    )  # fmt: skip


def _untold(signal: Signal, init: ResolvedInit, loss: Loss, known: Facts) -> InitialLoss:
    """A loss with no registered expectation: the logits' law is known all the same."""
    s = _logit_std(signal, init, known)
    return InitialLoss(
        uniform=None, expected=None, sd=None, logit_std=s, layers=_layers(signal, s), caveats=(),
        smart_start=None,
        advice=f"no expectation is registered for the loss {loss.name}; compare it with its value "
        "at equal logits",
    )  # fmt: skip


def _uncovered(why: str, loss: Loss, known: Facts) -> InitialLoss:
    """A component that does not know its own law: equal logits and constants are all there is."""
    told = loss.spec.expected is not None
    return InitialLoss(
        uniform=_evaluate(LogitLaw.iid(0.0, known.V), loss, known) if told else None,
        expected=None, sd=None, logit_std=math.nan, layers=(), caveats=(why,),
        smart_start=smart_start(loss, known),
        advice=f"no loss is expected, since {why}; compare it with its value at equal logits",
    )  # fmt: skip


def _logit_std(signal: Signal, init: ResolvedInit, known: Facts) -> float:
    return math.nan if signal.overflow else _law(signal, init, known).noise


def _layers(signal: Signal, s: float) -> tuple[tuple[str, float, float], ...]:
    """Spreads by layer, as far as float32 holds them."""
    return (*(row[:3] for row in signal.table), *((("output", s, s),) if s == s else ()))


@forgetful
@lru_cache(maxsize=128)
def _signal(model: Model, init: ResolvedInit, known: Facts, normalised: bool) -> Signal:
    return propagate(model, init, known, normalised=normalised)


def _law(signal: Signal, init: ResolvedInit, known: Facts) -> LogitLaw:
    """The logits' law at the mean variance."""
    out = signal.output
    mean = (out.bias.mean,) * known.V
    vector = BIASES.get(init.output_bias).vector
    if vector is not None:
        mean = tuple(vector(known.counted).tolist())
    return LogitLaw(math.sqrt(float(signal.variance.mean())), mean, out.bias.half_width)


def _evaluate(law: LogitLaw, loss: Loss, known: Facts) -> float:
    expected, summed = loss.spec.expected, loss.reduction == "sum"
    assert expected is not None
    return float(expected(law, known.targets, smoothing=loss.label_smoothing, summed=summed))


def _over_scale(law: LogitLaw, relative: float, loss: Loss, known: Facts) -> tuple[float, float]:
    """(mean, variance) of the expected loss when s^2 has this relative variance over draws.

    A negative one (orthogonal weights fix the logits' length) is taken by reflection.
    """
    size = abs(relative)
    if size < 1e-9:
        return _evaluate(law, loss, known), 0.0
    g, w = scale_nodes(size, 5 if size < 0.05 else 9)
    values = np.array([_evaluate(law.with_std(law.std * math.sqrt(x)), loss, known) for x in g])
    mean = float(values @ w)
    variance = float(values**2 @ w) - mean * mean
    if relative < 0:
        return 2 * _evaluate(law, loss, known) - mean, -variance
    return mean, max(variance, 0.0)


def _mean(signal: Signal, init: ResolvedInit, loss: Loss, known: Facts) -> float | None:
    if signal.overflow or loss.spec.expected is None:
        return None
    law = _law(signal, init, known)
    if known.kind == "binary":
        cost, _ = _by_point(signal, law, loss, known)
        assert known.weights is not None
        return float(cost @ known.weights)
    return _over_scale(law, float(signal.own[0]), loss, known)[0]


def _spread(signal: Signal, init: ResolvedInit, loss: Loss, known: Facts) -> float | None:
    law = _law(signal, init, known)
    if known.kind == "binary":
        return _binary_spread(signal, law, loss, known)
    spread = loss.spec.spread
    if spread is None:
        return None
    shared = law.noise**2 - law.std**2  # a uniform bias: the same for every example
    q = float(signal.variance[0]) + shared
    if q == 0:
        return 0.0
    rho = np.clip((signal.covariance + shared) / q, -1.0, 1.0)
    assert known.joint is not None
    total = known.joint.sum((1, 2), keepdims=True)
    joint = np.divide(known.joint, total, out=np.zeros_like(known.joint), where=total > 0)
    targets = Meeting(joint, signal.pairs.level)
    kept = law if known.V <= LARGE else LogitLaw.iid(law.noise, known.V)
    within = float(signal.pairs.weight @ spread(kept, rho, targets, loss.label_smoothing))
    if loss.spec.per_class and loss.reduction == "mean":
        within /= known.V**2
    between = _over_scale(law, float(signal.pairs.weight @ signal.common), loss, known)[1]
    return math.sqrt(max(within + between, 0.0))


def _by_point(signal: Signal, law: LogitLaw, loss: Loss, known: Facts) -> tuple[Array, Array]:
    """Binary data: every point's expected loss, and its derivative by ln s^2; both (S,)."""
    s = np.sqrt(signal.variance)
    g, w = scale_nodes(np.maximum(signal.own, 0.0), 9)
    at = s[:, None] * np.sqrt(g)
    grid = np.linspace(0.0, max(float(at.max()), 1e-12) ** 0.5 * 1.1, 120) ** 2
    expected = loss.spec.expected
    assert expected is not None
    labels = np.array(known.labels)
    cost, slope = np.zeros(len(s)), np.zeros(len(s))
    for y, target in ((-1, (1.0, 0.0)), (1, (0.0, 1.0))):
        if (labels == y).any():
            values = np.array([expected(law.with_std(x), target) for x in grid])
            here = labels == y
            cost[here] = np.interp(at[here], grid, values) @ w
            up, down = (np.interp(s[here] * f, grid, values) for f in (1.05, 1 / 1.05))
            slope[here] = (up - down) / (4 * math.log(1.05))
    return cost, slope


def _binary_spread(signal: Signal, law: LogitLaw, loss: Loss, known: Facts) -> float | None:
    of_margin = loss.spec.of_margin
    if of_margin is None:
        return None
    x, _ = normal_nodes()
    shared = law.half_width**2 / 3
    q = signal.variance + shared
    y = np.array(known.labels)[:, None]
    values = of_margin(y * (law.mean[0] + np.sqrt(q)[:, None] * x))
    c = values @ hermite_table()
    c[:, 0] = 0.0
    left, right = signal.pairs.left, signal.pairs.right
    size = np.sqrt(q[left] * q[right])
    rho = np.divide(signal.covariance + shared, size, out=np.zeros_like(size), where=size > 0)
    covariance = correlate(c[left], c[right], np.clip(rho, -1, 1), (c[left] * c[right]).sum(-1))
    _, slope = _by_point(signal, law, loss, known)
    between = slope[left] * slope[right] * signal.common
    return math.sqrt(max(float(signal.pairs.weight @ (covariance + between)), 0.0))


def _caveats(
    signal: Signal, model: Model, init: ResolvedInit, loss: Loss, known: Facts,
    found: tuple[float | None, float | None],
) -> tuple[str, ...]:  # fmt: skip
    """Where the theory's assumptions are strained, with the size of the likely error.

    found: the expected loss and its spread over draws.
    """
    expected, sd = found
    out = []
    if signal.overflow:
        return ("activations grow past what float32 holds: no finite loss can be expected",)
    if expected is None:
        return (f"no expectation is registered for {loss.name}",)
    plain = _evaluate(_law(signal, init, known), loss, known) if known.kind == "classes" else None
    own = float(signal.own.mean())
    if plain is not None and abs(expected - plain) > NARROW * abs(expected):
        out.append(
            f"few units or embedding numbers: the logits' variance differs by "
            f"{math.sqrt(abs(own)):.0%} from draw to draw; that moves the expected loss by "
            f"{expected - plain:+.3g} (included; likely error {abs(expected - plain) / 3:.2g})"
        )
    if sd is not None and sd > 0.2 * abs(expected):
        out.append(
            f"one draw tells little: the spread is {sd / abs(expected):.0%} of the expected loss, "
            "and skewed"
        )
    shared = signal.output.bias.half_width**2 / 3
    if loss.spec.uniform_bias and shared > 0.3 * (shared + float(signal.variance.mean())):
        out.append(
            "a uniform output bias: the spread over draws is computed as if the bias were normal; "
            f"with the weights at 0 it came out {loss.spec.uniform_bias}, so read z with care"
        )
    small = min(layer for layer in (known.block * model.n_embd, *model.hidden))
    kurtosis = init.spec.kurtosis
    if kurtosis and small < 10:
        out.append(
            f"sums of {small} {init.scheme} weights are not normal: their tails are "
            f"{'lighter' if kurtosis < 0 else 'heavier'} by {abs(kurtosis) / small:.0%} in "
            f"kurtosis; likely error of the loss about {abs(kurtosis) / 4 / small:.0%}"
        )
    if model.batch_norm and model.hidden:
        trained = _signal(model, init, known, True)
        loss_then = _mean(trained, init, loss, known)
        out.append(
            "batch norm: at step 0 whole splits are measured with running statistics (mean 0, "
            "variance 1), as if there were none; with batch statistics, as in training, the logit "
            f"std would be {_law(trained, init, known).noise:.3g} and the loss {loss_then:.4g}"
        )
    return tuple(out)
