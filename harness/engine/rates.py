"""How the learning rates of single layers follow the width of hidden layers.

muP, the maximal update parametrization (Yang et al. 2022, arXiv:2203.03466, table 3): rates are
chosen once, at a base width, and each parameter's is scaled so that wider networks change what
their layers put out by as much. The other half of it is the start: output weights of a standard
deviation of 1/width, which is `init.output_scale` times (base width / width)^(1/2) under kaiming.
"""

from __future__ import annotations

from harness.config.run import ResolvedRun

OUTPUT = "output."


def rate_factor(run: ResolvedRun, name: str) -> float:
    """Multiple of the learning rate that a parameter gets, of the names of `RunRecord.weights`.

    1 without `optim.scaling`, at the base width, for the embedding and for the output's bias, which
    do not grow with the width. Otherwise, with n and m the widths before and after the layer over
    the base width: the output's weights 1/n. A step that goes with the size of the gradient: hidden
    biases, batch norm and the first layer's weights m, other hidden weights m/n. An optimizer whose
    step does not (OptimizerSpec.adaptive): hidden weights 1/n, all others 1.
    """
    widths, base = run.model.hidden, run.optim.base_width
    if run.optim.scaling == "none" or not widths or name == "embedding.weight":
        return 1.0
    if name.startswith(OUTPUT):
        return base / widths[-1] if name.endswith(".weight") else 1.0
    place, adaptive = int(name.split(".")[1]), run.optim.spec.adaptive
    if place == 0 or not name.endswith(".weight"):  # of a fixed number of inputs, or a vector
        return 1.0 if adaptive else widths[place] / base
    if adaptive:
        return base / widths[place - 1]
    return widths[place] / widths[place - 1]
