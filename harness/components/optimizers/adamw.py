"""AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101): Adam's step.

What sets it apart is the decay beside the gradient, which here is a regularizer of its own:
`reg=weight_decay`.
"""

import dataclasses

from harness.components.optimizers import adam

SPEC = dataclasses.replace(
    adam.SPEC, summary="Adam's step; its decay is reg=weight_decay, decoupled"
)
