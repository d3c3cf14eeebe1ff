"""The plain oracle: one run as an ordinary nn.Module, autograd and torch.optim. No stacking.

It shares no code with the engine, nor with its losses: these come from torch.nn.functional,
gradients from autograd, updates from torch.optim, batch norm from torch.nn. What is random (the
start, the batches, the dropout masks) is handed in, so that only arithmetic is compared. It obeys

- step t (0-based) uses `batches[t]`, whose entries are example numbers of the training split, and
  `masks[t][l]`, True where unit of hidden layer l is kept;
- an evaluation at step t sees the weights after t updates, in evaluation mode, on whole splits;
- gradient matching and batch_reduction reach the data loss alone; a penalty is added unscaled;
- weight decay shrinks first, w *= 1 - lr * strength, then the optimizer moves w (as torch's AdamW);
- max_norm acts after the optimizer, on linear layers' weights in either scope.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.config.run import RunConfig

Weights = dict[str, Tensor]
Series = dict[str, tuple[np.ndarray, np.ndarray]]
ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU, "linear": nn.Identity}


class PlainNet(nn.Module):
    """Embedding (absent for dense inputs), hidden layers, output; the shapes are the weights'."""

    def __init__(self, weights: Mapping[str, Tensor], activation: str) -> None:
        super().__init__()
        dtype = weights["output.weight"].dtype
        self.embedding = None
        if "embedding.weight" in weights:
            symbols, n_embd = weights["embedding.weight"].shape
            self.embedding = nn.Embedding(symbols, n_embd, dtype=dtype)
        self.hidden, self.norms = nn.ModuleList(), nn.ModuleList()
        while f"hidden.{len(self.hidden)}.weight" in weights:
            name = f"hidden.{len(self.hidden)}"
            fan_in, fan_out = weights[f"{name}.weight"].shape
            normed = f"{name}.gamma" in weights
            self.hidden.append(nn.Linear(fan_in, fan_out, bias=not normed, dtype=dtype))
            norm = nn.BatchNorm1d(fan_out, eps=1e-5, momentum=0.001, dtype=dtype)
            self.norms.append(norm if normed else nn.Identity())
        self.activation = ACTIVATIONS[activation]()
        fan_in, fan_out = weights["output.weight"].shape
        self.output = nn.Linear(fan_in, fan_out, dtype=dtype)
        with torch.no_grad():
            for name, tensor in self.named().items():
                tensor.copy_(weights[name].T if self.is_matrix(name) else weights[name])

    @staticmethod
    def is_matrix(name: str) -> bool:
        """nn.Linear keeps (O, I) where a record keeps (I, O)."""
        return name.endswith(".weight") and name != "embedding.weight"

    def named(self) -> Weights:
        """The live tensors by their names in a record."""
        renamed = {"norms.": "hidden.", ".weight": ".gamma", ".bias": ".beta"}
        out: Weights = {}
        for name, tensor in [*self.named_parameters(), *self.named_buffers()]:
            if name.startswith("norms."):
                for old, new in renamed.items():
                    name = name.replace(old, new)
            if not name.endswith("num_batches_tracked"):
                out[name] = tensor
        return out

    def saved(self) -> Weights:
        """Copies by name, in a record's layout."""
        return {
            name: (t.T if self.is_matrix(name) else t).detach().clone().contiguous()
            for name, t in self.named().items()
        }

    def forward(self, x: Tensor, masks: Sequence[Tensor] | None, drop: float) -> Tensor:
        """Logits (B, V or 1) of contexts (B, T) or dense points (B, I)."""
        h: Tensor = x if self.embedding is None else self.embedding(x).flatten(1)
        for i, (linear, norm) in enumerate(zip(self.hidden, self.norms, strict=True)):
            h = self.activation(norm(linear(h)))
            if masks is not None:
                h = h * masks[i].to(h.dtype) / (1 - drop)
        z: Tensor = self.output(h)
        return z


