"""Forward and backward through a `Network`, on buffers allocated once.

Axes as in layers.py: K runs, B batch rows (padded to 32), T context, I fan-in, O fan-out.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.engine.network import Network, padded

ROWS = 32  # rows are padded to whole multiples of this


class Pass:
    """Buffers for one batch of K stacked runs, and the walk through the network over them.

    `rows` real rows, `self.rows_` padded ones. With `backward=False` no gradient buffers are made.
    """

    def __init__(self, net: Network, rows: int, block_size: int, *, backward: bool) -> None:
        self.net, self.rows, self.rows_ = net, rows, padded(rows, ROWS)
        like: dict[str, Any] = {"dtype": net.dtype, "device": net.device}
        K, R = net.K, self.rows_
        first, last = net.layers[0], net.layers[-1]
        self.x_KBI = torch.zeros(K, R, first.weight.shape[1], **like)
        widths = [layer.weight.shape[2] for layer in net.layers[:-1]]
        self.h = [torch.zeros(K, R, wide, **like) for wide in widths]
        self.pre = [torch.zeros_like(h) if net.activation.keeps_pre else h for h in self.h]
        self.z_KBV = torch.zeros(K, R, last.weight.shape[2], **like)
        self.masks: list[Tensor] | None = None
        if net.embedding is not None:
            _, V, n_embd = net.embedding.shape
            self.offset_K11 = torch.arange(K, device=net.device)[:, None, None] * V
            self.gathered = torch.zeros(K * R * block_size, n_embd, **like)
            self.gathered_KBI = self.gathered.view(K, R, first.fan_in)
            self.embedding_rows = net.embedding.view(K * V, n_embd)
            self.x_real = self.x_KBI[:, :, : first.fan_in]
            self.flat_codes = torch.zeros(0, dtype=torch.int64, device=net.device)
        if backward:
            self.d_KBV = torch.zeros_like(self.z_KBV)
            self.dh = [torch.zeros_like(h) for h in self.h]
            normed = zip(self.h, net.norms[:-1], strict=True)
            self.xhat = [torch.zeros_like(h) if norm else h for h, norm in normed]
            self.dx_KBI = torch.zeros_like(self.x_KBI)
            self.dx_real = self.dx_KBI[:, :, : first.fan_in]

    def set_dropout(self, masks: list[Tensor] | None) -> None:
        """Multipliers (K, B_, O_) of each hidden layer's output, or None for none."""
        self.masks = masks

    def load_codes(self, codes_KBT: Tensor) -> None:
        """Take context codes, already offset by k * V; (K, B_, T) int64."""
        self.flat_codes = codes_KBT.reshape(-1)

    def forward(self, *, training: bool) -> Tensor:
        """Logits (K, B_, V_) of the loaded rows; columns past V are padding."""
        net, phi = self.net, self.net.activation
        if net.embedding is not None:
            torch.index_select(self.embedding_rows, 0, self.flat_codes, out=self.gathered)
            self.x_real.copy_(self.gathered_KBI)
        x, times = self.x_KBI, phi.scale
        for i, layer in enumerate(net.layers[:-1]):
            pre, h, norm = self.pre[i], self.h[i], net.norms[i]
            layer.forward(x, out=pre, times=times)
            if norm is not None:
                if training:
                    norm.forward(pre, self.rows, self.xhat[i])
                else:
                    norm.evaluate(pre)
                if times != 1.0:
                    pre.mul_(times)
            phi.apply(pre, h)
            if training and self.masks is not None:
                h.mul_(self.masks[i])
            x = h
        return net.layers[-1].forward(x, out=self.z_KBV)

    def backward(self) -> None:
        """From d loss / d logits in `d_KBV` (padding zero) to d loss / d input of every layer.

        With dropout, h holds the masked activation, which `collect` needs; the derivative of the
        nonlinearity needs the unmasked one, made here by dividing the mask out.
        """
        net, d = self.net, self.d_KBV
        for i in range(len(net.layers) - 1, -1, -1):
            if i == 0 and net.embedding is None:
                break
            out = self.dh[i - 1] if i else self.dx_KBI
            torch.bmm(d, net.layers[i].weight.transpose(1, 2), out=out)
            if i == 0:
                break
            d, h = out, self.h[i - 1]
            if self.masks is not None:
                mask = self.masks[i - 1]
                d.mul_(mask)  # a dropped unit's gradient is 0, so any h serves its derivative
                h = h / torch.where(mask > 0, mask, 1.0)
            net.activation.differentiate(d, self.pre[i - 1], h)
            norm = net.norms[i - 1]
            if norm is not None:
                norm.backward(d, self.rows, self.xhat[i - 1])

    def collect(self, *, into_weights: bool, embed_ratio: Tensor | None = None) -> None:
        """Every parameter's gradient into its buffer, or added onto it (see Linear.collect).

        embed_ratio (K, 1, 1): the embedding's learning rate as a multiple of the others'; None: 1.
        """
        net = self.net
        for i, layer in enumerate(net.layers):
            x = self.h[i - 1] if i else self.x_KBI
            d = self.d_KBV if i == len(net.layers) - 1 else self.dh[i]
            layer.collect(x, d, into_weights=into_weights)
            norm = net.norms[i]
            if norm is not None and into_weights:
                norm.gamma.add_(norm.gamma_grad)
                norm.beta.add_(norm.beta_grad)
        if net.embedding is None or net.embedding_grad is None:
            return
        self.gathered_KBI.copy_(self.dx_real)
        if embed_ratio is not None:
            self.gathered_KBI.mul_(embed_ratio)
        target = self.embedding_rows
        if not into_weights:
            target = net.embedding_grad.zero_().view(*target.shape)
        target.index_add_(0, self.flat_codes, self.gathered)
