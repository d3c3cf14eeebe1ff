"""Run-steps per second of the stacked engine on the lecture network, beside the lecture's loop.

Both run in this process on one thread, in turn, many times over; the figure to quote is the median
of the ratios. Also the six matrix products of a step alone, as the ceiling of this machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from benchmarks.lecture_loop import LectureLoop
from harness.config.groups import Data, Train
from harness.config.run import RunConfig
from harness.data.dataset import load_data
from harness.engine.chunk import Chunk
from harness.engine.device import one_thread

ROUNDS, SIZES = 25, (1, 8, 16, 32)


def main() -> None:
    """Print one table."""
    data = load_data(Data(name="surnames", fraction=0.3))  # some 180,000 examples, as the lecture's
    x, y = torch.from_numpy(data.train.x), torch.from_numpy(data.train.y)
    with one_thread():
        loop = LectureLoop(x, y)
        chunks = {K: Chunk(_runs(K), data) for K in SIZES}
        products = {K: _products(K) for K in SIZES}
        loop.run(200)
        for chunk in chunks.values():
            _advance(chunk, 40)
        rates: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            peer = _rate(lambda: loop.run(200), 200)
            rates.setdefault("lecture loop", []).append(peer)
            for K, chunk in chunks.items():
                rates.setdefault(f"engine {K}", []).append(
                    _rate(lambda chunk=chunk: _advance(chunk, 40), 40 * K)
                )
                rates.setdefault(f"products {K}", []).append(
                    _rate(lambda K=K: [products[K]() for _ in range(20)], 20 * K)
                )
    peers = rates["lecture loop"]
    print(f"{'':24}{'run-steps/s':>12}{'x the loop':>12}{'min':>8}{'max':>8}   medians of {ROUNDS}")
    for name, found in rates.items():
        ratio = sorted(a / b for a, b in zip(found, peers, strict=True))
        label = name.replace("engine", "engine, stacked").replace("products", "products alone,")
        print(
            f"{label:24}{statistics.median(found):12,.0f}{statistics.median(ratio):12.2f}"
            f"{ratio[0]:8.2f}{ratio[-1]:8.2f}"
        )


def _runs(K: int) -> list[RunConfig]:
    data = Data(name="surnames", fraction=0.3)
    return [RunConfig(data=data, seed=k % 4, train=Train(steps=10**6)) for k in range(K)]


def _advance(chunk: Chunk, steps: int) -> None:
    chunk.backend.train(chunk.step, chunk.step + steps, range(chunk.K))
    chunk.step += steps


def _products(K: int) -> Callable[[], None]:
    """The matrix products of one step at the engine's own padded sizes, and nothing else."""
    x, h, z = torch.randn(K, 32, 32), torch.randn(K, 32, 200), torch.randn(K, 32, 32)
    w1, w2 = torch.randn(K, 32, 200), torch.randn(K, 200, 32)
    a, b, c, d = torch.empty_like(h), torch.empty_like(z), torch.empty_like(h), torch.empty_like(x)
    g1, g2 = torch.zeros_like(w1), torch.zeros_like(w2)

    def step() -> None:
        torch.bmm(x, w1, out=a)
        torch.bmm(h, w2, out=b)
        torch.bmm(z, w2.transpose(1, 2), out=c)
        torch.bmm(h, w1.transpose(1, 2), out=d)
        torch.bmm(h.transpose(1, 2), z, out=g2)
        torch.bmm(x.transpose(1, 2), h, out=g1)

    return step


def _rate(call: Callable[[], object], steps: int) -> float:
    start = time.perf_counter()
    call()
    return steps / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