def data_loss(run: RunConfig, z: Tensor, y: Tensor) -> Tensor:
    """The run's own loss, one number an example (B,), from logits (B, V) or (B, 1)."""
    name, a, V = run.loss.name, run.loss.label_smoothing, z.shape[-1]
    label = y.to(z.dtype)  # -1 and +1 under the binary losses
    if name == "squared_error":
        return F.mse_loss(z[:, 0], label, reduction="none")
    if name == "binary_cross_entropy":
        return F.binary_cross_entropy_with_logits(z[:, 0], (label + 1) / 2, reduction="none")
    if name == "max_margin":
        return F.relu(1 - z[:, 0] * label)
    if name == "cross_entropy":
        return F.cross_entropy(z, y, reduction="none", label_smoothing=a)
    if name == "nll":
        log_p = F.log_softmax(z, -1)
        return (1 - a) * F.nll_loss(log_p, y, reduction="none") - a * log_p.mean(-1)
    if name == "hinge":
        mean = F.multi_margin_loss(z, y, reduction="none")
        return mean * V if run.loss.reduction == "sum" else mean
    if name == "crammer_singer":
        own = F.one_hot(y, V).bool()
        rival = z.masked_fill(own, -math.inf).amax(-1)  # amax shares its gradient among ties
        return F.relu(1 + rival - z[own])
    hot = F.one_hot(y, V).to(z.dtype) * (1 - a) + a / V
    if name == "mse":
        each = F.mse_loss(z, hot, reduction="none")
    elif name == "brier":
        each = F.mse_loss(F.softmax(z, -1), hot, reduction="none")
    elif name == "bce":
        each = F.binary_cross_entropy_with_logits(z, hot, reduction="none")
    else:
        raise ValueError(f"the oracle knows no loss {name!r}")
    return each.sum(-1) if run.loss.reduction == "sum" else each.mean(-1)


def multiplier(run: RunConfig, V: int) -> float:
    """Gradient matching, written out as tables of its own."""
    if not run.loss.match_gradients:
        return 1.0
    mean = {"hinge": 1, "bce": V, "mse": V / 2, "brier": V * V / 2}
    total = {"hinge": 1 / V, "bce": 1, "mse": 1 / 2, "brier": V / 2}
    other = {"crammer_singer": (V - 1) / V, "binary_cross_entropy": 4, "max_margin": 2}
    chosen = total if run.loss.reduction == "sum" else mean
    return (chosen | other).get(run.loss.name, 1.0)


def reached(run: RunConfig, net: PlainNet) -> Weights:
    """The parameters a regularizer touches: linear layers' weights, or all that are trained."""
    return {
        name: tensor
        for name, tensor in net.named().items()
        if tensor.requires_grad and (run.reg.scope == "all" or net.is_matrix(name))
    }


def penalty(run: RunConfig, net: PlainNet) -> Tensor:
    """What is added to the data loss; 0 for the regularizers that add nothing."""
    total = net.output.weight.new_zeros(())
    for w in reached(run, net).values():
        if run.reg.name == "l2":
            total = total + run.reg.strength * (w * w).mean()
        elif run.reg.name == "l2_sum":
            total = total + run.reg.strength * (w * w).sum()
        elif run.reg.name == "l1":
            total = total + run.reg.strength * w.abs().sum()
    return total


def lr_factor(run: RunConfig, step: int) -> float:
    """The schedule's factor on both learning rates at update `step` (0-based)."""
    steps, o = run.train.steps, run.optim
    warm = min(1.0, (step + 1) / o.warmup) if o.warmup else 1.0
    if o.schedule == "step":
        return warm * (o.schedule_factor if step >= steps * o.schedule_at else 1.0)
    if o.schedule == "linear":
        return warm * (1 - (1 - o.schedule_factor) * step / steps)
    if o.schedule == "cosine":
        return warm * 0.5 * (1 + math.cos(math.pi * step / steps))
    return warm


def optimizer(run: RunConfig, net: PlainNet) -> torch.optim.Optimizer:
    """torch's own, with the embedding in a group of its own (last)."""
    run = run.resolved()
    table = [] if net.embedding is None else [net.embedding.weight]
    others = [p for p in net.parameters() if all(p is not t for t in table)]
    groups = [{"params": others, "lr": run.optim.lr}]
    if run.optim.scaling == "mup":  # one hidden layer, as the table of the paper has it
        wider = run.model.hidden[0] / run.optim.base_width
        first = list(net.hidden[0].parameters())
        adam = run.optim.name in ("adam", "adamw")
        lr = run.optim.lr
        groups = [
            {"params": first, "lr": lr if adam else lr * wider},
            {"params": [net.output.weight], "lr": lr / wider},
            {"params": [net.output.bias], "lr": lr},
        ]
    if table:
        groups.append({"params": table, "lr": run.optim.embed_lr})
    if run.optim.name == "sgd":
        return torch.optim.SGD(groups)
    if run.optim.name == "momentum":
        return torch.optim.SGD(groups, momentum=run.optim.momentum)
    if run.optim.name == "adam":
        return torch.optim.Adam(groups, betas=(0.9, 0.999), eps=1e-8)
    return torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)


