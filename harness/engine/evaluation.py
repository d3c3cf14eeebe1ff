"""Whole-split numbers, exact: every distinct context once, weighted by how often it occurs.

Axes: K runs, C distinct contexts of all splits looked at, P distinct (context, target) pairs of
one split, V vocabulary. The stacked forward is shared; what follows is done run by run, so no
run's numbers can depend on its neighbours. Sums over a split are taken in float64.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.components.metrics import METRICS
from harness.config.run import RunConfig
from harness.data.dataset import Dataset
from harness.engine.backend import Look
from harness.engine.calibration import Pairs, calibrated, parts_of
from harness.engine.network import Network
from harness.engine.objectives import loss_values
from harness.engine.passes import Pass
from harness.engine.splits import EvaluationSet, SplitPairs, evaluation_set

TILE = 256  # rows a forward: small enough that activations stay in the cache
SHUFFLED_WORK = 4_000_000_000  # losses of a symbol in `shuffled_loss`: some 20 seconds
ECE_BINS = 15  # Guo et al. 2017, arXiv:1706.04599


class Evaluator:
    """Evaluates K stacked runs on an EvaluationSet; buffers are made once."""

    def __init__(
        self, net: Network, runs: Sequence[RunConfig], data: Dataset, names: Sequence[str]
    ):
        self.net, self.runs, self.V = net, runs, 1 if data.kind == "binary" else data.V
        self.set = evaluation_set(data, tuple(names), str(net.device))
        self.parts = parts_of(data, tuple(names))
        rows = min(TILE, self.set.inputs.shape[0])
        self.tile = Pass(net, rows, data.block_size, backward=False)
        self.z_KCV = torch.zeros(net.K, self.set.C, self.V, dtype=net.dtype, device=net.device)

    def forward(self) -> Tensor:
        """Logits of every distinct input, (K, C, V), in evaluation mode."""
        for start in range(0, self.set.C, self.tile.rows_):
            stop = min(start + self.tile.rows_, self.set.C)
            self.forward_tile(start)
            self.z_KCV[:, start:stop] = self.tile.z_KBV[:, : stop - start, : self.V]
        return self.z_KCV

    def forward_tile(self, start: int) -> Pass:
        """The pass over inputs start ... start + tile rows, activations left in its buffers."""
        tile, stop = self.tile, start + self.tile.rows_
        inputs = self.set.inputs[start:stop]
        if self.set.binary:
            tile.x_KBI[:, : len(inputs), : inputs.shape[1]] = inputs.to(self.net.dtype)
        else:
            codes = torch.zeros(
                tile.rows_, inputs.shape[1], dtype=torch.int64, device=self.net.device
            )
            codes[: len(inputs)] = inputs
            tile.load_codes(codes[None] + tile.offset_K11)
        tile.forward(training=False)
        return tile

    def evaluate(self, places: Collection[int]) -> dict[int, dict[str, float]]:
        """Of some runs: the split metrics of every split in the set (see `run_metrics`)."""
        z_KCV, parts = self.forward(), self.parts and self.parts[:2]
        return {k: run_metrics(z_KCV[k], self.set, parts, self.runs[k])[0] for k in places}

    def looks(self, places: Collection[int], *, closely: bool) -> Iterator[tuple[int, Look]]:
        """Each run's values with its logits; closely: with its units and shuffled loss too."""
        z_KCV, units = self.forward(), self.units() if closely else []
        for k in places:
            values, fair = run_metrics(z_KCV[k], self.set, self.parts, self.runs[k])
            look = Look(values, z_KCV[k], fair)
            if closely:
                shuffled = shuffled_loss(look.logits, self.set.splits["train"], self.runs[k])
                look = look._replace(units=units[k], shuffled=shuffled)
            yield k, look

    def units(self, split: str = "train") -> list[list[npt.NDArray[np.float64]]]:
        """Per run and hidden layer, (3, O): sums of h, h^2 and saturation over a split."""
        net, count_C = self.net, self.set.splits[split].count_C
        sums = [
            torch.zeros(net.K, 3, layer.fan_out, dtype=torch.float64) for layer in net.layers[:-1]
        ]
        for start in range(0, self.set.C, self.tile.rows_) if sums else ():
            tile = self.forward_tile(start)
            weight_C = count_C[start : start + tile.rows_].to(net.dtype)
            for i, layer in enumerate(net.layers[:-1]):
                h = tile.h[i][:, : len(weight_C), : layer.fan_out]
                flag = net.activation.flags(h, tile.pre[i][:, : len(weight_C), : layer.fan_out])
                for k in range(net.K):
                    sums[i][k, 0] += (weight_C @ h[k]).cpu()
                    sums[i][k, 1] += (weight_C @ h[k].square()).cpu()
                    if flag is not None:
                        sums[i][k, 2] += (weight_C @ flag[k].to(net.dtype)).cpu()
        return [[layer[k].numpy() for layer in sums] for k in range(net.K)]


