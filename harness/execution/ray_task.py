"""A chunk as a Ray task: what runs on a node. Loads torch only once the task knows its device.

Where the node sees the ledger's folder, records and checkpoints are written there. Where it does
not, records are sent to the driver, and a chunk that is lost begins anew.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.records.record import RunRecord

Said = dict[str, Any]
Batch = tuple[str, list[bytes]]  # JSON of a list of events; the bytes that their "blob" counts

SAVE_SECONDS = 4.0  # for a chunk to save in, once it is asked to stop


def train_chunk(text: str) -> Iterator[Batch]:
    """Train a chunk and yield what is said of it; text: JSON of node.order with a few more.

    Ray raises KeyboardInterrupt here when the driver cancels the task: it then saves and ends.
    """
    order = json.loads(text)
    if order["device"] != "cuda":  # `auto` means what it means to the driver
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    heard: queue.SimpleQueue[Said | None] = queue.SimpleQueue()
    stop = threading.Event()
    thread = threading.Thread(target=_work, args=(order, heard.put, stop), daemon=True)
    thread.start()
    try:
        yield from _batches(heard, order["speak_seconds"])
    except KeyboardInterrupt:
        stop.set()
        thread.join(SAVE_SECONDS)


def _batches(heard: queue.SimpleQueue[Said | None], seconds: float) -> Iterator[Batch]:
    """What was said, every so many seconds, until None is heard."""
    over = False
    while not over:
        until, events = time.monotonic() + seconds, list[Said]()
        while not over and (left := until - time.monotonic()) > 0:
            try:
                said = heard.get(timeout=min(left, 0.1))  # short: an interrupt comes in between
            except queue.Empty:
                continue
            over = said is None
            if said is not None:
                events.append(said)
        if events:
            yield _batch(events)


def _batch(events: list[Said]) -> Batch:
    """Events with their bytes apart; of the progress of runs trained together, the last alone."""
    latest = {said["run_ids"][0]: said for said in events if said["kind"] == "progress"}
    kept = [s for s in events if s["kind"] != "progress" or latest[s["run_ids"][0]] is s]
    blobs: list[bytes] = []
    for said in kept:
        if "blob" in said:
            blobs.append(said["blob"])
            said["blob"] = len(blobs) - 1
    return json.dumps(kept), blobs


def _work(
    order: Mapping[str, Any], emit: Callable[[Said | None], None], stop: threading.Event
) -> None:
    from harness.errors import HarnessError
    from harness.records.durable import LedgerError

    try:
        _serve(order, emit, stop)
    except LedgerError as error:
        emit({"kind": "broken", "message": str(error)})
    except HarnessError as error:
        emit({"kind": "broken", "ledger": False, "message": str(error)})
    except Exception as error:  # noqa: BLE001  a defect of ours: no other node would fare better
        message = f"a Ray task ended in {type(error).__name__}: {error}"
        emit({"kind": "broken", "ledger": False, "message": message})
    finally:
        emit(None)


def _serve(order: Mapping[str, Any], emit: Callable[[Said], None], stop: threading.Event) -> None:
    from harness.execution import node, process
    from harness.records.ledger import Ledger

    shared = sees(Path(order["ledger"]), order["probe"])
    emit(node.about(order["device"]) | {"shared": shared, "node": _node_id()})
    runs = node.runs_of(order)
    process.serve(
        list(runs.values()),
        process.Work(
            ledger=Ledger(order["ledger"]) if shared else Sent(emit),
            emit=lambda said: emit(dict(said)), stopping=stop.is_set, replace=order["replace"],
            weights=order["weights"],
            checkpoint_seconds=order["checkpoint_seconds"], live=order["live"],
        ),
        process.read_rung(order["rung"]),
    )  # fmt: skip


def _node_id() -> str:
    import ray

    identity: str = ray.get_runtime_context().get_node_id()
    return identity


def sees(root: Path, probe: str) -> bool:
    """Whether this folder is the driver's: the probe it left is there, and files can be made."""
    try:
        if not (root / "tmp" / probe).is_file():
            return False
        mine = root / "tmp" / f"{probe}.{os.getpid()}"
        mine.touch()
        mine.unlink()
    except OSError:
        return False
    return True


class Sent:
    """In place of a ledger that a node does not see: records are sent, checkpoints are not kept."""

    def __init__(self, emit: Callable[[Said], None]) -> None:
        self.emit = emit

    def finished(self, run_ids: Iterable[str], *, verify: bool = False) -> set[str]:
        """None: the driver hands out what has no record."""
        del run_ids, verify
        return set()

    def load_checkpoint(self, run_id: str) -> None:
        """There is none."""
        del run_id

    def save_checkpoint(self, run_id: str, state: Mapping[str, Any]) -> None:
        """None is kept."""
        del run_id, state

    def write_many(
        self, records: Sequence[RunRecord], *, replace: bool = False, weights: bool = True
    ) -> set[str]:
        """Send finished records on their way; the driver knows what of them it keeps."""
        del replace, weights
        self.emit({"kind": "records", "blob": pack(records)})
        return {record.run_id for record in records}

    def write_failure(self, run_id: str, message: str, traceback: str = "") -> None:
        """The event that follows says it all."""
        del run_id, message, traceback


def pack(records: Sequence[RunRecord]) -> bytes:
    """Records as bytes: a line of JSON with the lengths of what follows, curves, then weights."""
    from harness.records.curves import pack_curves
    from harness.records.record import weights_bytes

    heads, parts = [], []
    for record in records:
        own = [pack_curves(record.series), weights_bytes(record.weights)]
        heads.append({"record": record.to_plain(), "bytes": [len(part) for part in own]})
        parts += own
    return json.dumps(heads).encode() + b"\n" + b"".join(parts)


def unpack(content: bytes) -> list[RunRecord]:
    """The records of `pack`."""
    from harness.records.curves import unpack_curves
    from harness.records.record import RunRecord, read_weights

    line, _, rest = content.partition(b"\n")
    records, at = [], 0
    for head in json.loads(line):
        curves, weights = head["bytes"]
        middle, end = at + curves, at + curves + weights
        series, tensors = unpack_curves(rest[at:middle]), read_weights(rest[middle:end])
        records.append(RunRecord.from_plain(head["record"], series, tensors))
        at = end
    return records
