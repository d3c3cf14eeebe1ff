"""A sweep that still runs, or was killed: every view says how much of it there is to see."""

import json
import os
import signal

import pytest

from harness.records.ledger import Ledger
from tests.support.driven import harness, kill_group, start, wait_for

SEEDS = 24
WORDS = [
    "sweep", "seed=" + ",".join(map(str, range(SEEDS))), "data.fraction=0.05", "model.hidden=[8]",
    "train.steps=5000", "engine.chunk=4", "engine.workers=1", "--quiet",
]  # fmt: skip


@pytest.mark.slow
def test_compare_and_report_say_how_much_they_saw(tmp_path):
    process = start(*WORDS, cwd=tmp_path)
    ledger = Ledger(tmp_path / "runs")

    def some():
        known = ledger.sweeps()
        return bool(known) and len(ledger.finished(known[0].run_ids)) >= 4

    wait_for(some, process)
    os.killpg(process.pid, signal.SIGSTOP)  # it lives and holds its locks, but gets no further
    try:
        code, live, err = harness("compare", cwd=tmp_path)
    finally:
        kill_group(process)
    assert code == 0, err
    done = len(ledger.finished(ledger.sweeps()[0].run_ids))
    assert 4 <= done < SEEDS
    assert live.startswith(f"{done} of 24 runs of sweep") and "Seen so far:" in live
    code, out, err = harness("compare", cwd=tmp_path)
    assert code == 0, err
    assert out.startswith(f"{done} of 24 runs of sweep")
    assert f"Seen so far: {done} finished run" in " ".join(out.split())
    assert f"{SEEDS - done} runs have not ended" in " ".join(out.split())
    code, _, err = harness("compare", "--json", cwd=tmp_path)
    assert code == 0 and "Seen so far" in err
    assert harness("report", "-o", "page.html", cwd=tmp_path)[0] == 0
    page = (tmp_path / "page.html").read_text()
    assert f"{done} of 24 runs so far" in page and "have not ended" in page
    code, out, err = harness(*WORDS, cwd=tmp_path)  # taken up again, it is whole
    assert code == 0, err
    code, out, _ = harness("compare", cwd=tmp_path)
    assert out.startswith("24 runs") and "Seen so far" not in out
    code, out, _ = harness("compare", "--json", cwd=tmp_path)
    assert json.loads(out)[0]["n"] == SEEDS
