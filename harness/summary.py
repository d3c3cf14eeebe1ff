"""From what a chunk measured to the record of a run: summaries, verdict, warnings, provenance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor

from harness.baselines import floors
from harness.config import NUMERICS, RunConfig
from harness.dataset import Dataset
from harness.evaluation import SplitPairs
from harness.initial_loss import expected_initial_loss, verdict
from harness.records import RunRecord, environment
from harness.verdicts import judge

Series = Mapping[str, tuple[list[int], list[float]]]


@lru_cache(maxsize=8)
def _floors(data: Dataset) -> dict[str, float]:
    return floors(data)


def start_summary(
    run: RunConfig, data: Dataset, measured: Mapping[str, float]
) -> tuple[dict[str, float], str]:
    """Theory beside measurement at step 0: init/* metrics, and the verdict in plain words."""
    theory = expected_initial_loss(run, data)
    out = {"init/loss_uniform": theory.uniform}
    for name, value in (
        ("init/loss_expected", theory.expected),
        ("init/logit_std_expected", theory.logit_std),
    ):
        if value is not None and math.isfinite(value):
            out[name] = value
    z, text = verdict(measured.get("init/loss_measured", math.nan), theory)
    if z is not None:
        out["init/loss_z"] = z
    return out, text


def finish(
    run: RunConfig, data: Dataset, *, series: Series, start: Mapping[str, float],
    last: Mapping[str, float], diverged_step: int | None, weights: Mapping[str, Tensor],
    device: str, started: float, seconds: float, logits: Tensor, pairs: Mapping[str, SplitPairs],
) -> RunRecord:  # fmt: skip
    """One run's record. `last` holds the whole-split metrics at its end, `start` those at step 0."""
    summary = {**start, **last}
    theory, words = start_summary(run, data, start)
    summary |= theory
    lows = _floors(data)
    curves = {n: (s, v) for n, (s, v) in series.items()}
    label, judged = judge(
        curves,  # type: ignore[arg-type]
        unigram=lows.get("floor/unigram"),
        context_floor=lows.get("floor/context"),
        diverged_step=diverged_step,
    )
    summary |= judged
    steps = series.get("nll/train", ([0], []))[0][-1:] or [0]
    if seconds > 0 and steps[0]:
        summary["speed/run_steps_per_s"] = steps[0] / seconds
    for name, (_, values) in series.items():  # the last look inside the layers
        if name.startswith(("act/", "grad/", "penalty")) and values:
            summary.setdefault(name, values[-1])
    warnings = [words]
    if diverged_step is not None:
        warnings.append(f"diverged at step {diverged_step}")
    return RunRecord(
        config=run,
        run_id=run.run_id(data.sha256, device),
        config_id=run.config_id(data.sha256, device),
        series=curves,  # type: ignore[arg-type]
        summary=summary,
        verdict=label,
        weights=weights,
        symbols=data.symbols,
        warnings=tuple(w for w in warnings if w),
        provenance={
            **environment(),
            "data_sha256": data.sha256,
            "numerics": NUMERICS,
            "torch": torch.__version__,
            "device": device,
            "started": started,
            "seconds": seconds,
        },
    )
