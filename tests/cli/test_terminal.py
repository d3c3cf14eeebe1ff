"""What a terminal cannot show is replaced, whatever the verb; nothing ends in a UnicodeError."""

import io
import json
import sys

import pytest

from harness.cli import main as cli
from harness.cli.terminal import replace_unshowable
from harness.records.ledger import Ledger

HINDI = ["\u0905\u0928\u0928", "\u0906\u0930\u0935", "\u092f\u0936", "\u0930\u094b\u0939"]
KINDS = ["ascii", "cp1252"]


@pytest.mark.parametrize(
    ("encoding", "want"),
    [("ascii", b"a???\n"), ("cp1252", b"a\xe9??\n"), ("utf-8", "a\xe9\u2581\u0905\n".encode())],
)
def test_what_cannot_be_shown_is_replaced(monkeypatch, encoding, want):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    replace_unshowable()
    print("a\xe9\u2581\u0905", flush=True)
    cli.click.echo("a\xe9\u2581\u0905")
    assert raw.getvalue() == 2 * want


@pytest.fixture
def said(monkeypatch, tmp_path):
    """Run a command line in `tmp_path` on a terminal of an encoding; (code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def run(words, encoding):
        raw = {"stdout": io.BytesIO(), "stderr": io.BytesIO()}
        with monkeypatch.context() as patch:
            for name, buffer in raw.items():
                patch.setattr(sys, name, io.TextIOWrapper(buffer, encoding=encoding))
            code = cli.run(words)
            sys.stdout.flush()
            sys.stderr.flush()
            return code, *(buffer.getvalue().decode(encoding) for buffer in raw.values())

    return run


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_every_verb_speaks_to_every_terminal(tmp_path, said):
    (tmp_path / "w\u0905.txt").write_text(
        "\n".join(a + b + c for a in HINDI for b in HINDI for c in HINDI), encoding="utf-8"
    )
    own = ["data=file", "data.path=w\u0905.txt", "train.steps=20", "model.hidden=[8]"]
    every = [
        ["train", *own, "tracking.run_name='\u0905'"],
        ["sweep", *own, "init.weight_scale=.1,1", "seed=0,1"],
        ["estimate", *own], ["coordinates", *own, "--widths", "8,16", "--depths", "1"],
        ["sample", "best"], ["reproduce", "best"], ["compare"], ["compare", "--csv"], ["list"],
        ["show", "best"], ["show", "newest"], ["diff", "best", "best"], ["report"], ["sync"],
        ["doctor"], ["components"], ["--help"], ["train", "--help"], ["compare", "--help"],
        ["search", *own, "optim.lr=tag(log,interval(.01,1))", "search.trials=2", "tracking=off"],
        ["sweep", *own, "loss=mse,bce", "--dry-run"], ["confirm", "--top", "1", "--seeds", "1"],
    ]  # fmt: skip
    for words in every:
        for encoding in KINDS:
            code, _, err = said(words, encoding)
            assert (code, "Unicode" in err) == (0, False), (words, encoding, err)
    newest = Ledger(tmp_path / "runs").sweeps()[0]
    assert said(["rm", newest.sweep_id, "--dry-run"], "ascii")[0] == 0
    code, out, _ = said(["sample", "best", "--json"], "ascii")
    assert code == 0 and any("\u0900" < char < "\u097f" for char in str(json.loads(out)))
    assert "?" in said(["sample", "best"], "cp1252")[1]
