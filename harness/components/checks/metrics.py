"""Whether a metric of a user's own is a number of a split, however its pairs are listed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from harness.components.metrics import OWN_VIEWS, MetricSpec, having, metric_of
from harness.numerics.randomness import stream

PAIRS, CLASSES = 60, 5


def problems(spec: MetricSpec) -> Iterator[str]:
    """Every fault of one metric, in words."""
    if spec.value is None:
        yield "value is missing: what a split is measured by"
        return
    views = {*OWN_VIEWS, *(view for name in having() for view in metric_of(name).shown)}
    for view in spec.shown:
        if view not in views:
            yield f"shown names {view!r}; known: {', '.join(sorted(views))}"
    for kind in [spec.kind] if spec.kind else ["classes", "binary"]:
        yield from _of_kind(spec, kind)


def _of_kind(spec: MetricSpec, kind: str) -> Iterator[str]:
    """As `problems`, on data of one kind."""
    assert spec.value is not None
    rng = stream(0, "check")
    classes = 1 if kind == "binary" else CLASSES
    logits_PV = rng.standard_normal((PAIRS, classes))
    target_P = rng.integers(0, CLASSES, PAIRS)
    if kind == "binary":
        target_P = np.where(target_P % 2 == 0, -1, 1)
    weight_P = rng.random(PAIRS)
    weight_P /= weight_P.sum()
    kept = logits_PV.copy(), target_P.copy(), weight_P.copy()
    found = spec.value(logits_PV, target_P, weight_P)
    if np.shape(found) != () or not math.isfinite(float(found)):
        yield f"value gives {found!r} on {kind}; it must be one finite number"
        return
    if not all(map(np.array_equal, kept, (logits_PV, target_P, weight_P))):
        yield f"value changes the arrays that it is given, on {kind}"
        return
    order = rng.permutation(PAIRS)
    again = spec.value(logits_PV[order], target_P[order], weight_P[order])
    if not math.isclose(found, again, rel_tol=1e-9, abs_tol=1e-12):
        yield f"value is {found:.6g} on {kind} and {again:.6g} with the pairs in another order"
    twice = [np.concatenate([part, part]) for part in (logits_PV, target_P)]
    half_P = np.concatenate([weight_P, weight_P]) / 2
    again = spec.value(twice[0], twice[1], half_P)
    if not math.isclose(found, again, rel_tol=1e-9, abs_tol=1e-12):
        yield (
            f"value is {found:.6g} on {kind} and {again:.6g} with every pair listed twice at half "
            "its weight: it must depend on weights, not on how many pairs there are"
        )
