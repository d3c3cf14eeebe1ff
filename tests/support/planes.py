"""Made-up runs on points in the plane: drawn weights, nothing trained."""

import numpy as np
import torch

from harness.config.groups import Data, Init, Loss, Model
from harness.config.run import RunConfig
from harness.data.dataset import load_data
from tests.support.made import made_record

MOONS = Data(name="moons", words=60)


def net_record(hidden=(5,), seed=0, **more):
    """A run on moons with weights drawn by numpy."""
    config = RunConfig(
        data=MOONS, model=Model(hidden=hidden, activation="relu"), loss=Loss(name="max_margin"),
        init=Init(weight_scale=2.0), seed=seed,
    )  # fmt: skip
    widths, rng, weights = [2, *hidden, 1], np.random.default_rng(seed), {}
    names = [f"hidden.{i}" for i in range(len(hidden))] + ["output"]
    for i, name in enumerate(names):
        weights[f"{name}.weight"] = torch.from_numpy(rng.normal(size=(widths[i], widths[i + 1])))
        weights[f"{name}.bias"] = torch.from_numpy(rng.normal(size=widths[i + 1]) / 4)
    data = load_data(MOONS)
    given = {
        "config": config, "run_id": config.run_id(data.sha256), "symbols": (),
        "config_id": config.config_id(data.sha256), "weights": weights,
        "provenance": {"data_sha256": data.sha256},
    }  # fmt: skip
    return made_record(**(given | more))


def by_hand(record, points):
    """The logit at each point, in numpy."""
    h, w = points, {name: tensor.numpy() for name, tensor in record.weights.items()}
    for i in range(len(record.config.model.hidden)):
        h = np.maximum(h @ w[f"hidden.{i}.weight"] + w[f"hidden.{i}.bias"], 0)
    return (h @ w["output.weight"] + w["output.bias"])[:, 0]