def run_metrics(
    z_CV: Tensor, found: EvaluationSet, parts: Sequence[Pairs] | None, run: RunConfig
) -> tuple[dict[str, float], dict[str, float]]:
    """One run's split metrics, with nll_calibrated/val where it can be had, and its calibration.

    See class_metrics, binary_metrics and calibration.calibrated.
    """
    values = (binary_metrics if found.binary else class_metrics)(z_CV, found.splits, run)
    values |= own_metrics(z_CV, found.splits, run)
    fair = calibrated(run.loss.spec, z_CV, parts)
    return with_calibrated(values, fair), fair


def with_calibrated(values: dict[str, float], fair: Mapping[str, float]) -> dict[str, float]:
    """Split metrics with nll_calibrated/val among them, where there is a calibration."""
    return {**values, **{n: v for n, v in fair.items() if n == "nll_calibrated/val"}}


def own_metrics(z_CV: Tensor, splits: Mapping[str, SplitPairs], run: RunConfig) -> dict[str, float]:
    """NAME/S of each metric that train.metrics names, for every split S but train.

    See MetricSpec.value. As all but loss and nll, absent where a logit is not finite.
    """
    out: dict[str, float] = {}
    if not run.train.metrics or not z_CV.isfinite().all():
        return out
    for split, s in splits.items():
        if split == "train":
            continue
        given = z_CV[s.row_P].double(), s.target_P, s.count_P / s.n
        arrays = [x.cpu().numpy() for x in given]
        for array in arrays:
            array.setflags(write=False)  # the next metric sees what this one saw
        for name in run.train.metrics:
            value = METRICS.get(name).value
            assert value is not None  # config refuses others
            out[f"{name}/{split}"] = float(value(*arrays))
    return out


def class_metrics(
    z_CV: Tensor, splits: Mapping[str, SplitPairs], run: RunConfig
) -> dict[str, float]:
    """loss/S and nll/S of each split S; for others than train also accuracy, top3, brier, ece.

    Nats per character for nll. Ties are split evenly: where m symbols share the best logit and the
    target is one of them, it counts 1/m. Brier is summed over classes; ECE has 15 equal bins. These
    are absent where a logit is not finite: no comparison with NaN is true, so all ranks would be
    first.
    """
    finite = bool(z_CV.isfinite().all())
    logp_CV = torch.log_softmax(z_CV, -1)
    own_is_nll = run.loss.spec.likelihood and run.loss.label_smoothing == 0
    out: dict[str, float] = {}
    for name, s in splits.items():
        flat_P = s.row_P * z_CV.shape[1] + s.target_P
        nll_P = -logp_CV.view(-1)[flat_P].double()
        out[f"nll/{name}"] = float((nll_P * s.count_P).sum()) / s.n
        if own_is_nll:
            out[f"loss/{name}"] = out[f"nll/{name}"]
        else:
            value_P = loss_values(run.loss, z_CV[s.row_P], s.target_P).double()
            out[f"loss/{name}"] = float((value_P * s.count_P).sum()) / s.n
        if name != "train" and finite:
            out.update(_yardsticks(name, z_CV, logp_CV, s, flat_P))
    return out


