"""Chunks packed into the jobs of a Slurm array, by submitit; see slurm_job.py for their side.

The jobs outlive the command: the same command finds them again by what it left in the ledger's
folder (jobs/SWEEP/...) and listens on. `cluster=local` and `debug` do the same on this machine.
"""

from __future__ import annotations

import heapq
import json
import math
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import submitit

from harness import system
from harness.config.run import RunConfig
from harness.execution import node
from harness.execution.interface import Ended, Place, Task, Word
from harness.execution.slurm_job import Part
from harness.records import durable

LOOK_SECONDS = {"slurm": 10.0, "local": 0.5, "debug": 0.5}  # between looks whether jobs live
LATE_SECONDS = 15.0  # for a file that a job wrote last to be seen here
END_SECONDS = 5.0  # for a process of this machine that has said its last word
TIMES = 10_000  # a job may pass its time limit: checkpoints carry it on
NOTICE = 90.0  # seconds before the limit at which a job is told, and at most a quarter of it


@dataclass(eq=False)
class _Job:
    """A part under way: whose it is, where its words stand, how far they were read."""

    task: Task
    batch: Path
    number: int
    job_id: str
    read: int = 0
    gone: float | None = None  # since when no job of this id is known
    requeued: bool = False  # its last word was that its time was over

    def new_lines(self) -> list[dict[str, Any]]:
        try:
            with (self.batch / f"{self.number}.words").open("rb") as file:
                file.seek(self.read)
                content = file.read()
        except FileNotFoundError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self.read += len(whole)
        return [json.loads(line) for line in whole.splitlines()]


