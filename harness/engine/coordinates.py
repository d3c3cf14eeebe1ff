"""The width-and-depth check: do activations keep their size as the network grows?

In the spirit of the coordinate check of the maximal-update parametrization (Yang et al. 2022,
arXiv:2203.03466): the spread of every layer at step 0 and after a few steps, over width and depth.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.config import Model, RunConfig, Train
from harness.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

WIDTHS, DEPTHS = (32, 64, 128, 256, 512), (1, 2, 4)


def check_coordinates(
    run: RunConfig, *, widths: Sequence[int] = WIDTHS, depths: Sequence[int] = DEPTHS,
    steps: int = 10, seeds: Sequence[int] = (0, 1, 2),
) -> pd.DataFrame:  # fmt: skip
    """Train `run` at every width (the first depth) and depth (the middle width) for some steps.

    Returns one row a measurement: width, depth, layer, step (0 or `steps`), std: the standard
    deviation of the layer's activations over one batch. ConfigError on sizes that are no network.
    """
    import pandas as pd

    from harness.engine.training import train

    if not widths or not depths or min(*widths, *depths) < 1 or steps < 1:
        raise ConfigError(
            f"widths {list(widths)}, depths {list(depths)}, steps {steps}; allowed: whole numbers, "
            "1 or more, at least one of each."
        )
    middle = sorted(widths)[len(widths) // 2]
    shapes = dict.fromkeys([(w, depths[0]) for w in widths] + [(middle, d) for d in depths])
    runs = [
        dataclasses.replace(
            run,
            seed=seed,
            model=dataclasses.replace(run.model, hidden=(width,) * depth),
            train=Train(steps=steps + 1, eval_every=steps, batch_size=run.train.batch_size),
        )
        for width, depth in shapes
        for seed in seeds
    ]
    rows = []
    for record in train(runs):
        model: Model = record.config.model
        for name, (at, values) in record.series.items():
            if not name.startswith("act/std/"):
                continue
            for step, value in zip(at.tolist(), values.tolist(), strict=True):
                rows.append(
                    {"width": model.hidden[0], "depth": len(model.hidden), "step": step,
                     "layer": name.removeprefix("act/std/"), "std": value}
                )  # fmt: skip
    return pd.DataFrame(rows, columns=["width", "depth", "layer", "step", "std"])


def growth(table: pd.DataFrame) -> list[str]:
    """Per layer and step, how its spread grows with width: the slope in log-log, 0 being level."""
    import numpy as np

    shallow = table[table["depth"] == table["depth"].min()]
    out = []
    for (step, layer), part in shallow.groupby(["step", "layer"]):
        mean = part.groupby("width")["std"].mean()
        if len(mean) > 1 and (mean > 0).all():
            slope = np.polyfit(np.log(mean.index), np.log(mean.to_numpy()), 1)[0]
            out.append(
                f"step {step:4}  {layer:10} std {mean.iloc[0]:.3g} at width {mean.index[0]}, "
                f"{mean.iloc[-1]:.3g} at {mean.index[-1]}: width^{slope:+.2f}"
            )
    return out
