"""The files of one record's folder: what they hold, and that every byte is as it was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.records import durable
from harness.records.durable import DamagedError, LedgerError
from harness.records.record import RunRecord, curves_parquet, weights_bytes
from harness.records.saved import config_yaml

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
HEAD, CURVES, WEIGHTS = "record.json", "curves.parquet", "weights.safetensors"


def pack_record(record: RunRecord) -> dict[str, bytes]:
    """File name -> content. record.json is sealed and holds the sha256 of curves and weights.

    config.yaml is a copy for people: the settings that count stand in record.json.
    """
    files = {CURVES: curves_parquet(record.series)}
    if record.weights:
        files[WEIGHTS] = weights_bytes(record.weights)
    sums = {n: {"sha256": durable.digest(b), "bytes": len(b)} for n, b in files.items()}
    head = {"format": FORMAT, "files": sums, "dropped": [], "record": record.to_plain()}
    copy = {"config.yaml": config_yaml(record.config, record.provenance).encode()}
    return copy | files | {HEAD: durable.seal(head)}


def read_head(home: Path) -> dict[str, Any]:
    """What record.json holds, verified and of this run; DamagedError otherwise."""
    try:
        head = durable.unseal((home / HEAD).read_bytes())
    except FileNotFoundError:
        raise DamagedError(f"{HEAD} is missing") from None
    except DamagedError as reason:
        raise DamagedError(f"{HEAD}: {reason}") from None
    if head["format"] > FORMAT:
        raise LedgerError(f"{home} was written by a newer version of harness; update this one.")
    if head["record"]["run_id"] != home.name:
        raise DamagedError(f"it holds run {head['record']['run_id']}")
    return head


def read_files(home: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What record.json holds, and its files' bytes, all verified; DamagedError names the file."""
    head, files = read_head(home), {}
    for name, entry in head["files"].items():
        if name in head["dropped"]:
            continue
        try:
            files[name] = (home / name).read_bytes()
        except FileNotFoundError:
            raise DamagedError(f"{name} is missing") from None
        if durable.digest(files[name]) != entry["sha256"]:
            raise DamagedError(f"{name}: its checksum does not match")
    return head, files
