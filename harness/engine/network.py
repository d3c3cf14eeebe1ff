"""The fused network: K runs of one shape as stacked tensors, run axis first, no allocation a step.

Axes: K runs, B batch rows, T context, V vocabulary, I fan-in, O fan-out. Sizes with an `_` are
padded: rows to a multiple of 32 and widths to a multiple of 8 (32 at the ends), because a whole
number of vector registers a run is what makes each run's bits independent of its place in the
stack, and because padded products run nearer the machine's peak. Padded weights are zero, get zero
gradients and stay zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.components.activations import ACTIVATIONS

BN_EPS, BN_MOMENTUM = 1e-5, 1e-3


def padded(size: int, multiple: int) -> int:
    """`size` rounded up to a whole multiple."""
    return -(-size // multiple) * multiple


class Linear:
    """K affine maps side by side: weight (K, I_, O_), bias (K, O_); gradients beside them.

    like: dtype and device, as torch.zeros takes them.
    """

    def __init__(
        self, K: int, fan_in: int, fan_out: int, *, ends: tuple[bool, bool], bias: bool,
        like: Mapping[str, Any],
    ) -> None:  # fmt: skip
        wide_in = padded(fan_in, 32 if ends[0] else 8)
        wide_out = padded(fan_out, 32 if ends[1] else 8)
        self.fan_in, self.fan_out = fan_in, fan_out
        self.weight = torch.zeros(K, wide_in, wide_out, **like)
        self.weight_grad = torch.zeros_like(self.weight)
        self.bias: Tensor | None = None
        self.bias_grad: Tensor | None = None
        if bias:
            self.bias = torch.zeros(K, wide_out, **like)
            self.bias_grad = torch.zeros_like(self.bias)

    def forward(self, x_KBI: Tensor, *, out: Tensor, times: float = 1.0) -> Tensor:
        """times * (x @ weight + bias) for every run; (K, B, O_)."""
        if self.bias is None:
            return torch.bmm(x_KBI, self.weight, out=out)
        return torch.baddbmm(
            self.bias[:, None, :], x_KBI, self.weight, beta=times, alpha=times, out=out
        )

    def collect(self, x_KBI: Tensor, d_KBO: Tensor, *, into_weights: bool) -> None:
        """Weight and bias gradients into their buffers, or added straight onto the parameters.

        The latter is plain gradient descent when d already carries minus the learning rate: the
        backward pass is linear in d, so no gradient need ever be stored.
        """
        target, keep = (self.weight, 1.0) if into_weights else (self.weight_grad, 0.0)
        torch.baddbmm(target, x_KBI.transpose(1, 2), d_KBO, beta=keep, out=target)
        if self.bias is not None and self.bias_grad is not None:
            torch.sum(d_KBO, 1, out=self.bias_grad)
            if into_weights:
                self.bias.add_(self.bias_grad)


class BatchNorm:
    """Batch normalisation of each run's own hidden layer, with running statistics.

    Ioffe & Szegedy 2015, arXiv:1502.03167; as torch.nn.BatchNorm1d(momentum=.001): normalised by
    the biased variance, the running variance updated by the unbiased one.
    """

    def __init__(self, K: int, width: int, like: Mapping[str, Any]) -> None:
        wide = padded(width, 8)
        self.gamma = torch.zeros(K, wide, **like)
        self.beta = torch.zeros(K, wide, **like)
        self.gamma_grad, self.beta_grad = torch.zeros_like(self.gamma), torch.zeros_like(self.beta)
        self.running_mean = torch.zeros(K, wide, **like)
        self.running_var = torch.zeros(K, wide, **like)
        self.istd_K1O: Tensor = torch.zeros(K, 1, wide, **like)

    def forward(self, pre_KBO: Tensor, rows: int, xhat_KBO: Tensor) -> None:
        """Normalise `pre` in place by the statistics of its first `rows` rows; xhat is kept."""
        real = pre_KBO[:, :rows]
        mean_K1O = real.mean(1, keepdim=True)
        torch.sub(pre_KBO, mean_K1O, out=xhat_KBO)
        var_K1O = torch.mean(xhat_KBO[:, :rows].square(), 1, keepdim=True)
        self.istd_K1O = torch.rsqrt(var_K1O + BN_EPS)
        xhat_KBO.mul_(self.istd_K1O)
        self.running_mean.mul_(1 - BN_MOMENTUM).add_(mean_K1O[:, 0], alpha=BN_MOMENTUM)
        unbiased = rows / (rows - 1)
        self.running_var.mul_(1 - BN_MOMENTUM).add_(var_K1O[:, 0], alpha=BN_MOMENTUM * unbiased)
        torch.mul(xhat_KBO, self.gamma[:, None], out=pre_KBO)
        pre_KBO.add_(self.beta[:, None])

    def backward(self, d_KBO: Tensor, rows: int, xhat_KBO: Tensor) -> None:
        """d loss / d (normalised output) to d loss / d pre, in place; gamma and beta gradients."""
        torch.sum(d_KBO, 1, out=self.beta_grad)
        torch.sum(d_KBO * xhat_KBO, 1, out=self.gamma_grad)
        d_KBO.sub_(self.beta_grad[:, None] / rows)
        d_KBO.sub_(xhat_KBO * (self.gamma_grad[:, None] / rows))
        d_KBO.mul_(self.gamma[:, None] * self.istd_K1O)
        if rows < d_KBO.shape[1]:
            d_KBO[:, rows:].zero_()

    def evaluate(self, pre_KBO: Tensor) -> None:
        """Normalise `pre` in place by the running statistics."""
        istd = torch.rsqrt(self.running_var + BN_EPS)
        pre_KBO.sub_(self.running_mean[:, None]).mul_((self.gamma * istd)[:, None])
        pre_KBO.add_(self.beta[:, None])


class Network:
    """All parameters of K runs of one shape. Buffers for a pass live in `Pass`."""

    def __init__(
        self, weights: Sequence[Mapping[str, npt.NDArray[np.float64]]], activation: str,
        dtype: torch.dtype, device: torch.device,
    ) -> None:  # fmt: skip
        first, K = weights[0], len(weights)
        self.K, self.dtype, self.device = K, dtype, device
        self.activation = ACTIVATIONS.get(activation)
        names = [n.removesuffix(".weight") for n in first if n.endswith(".weight")]
        self.layer_names = [n for n in names if n != "embedding"]
        self.embedding: Tensor | None = None
        self.embedding_grad: Tensor | None = None
        if "embedding.weight" in first:
            shape = first["embedding.weight"].shape
            self.embedding = torch.zeros(K, *shape, dtype=dtype, device=device)
            self.embedding_grad = torch.zeros_like(self.embedding)
        like = {"dtype": dtype, "device": device}
        self.layers: list[Linear] = []
        self.norms: list[BatchNorm | None] = []
        for i, name in enumerate(self.layer_names):
            fan_in, fan_out = first[f"{name}.weight"].shape
            ends = (i == 0, i == len(self.layer_names) - 1)
            self.layers.append(
                Linear(K, fan_in, fan_out, ends=ends, bias=f"{name}.bias" in first, like=like)
            )
            normed = f"{name}.gamma" in first
            self.norms.append(BatchNorm(K, fan_out, like) if normed else None)
        for k, run in enumerate(weights):
            self.load(k, {n: torch.from_numpy(a) for n, a in run.items()})

    def tensors(self) -> dict[str, Tensor]:
        """Padded storage by the names of `RunRecord.weights`, each with the run axis first."""
        out: dict[str, Tensor] = {}
        if self.embedding is not None:
            out["embedding.weight"] = self.embedding
        for name, layer, norm in zip(self.layer_names, self.layers, self.norms, strict=True):
            out[f"{name}.weight"] = layer.weight
            if layer.bias is not None:
                out[f"{name}.bias"] = layer.bias
            if norm is not None:
                out[f"{name}.gamma"], out[f"{name}.beta"] = norm.gamma, norm.beta
                out[f"{name}.running_mean"] = norm.running_mean
                out[f"{name}.running_var"] = norm.running_var
        return out

    def gradients(self) -> dict[str, Tensor]:
        """Gradient storage by parameter name, same shapes; running statistics have none."""
        out: dict[str, Tensor] = {}
        if self.embedding_grad is not None:
            out["embedding.weight"] = self.embedding_grad
        for name, layer, norm in zip(self.layer_names, self.layers, self.norms, strict=True):
            out[f"{name}.weight"] = layer.weight_grad
            if layer.bias_grad is not None:
                out[f"{name}.bias"] = layer.bias_grad
            if norm is not None:
                out[f"{name}.gamma"], out[f"{name}.beta"] = norm.gamma_grad, norm.beta_grad
        return out

    def real(self, name: str, stored: Tensor) -> Tensor:
        """The unpadded view of a stacked tensor shaped like parameter `name`, (K, ...)."""
        if name == "embedding.weight":
            return stored
        layer = self.layers[self.layer_names.index(name.rpartition(".")[0])]
        if name.endswith(".weight"):
            return stored[:, : layer.fan_in, : layer.fan_out]
        return stored[:, : layer.fan_out]

    def load(self, k: int, weights: Mapping[str, Tensor]) -> None:
        """Put one run's parameters into slot k."""
        for name, stored in self.tensors().items():
            self.real(name, stored)[k].copy_(weights[name])

    def weights(self, k: int) -> dict[str, Tensor]:
        """One run's parameters, unpadded copies on the CPU."""
        return {
            name: self.real(name, stored)[k].detach().to("cpu", copy=True).contiguous()
            for name, stored in self.tensors().items()
        }
