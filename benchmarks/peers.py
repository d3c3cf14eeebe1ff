"""What the engine is measured against: other ways to train the lecture network, and its limits.

Each peer is a class with `name`, `runs` (how many it trains at once) and `advance(steps)`. The
network is the lecture's: 3 symbols of 27 in 10 dimensions, 200 tanh units, batches of 32, plain
gradient descent at .1, batches drawn with replacement.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.lecture_loop import LectureLoop
from harness.engine.native.build import compiler

BATCH, LR = 32, 0.1


class Plain:
    """The lecture's loop, as its notebook writes it."""

    name, runs = "the lecture's loop", 1

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.loop = LectureLoop(x, y)

    def advance(self, steps: int) -> None:
        """Train."""
        self.loop.run(steps)


def network() -> nn.Module:
    """The lecture network as modules."""
    return nn.Sequential(
        nn.Embedding(27, 10), nn.Flatten(), nn.Linear(30, 200), nn.Tanh(), nn.Linear(200, 27)
    )


class Modules:
    """nn.Module and torch.optim.SGD, as most people write it; compiled: through torch.compile."""

    runs = 1

    def __init__(self, x: Tensor, y: Tensor, *, compiled: bool = False) -> None:
        self.name = "torch.compile of it" if compiled else "nn.Module, torch.optim.SGD"
        self.x, self.y, self.net = x, y, network()
        self.call: Callable[[Tensor], Tensor] = torch.compile(self.net) if compiled else self.net
        self.sgd = torch.optim.SGD(self.net.parameters(), lr=LR)

    def advance(self, steps: int) -> None:
        """Train."""
        with torch.enable_grad():
            for _ in range(steps):
                ix = torch.randint(0, len(self.x), (BATCH,))
                self.sgd.zero_grad()
                cross_entropy(self.call(self.x[ix]), self.y[ix]).backward()  # type: ignore[no-untyped-call]
                self.sgd.step()


class Vmap:
    """torch.func: K stacked parameter sets, vmap over the gradient of a functional call."""

    def __init__(self, x: Tensor, y: Tensor, K: int) -> None:
        from torch.func import functional_call, grad, stack_module_state, vmap

        self.name, self.runs = "torch.func.vmap", K
        self.x, self.y, net = x, y, network()
        self.parameters, _ = stack_module_state([network() for _ in range(K)])

        def loss(parameters: dict[str, Tensor], xb: Tensor, yb: Tensor) -> Tensor:
            out: Tensor = cross_entropy(functional_call(net, parameters, (xb,)), yb)
            return out

        self.gradient = vmap(grad(loss))

    def advance(self, steps: int) -> None:
        """Train."""
        for _ in range(steps):
            ix = torch.randint(0, len(self.x), (self.runs, BATCH))
            slopes = self.gradient(self.parameters, self.x[ix], self.y[ix])
            with torch.no_grad():
                for name, p in self.parameters.items():
                    p -= LR * slopes[name]


