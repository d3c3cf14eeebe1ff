"""Made-up records for tests of what keeps and shows them; nothing here is trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from harness.config.groups import Init, Train
from harness.config.run import RunConfig
from harness.records.record import RunRecord

SHA = "ab" * 32  # stands for the checksum of some data


def made_config(seed: int = 0, **more: Any) -> RunConfig:
    """A small run."""
    return RunConfig(seed=seed, train=Train(steps=40, eval_every=10), **more)


def made_record(seed: int = 0, *, scale: float = 1.0, **more: Any) -> RunRecord:
    """A finished run whose numbers follow from its seed; nll/val at the end is 2 + seed / 100."""
    config = more.pop("config", None) or made_config(seed, init=Init(weight_scale=scale))
    rng = np.random.default_rng(seed)
    steps = np.arange(0, 50, 10)
    end = 2.0 + seed / 100
    series = {
        name: (steps, np.append(end + 1 + rng.random(4), end))
        for name in ("loss/train", "loss/val", "nll/train", "nll/val")
    }
    series["act/saturated/hidden.0"] = (steps, rng.random(5))
    given: dict[str, Any] = {
        "config": config,
        "run_id": config.run_id(SHA),
        "config_id": config.config_id(SHA),
        "series": series,
        "summary": {"nll/val": end, "nll/train": end, "gap/nll": 0.0, "init/loss_uniform": 3.2958,
                    "best/nll_val": end, "floor/unigram": 2.8},
        "verdict": "fit",
        "weights": {
            "embedding.weight": torch.from_numpy(rng.random((27, 10), np.float32)),
            "hidden.0.weight": torch.from_numpy(rng.random((30, 200), np.float32)),
            "hidden.0.bias": torch.zeros(200),
            "output.weight": torch.from_numpy(rng.random((200, 27), np.float32)),
            "output.bias": torch.zeros(27),
        },
        "symbols": tuple(".abcdefghijklmnopqrstuvwxyz"),
        "warnings": ("start: as expected",),
        "provenance": {"data_sha256": SHA, "version": "0.1.0", "numerics": 1, "device": "cpu",
                       "started": 1.7e9, "seconds": 2.5, "torch": "2.13.0", "platform": "test"},
    }  # fmt: skip
    return RunRecord(**(given | more))


def same_record(a: RunRecord, b: RunRecord) -> bool:
    """Whether two records agree to the last bit."""
    return (
        a.to_plain() == b.to_plain()
        and list(a.series) == list(b.series)
        and all(
            a.series[n][i].tobytes() == b.series[n][i].tobytes() for n in a.series for i in (0, 1)
        )
        and sorted(a.weights) == sorted(b.weights)
        and all(torch.equal(a.weights[n], b.weights[n]) for n in a.weights)
    )


def files(ledger):
    """The ledger's files of records, in order of name."""
    return sorted((ledger.root / "records").glob("*.runs"))


def state():
    """An unfinished run's state, with what is hard to keep exactly."""
    return {
        "step": 120,
        "tensors": {"w": torch.arange(6.0).reshape(2, 3).T, "n": torch.tensor(3)},
        "series": {"nll/val": ([0, 10], [3.25, float("nan")]), "empty": ([], [])},
        "meta": {"summary": {"a": 1e-300}, "diverged": None, "bad": float("inf")},
    }
