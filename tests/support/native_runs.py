"""Runs of awkward sizes through the kernels, built with flags of one's own.

As a program it trains them all and says "clean": under a sanitizer, any fault ends it before that.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product

import pytest
import torch

from harness import Data, Init, Loss, Model, Optim, Reg, RunConfig, Train, load_data
from harness.components.activations import ACTIVATIONS
from harness.components.losses import LOSSES
from harness.config.run import Engine
from harness.engine.chunk import Chunk
from harness.engine.native import bindings, build, runs
from harness.engine.native.backend import Native

WORDS, POINTS = Data(fraction=0.01), Data(name="moons", words=60)
PARTS = [  # hidden, batch, n_embd, activation, optimizer, regularizer, batch norm, dtype
    ((1,), 1, 1, "tanh", "sgd", "none", False, "float32"),
    ((17, 33), 17, 3, "relu", "momentum", "dropout", True, "float32"),
    ((15,), 16, 10, "gelu", "adam", "l1", False, "float64"),
    ((), 31, 5, "linear", "adamw", "weight_decay", False, "float32"),
    ((2, 65, 7), 33, 16, "tanh", "sgd", "max_norm", True, "float64"),
]


def native_losses(kind: str) -> list[str]:
    """Losses of a kind of data that have a kernel."""
    return [n for n in LOSSES if LOSSES.get(n).kind == kind and LOSSES.get(n).kernel is not None]


def awkward(steps: int = 5) -> Iterator[list[RunConfig]]:
    """Chunks whose sizes leave tails in every loop, over all losses that have a kernel."""
    for part, data in product(PARTS, (WORDS, POINTS)):
        hidden, batch, embed, activation, optimizer, reg, norm, dtype = part
        kind = "classes" if data is WORDS else "binary"
        yield [
            RunConfig(
                data=data, loss=Loss(name=loss), seed=3, init=Init(bias="normal"),
                model=Model(hidden=hidden, n_embd=embed, activation=activation,
                            batch_norm=norm and bool(hidden) and batch > 1),
                reg=Reg(name=reg, strength=0.0 if reg == "none" else 0.2),
                optim=Optim(name=optimizer, lr=0.01, momentum=0.9 * (optimizer == "momentum")),
                train=Train(steps=steps, batch_size=batch, eval_every=3),
                engine=Engine(dtype=dtype, kernel="native"),
            )
            for loss in native_losses(kind)
        ]  # fmt: skip


def built_with(patch: pytest.MonkeyPatch, *flags: str) -> None:
    """Chunks that begin from now on use kernels that are compiled with these flags too."""
    patch.setattr(runs, "kernels", lambda dtype: bindings.kernels(dtype, flags))


def poisoned(kind: str, value: float) -> Iterator[tuple[Native, RunConfig]]:
    """Chunks of every loss, for each activation, with one weight of each run set to `value`."""
    data = WORDS if kind == "classes" else POINTS
    for activation in ACTIVATIONS:
        configs = [
            RunConfig(
                data=data, loss=Loss(name=loss), train=Train(steps=4, batch_size=5),
                model=Model(hidden=(9,), n_embd=3, activation=activation),
            ).resolved()
            for loss in native_losses(kind)
        ]  # fmt: skip
        chunk = Native(configs, load_data(data))
        chunk.parameters["hidden.0.weight"][:, 1, 4] = value
        yield chunk, configs[0]


def main() -> None:
    """Train all of that with the flags on the command line."""
    with pytest.MonkeyPatch.context() as patch:
        built_with(patch, *sys.argv[1:])
        patch.setattr(build, "SECONDS", 900)  # sanitizers make compiling many times longer
        torch.set_num_threads(1)
        for chunk in awkward():
            Chunk(chunk, load_data(chunk[0].data)).run()
        for kind, value in product(("classes", "binary"), (float("inf"), float("nan"), 1e38)):
            for native, _ in poisoned(kind, value):
                native.train(0, 3, range(native.K))
                native.evaluations(("train", "val")).evaluate(range(native.K))
    print("clean")


if __name__ == "__main__":
    main()