class SlurmExecutor:
    """At most `engine.slurm.jobs` jobs at a time, each with its share of the chunks."""

    def __init__(self, place: Place) -> None:
        self.place, self.own = place, place.cluster.slurm
        self.home = place.ledger.root / "jobs" / place.name
        if self.own.cluster == "slurm":
            submitit.SlurmExecutor(self.home)  # raises where there is no Slurm
        self.jobs: list[_Job] = []
        self.processes: dict[str, Any] = {}  # job id -> submitit's job, of cluster local
        self.nodes = node.Nodes()
        self.stopping, self.looked = False, 0.0

    @property
    def width(self) -> int:
        """Jobs at once."""
        mine = max(1, self.place.processes // self.own.cores)
        return {"slurm": self.own.jobs, "local": min(self.own.jobs, mine), "debug": 1}[
            self.own.cluster
        ]

    @property
    def cores(self) -> int:
        """Of all jobs together."""
        return self.width * self.own.cores

    def take_up(self, runs: Mapping[str, RunConfig]) -> list[Task]:
        """The parts of living jobs that an earlier command submitted."""
        for batch in sorted(self.home.iterdir()) if self.home.is_dir() else ():
            jobs = [] if self.place.replace else self._living(batch, runs)
            self.jobs += jobs
            if not jobs and not self.place.replace:
                shutil.rmtree(batch, ignore_errors=True)
        if self.jobs:
            ids = ", ".join(job.job_id for job in self.jobs[:5])
            self.place.say(f"{len(self.jobs)} jobs of this sweep are under way ({ids}); going on.")
        return [job.task for job in self.jobs]

    def _living(self, batch: Path, runs: Mapping[str, RunConfig]) -> list[_Job]:
        try:
            left = json.loads((batch / "jobs.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        if left["cluster"] != self.own.cluster or (batch / "stop").exists():
            return []
        alive = self._alive(left["ids"])
        out = []
        for number, job_id in enumerate(left["ids"]):
            order = json.loads((batch / f"{number}.json").read_text(encoding="utf-8"))
            mine = {run_id: runs[run_id] for run_id in order["runs"] if run_id in runs}
            if job_id in alive and mine:
                out.append(_Job(Task(mine), batch, number, job_id))
        return out

    def pack(self, tasks: list[Task]) -> list[Task]:
        """As many parts as there may be jobs, about equally long."""
        width = min(self.width, len(tasks))
        heap = [(0, number) for number in range(width)]
        parts: list[dict[str, RunConfig]] = [{} for _ in range(width)]
        for task in tasks:  # the longest first
            work, number = heapq.heappop(heap)
            parts[number] |= task.runs
            heapq.heappush(heap, (work + task.work, number))
        return [Task(part) for part in parts]

    def free(self) -> int:
        """Slurm has a queue of its own."""
        return 10**9

    def submit(self, tasks: Sequence[Task]) -> None:
        """One array of jobs."""
        batch = durable.make_folder(self.home) / uuid.uuid4().hex[:12]
        batch.mkdir()
        for number, task in enumerate(tasks):
            order = node.order(task, self.place) | {"cores": self.own.cores}
            (batch / f"{number}.json").write_text(json.dumps(order), encoding="utf-8")
        parts = [Part(str(batch), number) for number in range(len(tasks))]
        carrier = self._carrier(batch / "submitit", node.order(tasks[0], self.place)["device"])
        with carrier.batch():
            sent = [carrier.submit(part) for part in parts]
        ids = [str(job.job_id) for job in sent]
        left = json.dumps({"cluster": self.own.cluster, "ids": ids})
        durable.replace_file(batch / "jobs.json", left.encode(), self.place.ledger.scratch)
        self.processes |= dict(zip(ids, sent, strict=True))
        for number, (task, job_id) in enumerate(zip(tasks, ids, strict=True)):
            self.jobs.append(_Job(task, batch, number, job_id))
        if self.own.cluster == "debug":
            threading.Thread(target=_one_by_one, args=(parts,), daemon=True).start()
        if self.own.cluster == "slurm":
            self.place.say(
                f"submitted {len(ids)} Slurm jobs ({ids[0]} ...). Close this terminal and they go "
                "on: the same command takes them up again. Ctrl-C stops them."
            )

    def _carrier(self, folder: Path, device: str) -> Any:
        minutes, cores = self.own.minutes, self.own.cores
        notice = int(max(1, min(NOTICE, 15 * minutes)))
        if self.own.cluster == "debug":
            return submitit.DebugExecutor(folder)
        if self.own.cluster == "local":
            local = submitit.LocalExecutor(folder, max_num_timeout=TIMES)
            local.update_parameters(timeout_min=minutes, signal_delay_s=notice)
            return local
        carrier = submitit.SlurmExecutor(folder, max_num_timeout=TIMES)
        carrier.update_parameters(
            job_name="harness", time=max(1, math.ceil(minutes)), cpus_per_task=cores,
            array_parallelism=self.own.jobs, signal_delay_s=notice,
            srun_args=[f"--cpus-per-task={cores}"],
            **({"partition": self.own.partition} if self.own.partition else {}),
            **({"gpus_per_node": 1} if device == "cuda" else {}),
        )  # fmt: skip
        return carrier

    @property
    def busy(self) -> bool:
        """Whether a job has not ended."""
        return bool(self.jobs)

    def words(self, seconds: float) -> Iterator[Word]:
        """What the jobs have written since the last time."""
        spoke = False
        for job in list(self.jobs):
            for said in job.new_lines():
                spoke = True
                yield from self._said(job, said)
        if time.monotonic() - self.looked > LOOK_SECONDS[self.own.cluster]:
            self.looked = time.monotonic()
            yield from self._lost()
        elif not spoke:
            time.sleep(seconds)

    def _said(self, job: _Job, said: dict[str, Any]) -> Iterator[Word]:
        job.requeued = said["kind"] == "requeued"
        if said["kind"] == "node":
            for text in self.nodes.remarks(said):
                yield job.task, {"kind": "note", "message": text}
        elif said["kind"] == "end":
            self.jobs.remove(job)
            yield job.task, Ended()
        elif not job.requeued:
            yield job.task, said

    def _lost(self) -> Iterator[Word]:
        """Jobs that are gone, and whose last words have had time to arrive."""
        alive, now = self._alive([job.job_id for job in self.jobs]), time.monotonic()
        for job in list(self.jobs):
            job.gone = None if job.job_id in alive else job.gone or now
            late = 0.0 if self.own.cluster == "local" or self.stopping else LATE_SECONDS
            if job.gone is None or now - job.gone < late:
                continue
            for said in job.new_lines():  # written since we looked
                yield from self._said(job, said)
            if job in self.jobs:
                self.jobs.remove(job)
                what = f"its job {job.job_id} ended without a word (see {job.batch / 'submitit'})"
                yield job.task, Ended(lost=what, own=not job.requeued)

    def _alive(self, ids: Sequence[str]) -> set[str]:
        """Those of these jobs that wait or run; all of them where Slurm does not answer."""
        if not ids or self.own.cluster == "debug":
            return set(ids) if self.jobs else set()
        if self.own.cluster == "local":
            return {job_id for job_id in ids if self._process_lives(job_id)}
        arrays = ",".join(sorted({job_id.partition("_")[0] for job_id in ids}))
        command = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={arrays}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode and "Invalid job id" not in done.stderr:
            return set(ids)
        return set(ids).intersection(done.stdout.split())

    def _process_lives(self, job_id: str) -> bool:
        mine = self.processes.get(job_id)
        if mine is not None:
            return not mine.done()
        return "submitit" in system.command(int(job_id))  # another command's: still submitit's?

    def stop(self) -> None:
        """Ask running jobs to save and end, and take the others out of the queue."""
        self.stopping = True
        for batch in {job.batch for job in self.jobs}:
            (batch / "stop").touch()
        if self.own.cluster == "slurm" and self.jobs:
            arrays = sorted({job.job_id.partition("_")[0] for job in self.jobs})
            subprocess.run(["scancel", "--state=PENDING", *arrays], check=False)

    def close(self) -> None:
        """Forget what has ended; jobs of this machine end with the command, Slurm's go on."""
        if self.own.cluster == "local":
            for job in self.jobs:
                if job.job_id in self.processes:
                    self.processes[job.job_id].cancel()
            until = time.monotonic() + END_SECONDS
            while not all(one.done() for one in self.processes.values()):
                if time.monotonic() > until:
                    break
                time.sleep(0.02)
        live = {job.batch for job in self.jobs}
        self.jobs.clear()
        for batch in list(self.home.iterdir()) if self.home.is_dir() else ():
            if batch not in live:
                shutil.rmtree(batch, ignore_errors=True)
        for folder in (self.home, self.home.parent):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _one_by_one(parts: Sequence[Part]) -> None:
    for part in parts:
        part()
