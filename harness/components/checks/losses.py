"""Whether a loss's value, gradient, expectation, spread and flags agree with each other.

Axes: K runs, B examples, V classes; N draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from harness.components.losses import LINKS, LossSpec
from harness.numerics.logit_law import LogitLaw
from harness.numerics.logit_pairs import Meeting

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Array = NDArray[np.float64]

V, DRAWS, SCALES = 7, 10_000, (0.3, 3.0)
ERRORS = 5.0  # standard errors that a mean of draws may be off
SPREAD = 0.08  # share of the variance that a stated covariance may be off as well
Case = tuple[float, bool]  # smoothing, summed


def problems(spec: LossSpec) -> Iterator[str]:
    """Every inconsistency of one loss, in words."""
    found = list(_shape(spec))
    yield from found
    if found:
        return  # nothing else can be measured
    for smoothing, summed in _cases(spec):
        words = "".join([f", smoothing {smoothing}" * (smoothing > 0), ", classes summed" * summed])
        for part in (_gradient, _place, _expected, _best_constant):
            yield from (f"{text}{words}" for text in part(spec, (smoothing, summed)))
    yield from _covariance(spec)
    yield from _flags(spec)


def _classes(spec: LossSpec) -> int:
    return 1 if spec.kind == "binary" else V


def _cases(spec: LossSpec) -> list[Case]:
    return [
        (smoothing, summed)
        for smoothing in ((0.0, 0.1) if spec.smoothing else (0.0,))
        for summed in ((False, True) if spec.per_class else (False,))
    ]


def _batch(
    spec: LossSpec, seed: int, scale: float, K: int = 3, B: int = 11
) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    z = scale * torch.randn(K, B, _classes(spec), generator=rng, dtype=torch.float64)
    y = torch.randint(2 if spec.kind == "binary" else V, (K, B), generator=rng)
    return z, 2 * y - 1 if spec.kind == "binary" else y


def _share(case: Case, like: Tensor) -> Tensor | None:
    return torch.full((len(like),), case[0], dtype=like.dtype) if case[0] > 0 else None


def _shape(spec: LossSpec) -> Iterator[str]:
    if spec.kind not in ("classes", "binary"):
        yield f"kind is {spec.kind!r}; it must be 'classes' or 'binary'"
        return
    z, y = _batch(spec, 0, 1.0)
    got = spec.value(z, y, None, False)
    if tuple(got.shape) != (3, 11):
        yield f"value has shape {tuple(got.shape)} for 3 runs of 11 examples; it must be (3, 11)"
    elif not got.isfinite().all():
        yield "value is not finite for logits of ordinary size"
    unknown = [link for link in spec.links if link not in LINKS]
    if unknown or not spec.links:
        yield f"links are {spec.links}; known: {', '.join(LINKS)}"


def _gradient(spec: LossSpec, case: Case) -> Iterator[str]:
    if spec.gradient is None:
        return
    for scale in (0.1, 1.0, 10.0):
        z, y = _batch(spec, 1, scale)
        leaf = z.clone().requires_grad_()
        total = spec.value(leaf, y, _share(case, z), case[1]).sum()
        (want,) = torch.autograd.grad(total, leaf)
        out = torch.full_like(z, math.nan)
        got = spec.gradient(z, y, _share(case, z), case[1], out=out)
        if got is not out:
            yield "gradient does not return `out`, which it must fill"
            return
        off = float((out - want).abs().max())
        if not off <= 1e-9 * max(1.0, float(want.abs().max())):
            yield f"gradient differs from autograd through the value by {off:.2g}"
            return


def _place(spec: LossSpec, case: Case) -> Iterator[str]:
    """A run is what it would be alone, to the last bit, and large logits stay finite."""
    z, y = (t.float() if t.is_floating_point() else t for t in _batch(spec, 2, 3.0, 19, 13))
    whole = spec.value(z, y, _share(case, z), case[1])
    for k in (0, 7, 18):
        own = slice(k, k + 1)
        if not torch.equal(spec.value(z[own], y[own], _share(case, z[own]), case[1]), whole[own]):
            yield "value of a run changes, in its last bits at least, with the runs beside it"
            break
    far = spec.value(1e4 * torch.sign(z), y, _share(case, z), case[1])
    if not far.isfinite().all():
        yield "value is not finite for float32 logits of +-1e4"


def _target(spec: LossSpec) -> Array:
    rng = np.random.default_rng(3)
    out: Array = rng.dirichlet(np.ones(2 if spec.kind == "binary" else V))
    return out


def _values(spec: LossSpec, z_NV: Array, y_N: NDArray[np.int64], case: Case) -> Array:
    z, y = torch.from_numpy(z_NV)[None], torch.from_numpy(y_N)[None]
    out: Array = spec.value(z, y, _share(case, z), case[1])[0].numpy()
    return out


def _expected(spec: LossSpec, case: Case) -> Iterator[str]:
    if spec.expected is None:
        return
    p, count, rng = _target(spec), _classes(spec), np.random.default_rng(4)
    y_N = rng.choice(len(p), p=p, size=DRAWS)
    y_N = 2 * y_N - 1 if spec.kind == "binary" else y_N
    means = ((0.0,) * count, tuple(float(m) for m in rng.normal(size=count)))
    for mean, half_width in ((means[0], 0.0), (means[1], 0.0), (means[0], 1.0)):
        for std in (0.0, *SCALES):
            law = LogitLaw(std, mean, half_width)
            noise = rng.uniform(-1, 1, (DRAWS, count)) * half_width
            z_NV = np.asarray(mean) + std * rng.normal(size=(DRAWS, count)) + noise
            drawn = _values(spec, z_NV, y_N, case)
            got = float(spec.expected(law, p, smoothing=case[0], summed=case[1]))
            error = float(drawn.std()) / math.sqrt(DRAWS)
            if not abs(got - drawn.mean()) <= ERRORS * error + 1e-6 * abs(got):
                yield (
                    f"expected is {got:.5g} where {DRAWS:,} draws give {drawn.mean():.5g} +- "
                    f"{error:.2g} (logits of std {std:g}"
                    f"{'' if mean == means[0] else ', unequal means'}"
                    f"{f', uniform part {half_width:g}' if half_width else ''})"
                )
                return


def _best_constant(spec: LossSpec, case: Case) -> Iterator[str]:
    if spec.best_constant is None or spec.expected is None:
        return
    p, rng = _target(spec), np.random.default_rng(5)
    best = spec.best_constant(p, smoothing=case[0], summed=case[1]).loss
    tried = [
        rng.normal(size=_classes(spec)) * scale for scale in (0.0, 0.1, 1.0) for _ in range(50)
    ]
    if spec.kind == "classes":
        tried += [np.log(p), p]
    costs = [
        spec.expected(LogitLaw(0.0, tuple(map(float, z))), p, smoothing=case[0], summed=case[1])
        for z in tried
    ]
    if min(costs) < best - 1e-9:
        yield f"best_constant is {best:.5g}, yet some constant logits cost {min(costs):.5g}"


def _covariance(spec: LossSpec) -> Iterator[str]:
    """The spread against pairs of examples with correlated logits; classes summed."""
    rng, rho = np.random.default_rng(6), 0.6
    summed = spec.per_class
    if spec.kind == "binary":
        if spec.of_margin is not None:
            z, y = _batch(spec, 7, 2.0)
            margin = (z[..., 0] * y).numpy()
            if np.abs(spec.of_margin(margin) - spec.value(z, y, None, False).numpy()).max() > 1e-9:
                yield "of_margin differs from the value at the same y z"
        return
    if spec.spread is None:
        return
    joint = np.stack([np.eye(V) / V, (1 - np.eye(V)) / (V * (V - 1))])
    meeting = Meeting(joint, np.array([0, 1]))
    for std in SCALES:
        stated = spec.spread(LogitLaw.iid(std, V), np.array([rho, rho]), meeting, 0.0)
        x = rng.normal(size=(DRAWS, V))
        other = rho * x + math.sqrt(1 - rho**2) * rng.normal(size=(DRAWS, V))
        first = np.zeros(DRAWS, np.int64)
        a = _values(spec, std * x, first, (0.0, summed))
        for second, got in zip((0, 1), stated, strict=True):
            b = _values(spec, std * other, first + second, (0.0, summed))
            product = (a - a.mean()) * (b - b.mean())
            error = ERRORS * float(product.std()) / math.sqrt(DRAWS)
            if not abs(got - product.mean()) <= SPREAD * abs(float(stated[0])) + error:
                yield (
                    f"spread gives two examples of {'different' if second else 'one'} target(s) a "
                    f"covariance of {got:.4g} where draws give {product.mean():.4g} (logits of std "
                    f"{std:g}, correlation {rho:g})"
                )
                return


def _flags(spec: LossSpec) -> Iterator[str]:
    z, y = _batch(spec, 8, 2.0)
    value = spec.value(z, y, None, False)
    if spec.likelihood:
        if spec.kind == "binary":
            want = torch.nn.functional.softplus(-y * z[..., 0])
        else:
            want = torch.nn.functional.cross_entropy(z.movedim(-1, 1), y, reduction="none")
        if float((value - want).abs().max()) > 1e-9:
            yield "likelihood is true, but the value is no negative log likelihood of softmax"
    if spec.per_class:
        ratio = spec.value(z, y, None, True) / value
        if float((ratio - _classes(spec)).abs().max()) > 1e-9:
            yield "per_class is true, but the sum over classes is not V times their mean"
    multiplier = spec.multiplier(_classes(spec), False)
    if not (math.isfinite(multiplier) and multiplier > 0):
        yield f"multiplier is {multiplier}; it must be a number above 0"
        return
    leaf = torch.zeros_like(z).requires_grad_()
    (slope,) = torch.autograd.grad(spec.value(leaf, y, None, False).sum(), leaf)
    slope = multiplier * (slope - slope.mean(-1, keepdim=True) if spec.kind == "classes" else slope)
    hot = torch.nn.functional.one_hot(y.clamp(min=0), _classes(spec) + 1)[..., :-1].double()
    want = -2.0 * y[..., None] if spec.kind == "binary" else 1 / V - hot
    if float((slope - want).abs().max()) > 1e-9:
        yield (
            "multiplier does not give the gradient at equal logits the size of "
            f"{'squared error' if spec.kind == 'binary' else 'cross-entropy'}'s"
        )
