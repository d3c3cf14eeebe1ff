"""From what a chunk measured to the record of a run: summaries, verdict, warnings, provenance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from harness.components.metrics import metric_of
from harness.config.foreign import stored_components
from harness.config.ids import NUMERICS
from harness.config.run import RunConfig
from harness.data.baselines import floors
from harness.data.dataset import Dataset
from harness.engine.backend import Look
from harness.engine.calibration import read_on_train, told, too_few
from harness.engine.kernel import bits_of
from harness.engine.objectives import loss_values
from harness.engine.splits import SplitPairs
from harness.records.record import RunRecord, environment
from harness.records.verdicts import CERTAIN, Reading, judge
from harness.theory.advice import StartVerdict
from harness.theory.initial_loss import expected_initial_loss, verdict

Series = Mapping[str, tuple[list[int], list[float]]]


@lru_cache(maxsize=8)
def _floors(data: Dataset) -> dict[str, float]:
    return floors(data)


def start_summary(
    run: RunConfig, data: Dataset, measured: Mapping[str, float]
) -> tuple[dict[str, float], StartVerdict]:
    """Theory beside measurement at step 0: init/* metrics, and the verdict on the start."""
    theory = expected_initial_loss(run, data)
    uniform = theory.uniform
    if uniform is None:  # a loss that theory does not know: its value at equal logits, measured
        targets = torch.from_numpy(data.train.y)
        zeros = torch.zeros(len(targets), data.V, dtype=torch.float64)
        uniform = float(loss_values(run.loss, zeros, targets).mean())
    out = {"init/loss_uniform": uniform}
    if theory.expected is not None:
        out["init/loss_expected"] = theory.expected
    if math.isfinite(theory.logit_std):
        out["init/logit_std_expected"] = theory.logit_std
    found = verdict(measured.get("init/loss_measured", math.nan), theory)
    if found.z is not None:
        out["init/loss_z"] = found.z
    return out, found


def end_summary(data: Dataset, last: Mapping[str, float], n: int) -> dict[str, float]:
    """What follows from the final numbers: perplexities, and evidence of memorising.

    perplexity/S = exp(nll/S). memorised/evidence, for a source whose oracle is known: how many
    nats the whole training split (n examples) costs less than under the true source. A model that
    has not seen the sample saves t nats with a probability of at most exp(-t).
    """
    out = {}
    for name in ("train", "val", "test"):
        value = last.get(f"nll/{name}", math.nan)
        if value < 700:  # exp() overflows near 709
            out[f"perplexity/{name}"] = math.exp(value)
    if data.oracle is not None and "nll/train" in last:
        out["memorised/evidence"] = (data.oracle["nll_train"] - last["nll/train"]) * n
    return out


def weight_norm(weights: Mapping[str, Tensor]) -> float:
    """Euclidean norm of the linear layers' weight matrices together, embedding and biases aside."""
    squares = (
        float(np.square(w.numpy().astype(np.float64)).sum())
        for name, w in weights.items()
        if w.ndim == 2 and name != "embedding.weight"
    )
    return math.sqrt(math.fsum(squares))


def remarks(data: Dataset, summary: Mapping[str, float]) -> list[str]:
    """What a source that is known exactly proves about a run, in words."""
    out = []
    evidence = summary.get("memorised/evidence", 0.0)
    if evidence > CERTAIN:
        out.append(
            f"certified memorisation: the training split costs {evidence:.0f} nats less than under "
            f"the source it was drawn from; by chance that has a probability of {bound(evidence)}"
        )
    if data.oracle is not None and "nll/val" in summary:
        lead = (data.oracle["nll_val"] - summary["nll/val"]) * data.val.n
        if lead > CERTAIN:
            out.append(
                f"validation costs {lead:.0f} nats less than under its own source (by chance: "
                f"{bound(lead)}): validation words have leaked into training"
            )
    return out


def bound(nats: float) -> str:
    """exp(-nats) as people read it."""
    return f"at most 10^-{int(nats / math.log(10))}"


def _calibrated_ends(
    run: RunConfig, data: Dataset, fair: Mapping[str, float], logits: Tensor,
    pairs: Mapping[str, SplitPairs],
) -> Reading | None:  # fmt: skip
    """The last NLL on training and validation as a loss's outputs mean them, for the verdict.

    None where these are nll/train and nll/val themselves.
    """
    if run.loss.spec.log_probabilities:
        return None
    if fair:
        return Reading(fair["nll_calibrated/train"], fair["nll_calibrated/val"])
    smart = expected_initial_loss(run, data).smart_start
    train = read_on_train(run.loss.spec, data, logits, pairs)
    return Reading(train, None, None if smart is None else smart.loss)


@lru_cache(maxsize=8)
def _label_entropy(data: Dataset) -> float:
    """The training NLL of knowing how often each target occurs, and nothing else."""
    count_V = np.unique(data.train.y, return_counts=True)[1]
    share_V = count_V / count_V.sum()
    return float(-(share_V * np.log(share_V)).sum())


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a chunk knows of one run at its end.

    start: the metrics at step 0 with the theory beside them, `begun` the verdict on them; look:
    the last one, over `pairs`; started: Unix time; seconds: the run's share of the chunk's.
    """

    series: Series
    start: Mapping[str, float]
    begun: StartVerdict
    look: Look
    diverged_step: int | None
    weights: Mapping[str, Tensor]
    device: str
    started: float
    seconds: float
    pairs: Mapping[str, SplitPairs]


def finish(run: RunConfig, data: Dataset, trained: Trained) -> RunRecord:
    """One run's record."""
    last = {n: v for n, v in trained.look.values.items() if n != "nll_calibrated/val"}
    summary = {**trained.start, **last}
    lows = _floors(data)
    fair = {} if trained.diverged_step is not None else trained.look.fair
    few = too_few(data)
    summary |= lows | fair | end_summary(data, last, trained.pairs["train"].n)
    curves = {n: (np.asarray(s, np.int64), np.asarray(v)) for n, (s, v) in trained.series.items()}
    label, judged = judge(
        curves,
        unigram=lows.get("floor/unigram", _label_entropy(data)),
        context_floor=lows.get("floor/context"),
        diverged_step=trained.diverged_step,
        calibrated=_calibrated_ends(run, data, fair, trained.look.logits, trained.pairs),
        evidence=summary.get("memorised/evidence"),
    )
    summary |= judged
    if fair and (fair_curve := trained.series.get("nll_calibrated/val")):
        summary["best/nll_calibrated_val"] = min(fair_curve[1])
    norm = weight_norm(trained.weights)
    if math.isfinite(norm):
        summary["weights/norm"] = norm
    steps = trained.series.get("nll/train", ([0], []))[0][-1:] or [0]
    if trained.seconds > 0 and steps[0]:
        summary["speed/run_steps_per_s"] = steps[0] / trained.seconds
    for name, (_, values) in trained.series.items():  # the last look inside the layers
        if values and metric_of(name).kept:
            summary.setdefault(name, values[-1])
    warnings = [trained.begun.words if trained.begun.warns else "", *remarks(data, summary)]
    if trained.diverged_step is not None:
        at = trained.diverged_step
        warnings.insert(0, f"diverged at step {at}: lower optim.lr ({run.optim.lr:g})")
    return RunRecord(
        config=run,
        run_id=run.run_id(data.sha256, trained.device),
        config_id=run.config_id(data.sha256, trained.device),
        series=curves,
        summary=summary,
        verdict=label,
        weights=trained.weights,
        symbols=data.symbols,
        warnings=tuple(w for w in warnings if w),
        provenance={
            **environment(),
            "data_sha256": data.sha256,
            "numerics": NUMERICS,
            **bits_of(run),
            "start": trained.begun.words,
            "start_kind": trained.begun.kind,
            "started": trained.started,
            "seconds": trained.seconds,
            **({"calibration": told(fair)} if fair else {"calibration": few} if few else {}),
            **({"components": foreign} if (foreign := stored_components([run])) else {}),
        },
    )
