"""Time and size of a report: the main grid's shape at 500 and at 10,000 runs, tables made up.

python -m benchmarks.bench_report [RUNS ...]
"""

from __future__ import annotations

import sys
import time

from tests.support.synthetic_sweep import synthetic_table

AXES = {
    "loss.name": ("cross_entropy", "nll", "mse", "bce", "hinge"),
    "init.weight_scale": (0.1, 0.3, 1.0, 3.0),
    "init.bias": ("zero", "normal"),
    "reg.strength": (0.0, 3.0, 30.0),
}  # fmt: skip  120 configurations


def main() -> None:
    """Print runs, seconds to import, to read the curves, to build, and the page's megabytes."""
    began = time.perf_counter()
    from harness.render import report

    print(f"import {time.perf_counter() - began:.1f} s")
    for runs in [int(word) for word in sys.argv[1:]] or [500, 10_000]:
        table = synthetic_table({**AXES, "seed": tuple(range(-(-runs // 120)))})
        points = len(table.curves)
        began = time.perf_counter()
        page = report.build(table)
        seconds, size = time.perf_counter() - began, len(page.encode()) / 1e6
        print(f"{len(table.runs):6} runs, {points} points: {seconds:5.1f} s, {size:.2f} MB")


if __name__ == "__main__":
    main()
