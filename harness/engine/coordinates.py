"""The width-and-depth check: do activations keep their size as the network grows?

In the spirit of the coordinate check of the maximal-update parametrization (Yang et al. 2022,
arXiv:2203.03466): the spread of every layer at step 0 and after a few steps, over width and depth.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.config.groups import Model, Train
from harness.config.run import RunConfig
from harness.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

WIDTHS, DEPTHS = (32, 64, 128, 256, 512), (1, 2, 4)
LEVEL = 0.1  # a slope over width that small is none


def check_coordinates(
    run: RunConfig, *, widths: Sequence[int] = WIDTHS, depths: Sequence[int] = DEPTHS,
    steps: int = 10, seeds: Sequence[int] = (0, 1, 2),
) -> pd.DataFrame:  # fmt: skip
    """Train `run` at every width (the first depth) and depth (the middle width) for some steps.

    Returns one row a measurement: width, depth, layer, step (0 or `steps`), std: the standard
    deviation of the layer's activations over one batch. ConfigError on sizes that are no network.
    """
    import pandas as pd

    from harness.engine.train import train

    for name, given in (("widths", widths), ("depths", depths), ("steps", (steps,))):
        if min(given, default=0) < 1:
            raise ConfigError(
                f"{name} are {', '.join(map(str, given)) or 'none'}; allowed: whole numbers, 1 or "
                "more."
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
    """In words: how each layer's spread grows with width, what depth does, and whether it is level.

    Over width, the slope in log-log: 0 is level. Over depth, the hidden layers of the deepest net.
    """
    import numpy as np

    out, steep = [], []
    shallow = table[table["depth"] == table["depth"].min()]
    for (step, layer), part in shallow.groupby(["step", "layer"]):
        mean = part.groupby("width")["std"].mean()
        if len(mean) > 1 and (mean > 0).all():
            slope = np.polyfit(np.log(mean.index), np.log(mean.to_numpy()), 1)[0]
            out.append(
                f"step {step:4}  {layer:10} std {mean.iloc[0]:.3g} at width {mean.index[0]}, "
                f"{mean.iloc[-1]:.3g} at {mean.index[-1]}: width^{slope:+.2f}"
            )
            steep += [f"{layer} at step {step}"] if abs(slope) > LEVEL else []
    if out:
        told = "; not level: " + ", ".join(steep) if steep else ": every layer keeps its size"
        out.append(f"over width, std ~ width^slope, level within +-{LEVEL:g}{told}")
    deepest = table["depth"].max()
    deep = table[(table["depth"] == deepest) & table["layer"].str.startswith("hidden")]
    if deepest > 1:
        for step, part in deep.groupby("step"):
            by_layer = part.groupby("layer")["std"].mean()
            stds = ", ".join(f"{by_layer[f'hidden.{i}']:.3g}" for i in range(deepest))
            out.append(f"step {step:4}  {deepest} hidden layers of {part['width'].iloc[0]}: {stds}")
    return out or ["one width and one depth: nothing to compare; name several with commas."]