def split_tensors(data: Any, split: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """(inputs, targets) of one split: int64 contexts and codes, or dense points and labels."""
    part = getattr(data, split)
    x, y = torch.as_tensor(np.asarray(part.x_NT)), torch.as_tensor(np.asarray(part.y_N))
    return x.to(dtype) if data.kind == "binary" else x, y


def reference_losses(run: RunConfig, data: Any, net: PlainNet) -> dict[str, float]:
    """Whole-split means in evaluation mode: loss/* in the loss's units, nll/* in nats."""
    was, dtype = net.training, net.output.weight.dtype
    net.eval()
    out: dict[str, float] = {}
    with torch.no_grad():
        for split in ("train", "val", "test"):
            x, y = split_tensors(data, split, dtype)
            z = net(x, None, 0.0)
            if data.kind == "binary":
                nll = F.binary_cross_entropy_with_logits(z[:, 0], (y.to(dtype) + 1) / 2)
                right = (z[:, 0] > 0) == (y > 0)
            else:
                nll, right = F.cross_entropy(z, y), z.argmax(-1) == y
            out[f"loss/{split}"] = data_loss(run, z, y).mean().item()
            out[f"nll/{split}"] = nll.item()
            out[f"accuracy/{split}"] = right.to(dtype).mean().item()
        if run.reg.name in ("l2", "l2_sum", "l1"):
            out["penalty"] = penalty(run, net).item()
    net.train(was)
    return out


def objective(
    run: RunConfig, net: PlainNet, x: Tensor, y: Tensor, masks: Sequence[Tensor] | None
) -> Tensor:
    """What one step differentiates: matched data loss of the batch, plus the penalty."""
    drop = run.reg.strength if run.reg.name == "dropout" else 0.0
    assert drop == 0 or masks is not None, "a run with dropout needs its masks"
    each = data_loss(run, net(x, masks if drop > 0 else None, drop), y)
    whole = each.sum() if run.loss.batch_reduction == "sum" else each.mean()
    return multiplier(run, net.output.out_features) * whole + penalty(run, net)


def reference_gradients(
    run: RunConfig,
    data: Any,
    weights: Mapping[str, Tensor],
    batch: Any,
    masks: Sequence[Tensor] | None = None,
) -> Weights:
    """The gradient of one step, by the names and in the layout of a record's weights."""
    net = PlainNet(weights, run.model.activation)
    x, y = split_tensors(data, "train", net.output.weight.dtype)
    rows = torch.as_tensor(batch)
    objective(run, net, x[rows], y[rows], masks).backward()
    return {
        name: (t.grad.T if net.is_matrix(name) else t.grad).clone().contiguous()
        for name, t in net.named().items()
        if t.requires_grad and t.grad is not None
    }


def reference_train(
    run: RunConfig,
    data: Any,
    weights: Mapping[str, Tensor],
    batches: Any,
    masks: Any = None,
) -> tuple[Weights, Series]:
    """Train one run from `weights` (a record's names and layouts, in the wanted dtype).

    batches: (steps, B) example numbers; masks: (steps) lists of hidden-layer keep masks (B, H), or
    None. Returns the final weights and {name: (steps, values)} at the evaluation steps: 0, every
    eval_every, the end; early stopping ends both.
    """
    run = run.resolved()
    net = PlainNet(weights, run.model.activation)
    x, y = split_tensors(data, "train", net.output.weight.dtype)
    mover = optimizer(run, net)
    base = [group["lr"] for group in mover.param_groups]
    seen: dict[str, list[tuple[int, float]]] = {}
    best, stale, every = math.inf, 0, run.train.eval_every or 1
    net.train()
    for step in range(run.train.steps + 1):
        if step % every == 0 or step == run.train.steps:
            now = reference_losses(run, data, net)
            for name, number in now.items():
                seen.setdefault(name, []).append((step, number))
            stale = 0 if now["nll/val"] < best else stale + 1
            best = min(best, now["nll/val"])
            if run.train.early_stopping is not None and stale >= run.train.early_stopping:
                break
        if step == run.train.steps:
            break
        for group, lr in zip(mover.param_groups, base, strict=True):
            group["lr"] = lr * lr_factor(run, step)
        rows = torch.as_tensor(batches[step])
        mover.zero_grad()
        objective(run, net, x[rows], y[rows], None if masks is None else masks[step]).backward()
        with torch.no_grad():
            if run.reg.name == "weight_decay":
                rates = {id(p): g["lr"] for g in mover.param_groups for p in g["params"]}
                for w in reached(run, net).values():
                    w.mul_(1 - rates[id(w)] * run.reg.strength)
            mover.step()
            if run.reg.name == "max_norm" and run.reg.strength > 0:
                for linear in [*net.hidden, net.output]:  # rows of (O, I): one output unit each
                    norm = linear.weight.norm(dim=1, keepdim=True)
                    linear.weight.mul_(torch.clamp(run.reg.strength / norm, max=1.0))
    series = {
        name: (np.array([s for s, _ in points]), np.array([v for _, v in points]))
        for name, points in seen.items()
    }
    return net.saved(), series
