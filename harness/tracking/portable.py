"""A trained network in one file that stands by itself: tensors, vocabulary and shape, no code.

A safetensors file of `RunRecord.weights`, whose header also holds one entry, "harness": JSON with
symbols, block_size, activation, module (that class of torch.nn; null: none is it), run_id and the
run's settings. Whoever has the file can rebuild the network, or load the tensors alone with any
safetensors reader.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.components.activations import ACTIVATIONS
from harness.errors import DataError

if TYPE_CHECKING:
    import torch

    from harness.config.run import RunConfig
    from harness.records.record import RunRecord

KEY = "harness"
LENGTH = 8  # a safetensors file begins with its header's length, little-endian


def torch_module(config: RunConfig) -> str | None:
    """The class of torch.nn that is a run's activation; None where there is none, or none known."""
    name = config.model.activation
    module = ACTIVATIONS.get(name).module if name in ACTIVATIONS else None
    return module if isinstance(module, str) else None


def file_of(run_id: str) -> str:
    """Name of a run's weights where artifacts of several runs are in one place."""
    return f"weights-{run_id}.safetensors"


def pack(record: RunRecord) -> bytes:
    """The run's weights and what they mean, as the bytes of a safetensors file."""
    from safetensors.torch import save

    note = {
        "run_id": record.run_id,
        "symbols": list(record.symbols),
        "block_size": record.config.data.block_size,
        "activation": record.config.model.activation,
        "module": torch_module(record.config),
        "config": record.config.nested(),
    }
    tensors = {n: record.weights[n].detach().cpu().contiguous() for n in sorted(record.weights)}
    content: bytes = save(tensors, {KEY: json.dumps(note, ensure_ascii=False)})
    return content


def unpack(content: bytes) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """(weights by name, what they mean) of such a file; DataError for any other."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        weights: dict[str, torch.Tensor] = load(content)
        size = int.from_bytes(content[:LENGTH], "little")
        header = json.loads(content[LENGTH : LENGTH + size])
        note: dict[str, Any] = json.loads(header["__metadata__"][KEY])
    except (SafetensorError, ValueError, KeyError) as error:
        raise DataError(
            "this is not a weights file that harness wrote (safetensors with its vocabulary); "
            "take weights.safetensors from the run's artifacts in MLflow."
        ) from error
    return weights, note
