"""An unfinished run's state as one self-checking file: a head line, then safetensors bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.records.durable import DamagedError, digest

if TYPE_CHECKING:
    from collections.abc import Mapping

MAGIC = b"harness-checkpoint 1 "
HEAD = len(MAGIC) + 64 + 1  # the magic words, a sha256 in hex, a line end


def pack(run_id: str, state: Mapping[str, Any]) -> bytes:
    """A state {"step", "tensors", "series", "meta"} as bytes that know their own checksum.

    Numbers survive exactly, those that are not finite too. meta: JSON values.
    """
    import torch
    from safetensors.torch import save

    tensors = {
        f"tensor/{name}": t.detach().cpu().contiguous().clone()
        for name, t in state["tensors"].items()
    }
    for name, (steps, values) in state["series"].items():
        tensors[f"steps/{name}"] = torch.from_numpy(np.asarray(steps, np.int64).copy())
        tensors[f"values/{name}"] = torch.from_numpy(np.asarray(values, np.float64).copy())
    rest = {
        "run_id": run_id,
        "step": state["step"],
        "meta": state["meta"],
        "order": {"tensors": list(state["tensors"]), "series": list(state["series"])},
    }
    body: bytes = save(tensors, metadata={"state": json.dumps(rest)})
    return MAGIC + digest(body).encode() + b"\n" + body


def unpack(run_id: str, content: bytes) -> dict[str, Any]:
    """The state of `pack`; DamagedError if a byte differs or it is another run's."""
    from safetensors.torch import load

    head, body = content[:HEAD], content[HEAD:]
    if head != MAGIC + digest(body).encode() + b"\n":
        raise DamagedError(
            "it is cut short" if len(content) <= HEAD else "its checksum does not match"
        )
    length = int.from_bytes(body[:8], "little")  # safetensors: size of the JSON head, then the head
    rest = json.loads(json.loads(body[8 : 8 + length])["__metadata__"]["state"])
    if rest["run_id"] != run_id:
        raise DamagedError(f"it belongs to run {rest['run_id']}")
    tensors = load(body)
    return {
        "step": rest["step"],
        "tensors": {name: tensors[f"tensor/{name}"] for name in rest["order"]["tensors"]},
        "series": {
            name: (tensors[f"steps/{name}"].tolist(), tensors[f"values/{name}"].tolist())
            for name in rest["order"]["series"]
        },
        "meta": rest["meta"],
    }