class Jax:
    """JAX: jit(vmap(scan)), 100 steps a call, on one thread as the others. ImportError without."""

    INNER = 100

    def __init__(self, x: Tensor, y: Tensor, K: int) -> None:
        import jax  # type: ignore[import-not-found]
        import jax.numpy as jnp  # type: ignore[import-not-found]

        self.name, self.runs = f"JAX {jax.__version__}, jit(vmap(scan))", K
        xs, ys = jnp.asarray(x.numpy(), jnp.int32), jnp.asarray(y.numpy(), jnp.int32)
        inner = self.INNER

        def loss(p: dict[str, Any], xb: Any, yb: Any) -> Any:
            # products with one-hot rows: XLA's scatter on a CPU takes a hundred times as long
            e = jax.nn.one_hot(xb, 27).reshape(-1, 27) @ p["c"]
            h = jnp.tanh(e.reshape(BATCH, -1) @ p["w1"] + p["b1"])
            z = jax.nn.log_softmax(h @ p["w2"] + p["b2"])
            return -(z * jax.nn.one_hot(yb, 27)).sum(-1).mean()

        def step(p: dict[str, Any], key: Any) -> tuple[dict[str, Any], None]:
            ix = jax.random.randint(key, (BATCH,), 0, len(ys))
            slopes = jax.grad(loss)(p, xs[ix], ys[ix])
            return {name: p[name] - LR * slopes[name] for name in p}, None

        def stretch(p: dict[str, Any], key: Any) -> dict[str, Any]:
            out: dict[str, Any] = jax.lax.scan(step, p, jax.random.split(key, inner))[0]
            return out

        sizes = {"c": (27, 10), "w1": (30, 200), "b1": (200,), "w2": (200, 27), "b2": (27,)}
        keys = jax.random.split(jax.random.key(0), len(sizes))
        self.p = {
            name: 0.1 * jax.random.normal(key, (K, *size))
            for key, (name, size) in zip(keys, sizes.items(), strict=True)
        }
        self.call, self.key, self.jax = jax.jit(jax.vmap(stretch)), jax.random.key(1), jax

    def advance(self, steps: int) -> None:
        """Train, in whole stretches."""
        for _ in range(-(-steps // self.INNER)):
            self.key, own = self.jax.random.split(self.key)
            self.p = self.call(self.p, self.jax.random.split(own, self.runs))
        self.jax.block_until_ready(self.p)


def products(K: int, sizes: list[tuple[int, int]], batch: int = BATCH) -> Callable[[], None]:
    """The products of one step alone, by torch.bmm into memory that is there: a layer's output,
    the gradient of its input and that of its weights. sizes: (inputs, outputs) a layer.
    """
    calls: list[tuple[Tensor, Tensor, Tensor]] = []
    for inputs, outputs in sizes:
        x, z, w = (
            torch.randn(K, *s) for s in ((batch, inputs), (batch, outputs), (inputs, outputs))
        )
        calls += [
            (x, w, torch.empty_like(z)),
            (z, w.transpose(1, 2), torch.empty_like(x)),
            (x.transpose(1, 2), z, torch.empty_like(w)),
        ]

    def step() -> None:
        for a, b, out in calls:
            torch.bmm(a, b, out=out)

    return step


FMA = """
#include <cstdint>
typedef float V __attribute__((vector_size(64)));
extern "C" float limit(int64_t n) {
    V a[12], x = {}, y = {};
    for (int i = 0; i < 16; i++) { x[i] = 1.0f + i * 1e-7f; y[i] = 1e-9f * i; }
    for (int j = 0; j < 12; j++) a[j] = x * float(j + 1);
    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < 12; j++) a[j] = a[j] * x + y;
    V sum = {};
    for (int j = 0; j < 12; j++) sum += a[j];
    float out = 0;
    for (int i = 0; i < 16; i++) out += sum[i];
    return out;
}
"""


def fused_multiply_adds() -> Callable[[int], float]:
    """limit(n): 12 independent chains of n multiply-adds on 16 numbers each, in registers.

    2 * 12 * 16 * n operations: what the core can do at all.
    """
    folder = Path(tempfile.mkdtemp())
    source, made = folder / "fma.cpp", folder / "fma.so"
    source.write_text(FMA)
    flags = ["-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC"]
    subprocess.run([compiler()[0], *flags, str(source), "-o", str(made)], check=True)
    limit = ctypes.CDLL(str(made)).limit
    limit.argtypes, limit.restype = [ctypes.c_int64], ctypes.c_float
    found: Callable[[int], float] = limit
    return found


def singles(x: Tensor, y: Tensor) -> Iterator[Any]:
    """The peers that train one run at a time, those that can be had."""
    yield Plain(x, y)
    yield Modules(x, y)
    try:
        compiled = Modules(x, y, compiled=True)
        compiled.advance(2)
    except Exception as error:  # noqa: BLE001  no compiler, no support for this Python: said, and left out
        print(f"left out, torch.compile: {type(error).__name__}")
    else:
        yield compiled


def stacked(x: Tensor, y: Tensor, K: int) -> Iterator[Any]:
    """The peers that train K runs at once, those that can be had."""
    yield Vmap(x, y, K)
    try:
        yield Jax(x, y, K)
    except ImportError:
        print("left out, JAX: pip install 'harness[bench]'")