def _yardsticks(
    name: str, z_CV: Tensor, logp_CV: Tensor, s: SplitPairs, flat_P: Tensor
) -> dict[str, float]:
    """Accuracy, top-3, Brier score and expected calibration error of one split."""
    target_P1 = z_CV.reshape(-1)[flat_P][:, None]
    rivals_PV = z_CV[s.row_P]
    above_P = (rivals_PV > target_P1).sum(1)
    level_P = (rivals_PV == target_P1).sum(1).clamp_min(1)
    hit_P = ((1 - above_P).clamp(0) / level_P).clamp(max=1).double()
    top3_P = ((3 - above_P).clamp(0) / level_P).clamp(max=1).double()
    p_CV = logp_CV.exp()
    square_C = p_CV.double().square().sum(1)
    p_P = p_CV.view(-1)[flat_P].double()
    brier = (square_C * s.count_C).sum() - 2 * (p_P * s.count_P).sum() + s.n
    confidence_C = p_CV.max(1).values.double()
    bin_C = (confidence_C * ECE_BINS).ceil().long().clamp(1, ECE_BINS) - 1
    zeros = torch.zeros(ECE_BINS, dtype=torch.float64, device=z_CV.device)
    sure = zeros.index_add(0, bin_C, confidence_C * s.count_C)
    right = zeros.index_add(0, bin_C[s.row_P], hit_P * s.count_P)
    return {
        f"accuracy/{name}": float((hit_P * s.count_P).sum()) / s.n,
        f"top3/{name}": float((top3_P * s.count_P).sum()) / s.n,
        f"brier/{name}": float(brier) / s.n,
        f"ece/{name}": float((sure - right).abs().sum()) / s.n,
    }


def binary_metrics(
    z_CV: Tensor, splits: Mapping[str, SplitPairs], run: RunConfig
) -> dict[str, float]:
    """As class_metrics for one logit and labels -1, +1: nll is that of sigmoid(z), in nats."""
    finite = bool(z_CV.isfinite().all())
    out: dict[str, float] = {}
    for name, s in splits.items():
        z_P = z_CV[s.row_P]
        value = loss_values(run.loss, z_P, s.target_P).double()
        out[f"loss/{name}"] = float(value.sum()) / s.n
        margin_P = z_P[:, 0].double() * s.target_P
        out[f"nll/{name}"] = float(torch.nn.functional.softplus(-margin_P).sum()) / s.n
        if name != "train" and finite:
            hit_P = (margin_P > 0).double() + 0.5 * (margin_P == 0).double()
            wrong_P = torch.sigmoid(-margin_P)
            out[f"accuracy/{name}"] = float(hit_P.sum()) / s.n
            out[f"brier/{name}"] = float((2 * wrong_P.square()).sum()) / s.n
    return out


def shuffled_loss(z_CV: Tensor, pairs: SplitPairs, run: RunConfig) -> float | None:
    """Mean loss with targets shuffled: every context against the split's symbol frequencies.

    The average over all permutations of the targets, exactly; a control that needs no theory. None
    where it would cost minutes: its work grows with the square of the vocabulary.
    """
    labels_L, place_P = torch.unique(pairs.target_P, return_inverse=True)
    if len(labels_L) * z_CV.numel() > SHUFFLED_WORK:
        return None
    share_L = torch.zeros(len(labels_L), dtype=torch.float64, device=z_CV.device)
    share_L.index_add_(0, place_P, pairs.count_P / pairs.n)
    total = 0.0
    for label, share in zip(labels_L, share_L.tolist(), strict=True):
        value_C = loss_values(run.loss, z_CV, label.expand(z_CV.shape[0])).double()
        total += share * float((value_C * pairs.count_C).sum()) / pairs.n
    return total
