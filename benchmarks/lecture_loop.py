"""The peer: the training loop of the makemore lecture (part 3), as its notebook writes it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


class LectureLoop:
    """One run, one step at a time: autograd, plain tensors, a Python loop.

    x (N, 3) int64 contexts, y (N,) targets; 27 symbols, n_embd 10, hidden 200, batch 32.
    """

    def __init__(self, x: Tensor, y: Tensor, seed: int = 0) -> None:
        g = self.g = torch.Generator().manual_seed(seed)
        self.x, self.y, self.losses, self.step = x, y, [], 0
        gain = (5 / 3) / 30**0.5
        self.c = torch.randn((27, 10), generator=g)
        self.w1 = torch.randn((30, 200), generator=g) * gain
        self.b1 = torch.randn(200, generator=g) * 0.01
        self.w2 = torch.randn((200, 27), generator=g) * 0.01
        self.b2 = torch.randn(27, generator=g) * 0
        self.parameters = [self.c, self.w1, self.b1, self.w2, self.b2]
        for p in self.parameters:
            p.requires_grad = True

    def run(self, steps: int) -> None:
        """Train for so many steps."""
        with torch.enable_grad():
            for _ in range(steps):
                ix = torch.randint(0, self.x.shape[0], (32,), generator=self.g)
                xb, yb = self.x[ix], self.y[ix]
                emb = self.c[xb]
                h = torch.tanh(emb.view(emb.shape[0], -1) @ self.w1 + self.b1)
                logits = h @ self.w2 + self.b2
                loss = cross_entropy(logits, yb)
                for p in self.parameters:
                    p.grad = None
                loss.backward()
                lr = 0.1 if self.step < 100_000 else 0.01
                for p in self.parameters:
                    p.data += -lr * p.grad
                self.losses.append(loss.log10().item())
                self.step += 1
