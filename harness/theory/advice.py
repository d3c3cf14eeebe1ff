"""What the numbers at step 0 mean, in words: the verdict, the best constant start, what to change.

Every threshold of the start stands here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from harness.components.biases import BIASES, BiasLaw
from harness.numerics.logit_law import LogitLaw
from harness.theory.layer_laws import bias_law

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.config.groups import Init, Loss
    from harness.config.run import ResolvedInit
    from harness.theory.overlap import Facts

Z_LIMIT = 4.0  # the most that chance gives; farther off the network is not what the config says
# Each layer adds up to 5 / fan-in to the relative variance of the logits' variance over draws
# (a relu layer exactly that). Beyond NARROW the draws of a net are skewed, and wider than sd says.
NARROW = 0.2
WIDEN = 1.5  # per unit of relative variance beyond NARROW; from simulated draws
GOOD = 1.05  # expected loss up to this multiple of the uniform loss is a good start
WRONG = 1.5  # from this multiple on it is confident and wrong
CLOSE = 1.01  # a recommended start comes this close to the uniform loss
ROUNDING = 3e-6  # relative error of a whole-split float32 loss, added to the spread
PLAIN = "zero"  # the bias recommended beside a smaller output layer, where no better one is known
SATURATED = 0.3  # share of saturated units that is worth a word, where saturation is a fault


@dataclass(frozen=True)
class SmartStart:
    """The lowest loss that constant logits can have, and what the settings can reach of it."""

    loss: float  # lowest over all output biases, in the loss's own units
    bias: str  # that bias, as a formula in the training shares p
    reached: float  # what `overrides` give
    output_bias: str  # the init.output_bias that reaches it, with output weights of 0

    @property
    def overrides(self) -> tuple[str, ...]:
        """The settings that reach it."""
        return "init.output_scale=0", f"init.output_bias={self.output_bias}"


@dataclass(frozen=True)
class InitialLoss:
    """What a config's loss must be at step 0, in the loss's own units.

    uniform: all logits equal. expected: mean over draws of the network; sd: its spread over them.
    All None where no theory is registered for the loss, the last two where float32 would overflow.
    logit_std: root mean square over draws of the logits' random part, fixed biases left out; nan
    where float32 would overflow. layers: (name, preactivation std, activation std), the output
    last, as far as float32 holds them.
    """

    uniform: float | None
    expected: float | None
    sd: float | None
    logit_std: float
    layers: tuple[tuple[str, float, float], ...] = field(repr=False)
    caveats: tuple[str, ...]
    smart_start: SmartStart | None = field(repr=False)
    advice: str = field(repr=False)
    z_limit: float = Z_LIMIT  # an honest draw stays within it; larger for narrow and deep nets
    dead: bool = False  # no weight gets a gradient, at this start or later


def z_limit(fan_ins: Iterable[int]) -> float:
    """How many sd an honest draw may miss the expected loss by, given every layer's fan-in.

    4 for nets such as the lecture's (30 and 200), and wider in proportion to what narrow layers
    add up to: there the loss over draws is skewed, and beyond the plain 4 came up to 4.5 % of
    draws. With it, in simulation, at most 1 % of them for widths from 1 and depths to 30.
    """
    narrowness = sum(5.0 / fan_in for fan_in in fan_ins)
    return Z_LIMIT * (1.0 + WIDEN * max(0.0, narrowness - NARROW))


StartKind = Literal[
    "no finite initial loss", "no expectation", "not what the config says", "a dead start",
    "confident and wrong", "somewhat confident", "as expected",
]  # fmt: skip
BAD: tuple[StartKind, ...] = (  # worst first
    "no finite initial loss", "not what the config says", "a dead start", "confident and wrong",
)  # fmt: skip


@dataclass(frozen=True)
class StartVerdict:
    """What a measured initial loss means.

    z = (measured - expected) / sd, None where the spread is 0 or unknown. words: all of it in one
    sentence, with the advice.
    """

    kind: StartKind
    z: float | None
    advice: str
    words: str

    @property
    def warns(self) -> bool:
        """Whether the start leaves something to be changed."""
        return self.kind != "as expected"


def start_kind(
    measured: float, uniform: float | None, size: float = 0.0, *, limit: float = Z_LIMIT,
    dead: bool = False,
) -> StartKind:  # fmt: skip
    """The kind of a start; size: how many sd it is from the expected loss, limit: how many may be.

    Every threshold of the start is applied here.
    """
    if not math.isfinite(measured):
        return "no finite initial loss"
    if uniform is None:
        return "no expectation"
    if abs(size) > limit:
        return "not what the config says"
    if dead:
        return "a dead start"
    if measured > WRONG * uniform:
        return "confident and wrong"
    return "somewhat confident" if measured > GOOD * uniform else "as expected"


def verdict(measured: float, expectation: InitialLoss) -> StartVerdict:
    """How far a measured initial loss is from the config's, and what that means."""
    e, z, size = expectation, None, 0.0
    if e.expected is not None and e.sd is not None and math.isfinite(measured):
        gap = measured - e.expected
        # a float32 loss has rounding of its own, which a spread near 0 must not blow up
        noise = math.hypot(e.sd, ROUNDING * max(abs(e.expected), abs(measured)))
        size = gap / noise if noise > 0 else 0.0
        z = gap / noise if e.sd > 0 else None
    kind = start_kind(measured, e.uniform, size, limit=e.z_limit, dead=e.dead)
    return StartVerdict(kind, z, e.advice, _words(kind, measured, e, z, size))


