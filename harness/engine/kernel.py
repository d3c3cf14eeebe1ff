"""Which form of the engine trains a run: the native kernels or torch; see docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.components.activations import ACTIVATIONS
from harness.components.losses import LOSSES
from harness.components.optimizers import OPTIMIZERS
from harness.components.penalties import PENALTIES
from harness.components.registry import Registry
from harness.config.run import RunConfig
from harness.engine.device import device_of
from harness.engine.native.build import NoKernelError, identity
from harness.errors import ConfigError
from harness.system import same_bits


def code(registry: Registry[Any], name: str) -> int | None:
    """The number of a component in the kernels; None where it has none, as every plug-in."""
    number: int | None = registry.get(name).kernel if name in registry.built_in() else None
    return number


def loss_code(run: RunConfig) -> int | None:
    """The number of a run's loss in the kernels; None: torch gives its gradient."""
    return code(LOSSES, run.loss.name)


def lacks(run: RunConfig) -> str:
    """Why the kernels cannot train a run, as far as its settings say; "" where they can."""
    if device_of(run) != "cpu":
        return "they are for the CPU"
    reg = run.reg.spec
    simple = reg.stage == "none" or (reg.stage in ("gradient", "decoupled") and reg.shrink)
    parts = (
        (f"model.activation={run.model.activation}", code(ACTIVATIONS, run.model.activation)),
        (f"optim.name={run.optim.name}", code(OPTIMIZERS, run.optim.name)),
        (f"reg.name={run.reg.name}", 0 if simple else code(PENALTIES, run.reg.name)),
    )
    missing = [name for name, number in parts if number is None]
    return f"{', '.join(missing)} has no kernel" if missing else ""


def kernel_of(run: RunConfig) -> str:
    """The form that trains a run, "native" or "torch"; ConfigError where it cannot be had."""
    asked, why = run.engine.kernel, lacks(run)
    if asked == "torch":
        return "torch"
    if not why:
        why = unavailable(run.engine.dtype)
    if why and asked == "native":
        raise ConfigError(
            f"engine.kernel is 'native', and the kernels cannot train this run: {why}. "
            "Allowed: auto, which then takes torch, or torch."
        )
    return "torch" if why else "native"


def unavailable(dtype: str = "float32") -> str:
    """Why the kernels cannot be had on this machine; "" where they can, built by now."""
    from harness.engine.native.bindings import kernels

    try:
        kernels(dtype)
    except NoKernelError as error:
        return str(error).rstrip(".")
    return ""


def bits_of(run: RunConfig) -> dict[str, str]:
    """What decides the last bit of a run's numbers here: system.same_bits, and the kernels."""
    native = kernel_of(run) == "native"
    return {**same_bits(device_of(run)), "kernel": f"native {identity()}" if native else "torch"}


def without_kernels(runs: Iterable[RunConfig]) -> str:
    """What to tell the user where torch takes the place of kernels that could be had; else ""."""
    runs = list(runs)
    for run in runs:
        kernel_of(run)  # ConfigError where engine.kernel=native cannot be met
    for run in runs:
        if run.engine.kernel == "auto" and not lacks(run):
            why = unavailable(run.engine.dtype)
            return f"training with torch alone, several times slower: {why}." if why else ""
    return ""