def _words(kind: StartKind, measured: float, e: InitialLoss, z: float | None, size: float) -> str:
    if kind == "no finite initial loss":
        return f"{kind}: the logits overflow; {e.advice}"
    if e.uniform is None:
        return e.advice
    times = f"{measured / e.uniform:.{1 if measured > 2 * e.uniform else 2}f} x the uniform loss"
    spread = "" if e.sd is None else f" +- {e.sd:.2g}"
    expected = "" if e.expected is None else f", {e.expected:.4g}{spread} expected"
    if z is not None:
        # between the limits: a number that in an ordinary net would mean a fault
        chance = f"; up to {e.z_limit:.1f} is chance in so narrow or deep a net"
        expected += f" (z = {z:.1f}{chance if abs(size) > Z_LIMIT else ''})"
    if kind == "not what the config says":
        score = f"z = {size:.0f}" if z is not None else "no draw can differ"
        return (
            f"{kind} ({score}): measured {measured:.4g}, expected {e.expected:.4g} +- {e.sd:.2g}; "
            f"{times}. Look for a wrong fan-in, a doubled bias or a layer that is not scaled."
        )
    if kind == "a dead start":
        return (
            f"{kind}: {measured:.4g}, {times}, but with these weights at 0 none of them ever "
            "gets a gradient, and only the output bias learns. Raise init.weight_scale or "
            "init.embed_scale, or name a scheme, such as init.scheme=kaiming; zero output weights "
            "alone (init.output_scale=0) are harmless."
        )
    if kind == "confident and wrong":
        told = f": {measured:.4g}{expected}, {times}" if abs(size) > Z_LIMIT else f": {times}"
        return f"{kind}{told}; {e.advice}"
    if kind == "somewhat confident":
        return f"{kind}: {measured:.4g}{expected}, {times}; {e.advice}"
    word = kind if e.expected is not None else "near the uniform loss"
    praise = "better than no opinion" if measured < 0.98 * e.uniform else "a good start"
    return f"{word}: {measured:.4g}{expected}, {times}, {praise}"


def smart_start(loss: Loss, facts: Facts) -> SmartStart | None:
    """The best constant logits for a loss on these target shares, and what settings reach of them.

    None for a loss that does not know its best constant, or what it expects.
    """
    spec, summed, a = loss.spec, loss.reduction == "sum", loss.label_smoothing
    if spec.best_constant is None or spec.expected is None:
        return None
    p = np.asarray(facts.targets)
    best = spec.best_constant(p, smoothing=a, summed=summed)
    reached = {
        name: float(spec.expected(LogitLaw(0.0, mean), p, smoothing=a, summed=summed))
        for name, mean in _vectors(facts).items()
    }
    name = min(reached, key=reached.__getitem__)
    return SmartStart(best.loss, best.bias, reached[name], name)


def _vectors(facts: Facts) -> dict[str, tuple[float, ...]]:
    """Output biases that are alike in every draw, by the name that sets them; plain ones first."""
    specs = {name: BIASES.get(name) for name in BIASES.built_in()}
    return {
        name: tuple(spec.vector(facts.counted).tolist())
        for name, spec in sorted(specs.items(), key=lambda pair: pair[1].of_symbols)
        if spec.vector is not None and (facts.kind == "classes" or not spec.of_symbols)
    }


def advise(
    init: ResolvedInit, uniform: float, expected: float | None, smart: SmartStart | None,
    saturated: tuple[float, str], start: Callable[[float, str, bool], float | None],
) -> str:  # fmt: skip
    """What to change, with the loss each change gives; start(output_scale, output_bias,
    exact) -> loss.
    """
    tips = []
    if expected is None or expected > GOOD * uniform:
        bias = init.output_bias
        kept = bias if smart and smart.output_bias == bias else PLAIN
        extra = "" if kept == bias else f" init.output_bias={kept}"
        for factor in (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0):
            scale = float(f"{init.output_scale * factor:.3g}")
            loss = start(scale, kept, False)
            if loss is not None and (loss <= CLOSE * uniform or scale == 0):
                loss = start(scale, kept, True)
                change = f"scale the output layer by {factor:g}: init.output_scale={scale:g}{extra}"
                change = change if init.output_scale else extra.strip()  # it is 0 already
                if change:
                    tips.append(f"{change} starts at {loss:.4g} (uniform {uniform:.4g})")
                break
    if smart and smart.reached < 0.99 * min(uniform, expected or math.inf):
        tips.append(f"{' '.join(smart.overrides)} starts at {smart.reached:.4g}")
    share, units = saturated
    if share > SATURATED:
        tips.append(
            f"{share:.0%} of the {units} and hardly learn; {_unsaturated(init)} brings them back"
        )
    return (
        "; or ".join(tips[:2]) + ("; " + tips[2] if len(tips) > 2 else "")
        if tips
        else ("keep it: the start leaves nothing to gain from its scale")
    )


def _unsaturated(init: Init) -> str:
    """The setting to change for preactivations of ordinary size."""
    if not init.spec.scaled:
        return "init.scheme=kaiming"
    if init.weight_scale > 1:
        return "init.weight_scale=1"
    if init.embed_scale > 1:
        return "init.embed_scale=1"
    return (
        f"init.bias={PLAIN}"
        if bias_law(init.bias, init) != BiasLaw()
        else "a smaller init.weight_scale"
    )
