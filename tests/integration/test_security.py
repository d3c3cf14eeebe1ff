"""No config runs code, no pickle is read, no secret is written, no server is open to others."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import ui
from harness.records.manifests import new_sweep
from harness.tracking.addresses import redacted
from harness.tracking.client import ENVIRONMENT, quiet_mlflow
from tests.support import hostile

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*(ROOT / "harness").rglob("*.py"), *(ROOT / "hydra_plugins").rglob("*.py")])

# what runs code that a file or a text holds
FORBIDDEN_IMPORTS = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_CALLS = {
    ("torch", "load"), ("torch", "save"), ("torch.jit", "load"), ("pd", "read_pickle"),
    ("pandas", "read_pickle"), ("yaml", "load"), ("yaml", "unsafe_load"), ("yaml", "full_load"),
    ("yaml", "load_all"), ("os", "system"), ("os", "popen"), ("mlflow.pyfunc", "load_model"),
    ("mlflow.pytorch", "load_model"), ("mlflow.pytorch", "log_model"),
    ("mlflow.sklearn", "load_model"),
}  # fmt: skip


def faults(tree):
    """(line, what) of every call or import that could run code out of data."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in FORBIDDEN_IMPORTS:
                    yield node.lineno, f"import {alias.name}"
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module.partition(".")[0] in FORBIDDEN_IMPORTS:
                yield node.lineno, f"from {node.module}"
            for alias in node.names:
                if (node.module, alias.name) in FORBIDDEN_CALLS:
                    yield node.lineno, f"from {node.module} import {alias.name}"
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            owner, _, last = name.rpartition(".")
            if name in FORBIDDEN_NAMES or (owner, last) in FORBIDDEN_CALLS:
                yield node.lineno, f"{name}()"
            for word in node.keywords:
                value = getattr(word.value, "value", None)
                if (word.arg, value) in (("allow_pickle", True), ("shell", True)):
                    yield node.lineno, f"{name}({word.arg}=True)"


def test_the_walk_finds_what_it_looks_for():
    text = (
        "import pickle\nfrom dill import loads\nimport torch\ntorch.load('x')\neval('1')\n"
        "np.load('x', allow_pickle=True)\nsubprocess.run('x', shell=True)\nyaml.load('x')\n"
        "from os import system\n"
    )
    assert [line for line, _ in faults(ast.parse(text))] == [1, 2, 9, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_code_out_of_data(path):
    assert list(faults(ast.parse(path.read_text(encoding="utf-8")))) == []


SENTINEL = "made-by-the-config"
ATTACKS = {  # YAML of a user's own, each a known way to make Hydra, PyYAML or logging run code
    "target": f"hydra:\n  callbacks:\n    x: {{_target_: pathlib.Path.touch, self: {SENTINEL}}}\n",
    "launcher": f"hydra:\n  launcher: {{_target_: os.system, command: touch {SENTINEL}}}\n",
    "sweeper": f"hydra:\n  sweeper: {{_target_: os.system, command: touch {SENTINEL}}}\n",
    "apply": f"seed: !!python/object/apply:os.system ['touch {SENTINEL}']\n",
    "new": f"seed: !!python/object/new:os.system ['touch {SENTINEL}']\n",
    "module": "seed: !!python/module:antigravity\n",
    "key": f"? !!python/object/apply:os.system ['touch {SENTINEL}']\n: 1\n",
    "env": "tracking: {experiment: '${oc.env:HARNESS_SECRET}'}\n",
    "decode": "tracking: {experiment: '${oc.decode:${oc.env:HARNESS_SECRET}}'}\n",
    "logging": f"hydra: {{job_logging: {{version: 1, handlers: {{x: {{'()': os.system, "
    f"command: touch {SENTINEL}}}}}}}}}\n",
    "searchpath": "hydra: {searchpath: ['pkg://antigravity']}\n",
    "env_set": "hydra: {job: {env_set: {PYTHONSTARTUP: evil.py}}}\n",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_yaml_of_ones_own_runs_nothing(monkeypatch, name):
    monkeypatch.setenv("HARNESS_SECRET", "hunter2")
    content = ("# @package _global_\n" + ATTACKS[name]).encode()
    code, out, err, made = hostile.end_of(
        ["train", "-cd", ".", "experiment=own"], {"experiment/own.yaml": content}
    )
    assert (code, made) == (2, set()), err
    assert "own.yaml" in err and "refused" in err
    assert "hunter2" not in out + err


@pytest.mark.parametrize(
    "words",
    [
        ["+model._target_=os.system"],
        [f"+hydra.callbacks.x={{_target_:pathlib.Path.touch,self:{SENTINEL}}}"],
        ["tracking.experiment='${oc.env:HARNESS_SECRET}'"],
        ["tracking.experiment='a${oc.env:HARNESS_SECRET,b}'"],
        ["ledger.dir='${oc.env:HARNESS_SECRET}'"],
        ["data=file", "data.path='${oc.env:HARNESS_SECRET}'"],
        ["hydra.job.env_copy=[HARNESS_SECRET]"],
        ["hydra.searchpath=['pkg://antigravity']"],
        ["--experimental-rerun", "x.pickle"],
    ],
)
def test_words_of_a_command_run_nothing(monkeypatch, words):
    monkeypatch.setenv("HARNESS_SECRET", "hunter2")
    code, out, err, made = hostile.end_of(["train", *words])
    assert (code, made) == (2, set()), err
    assert "refused" in err and "hunter2" not in out + err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:pw@db:5432/x", "postgresql://me:***@db:5432/x"),
        ("tracking.uri=http://me:p/w@h", "tracking.uri=http://me:***@h"),
        ("'http://me:p@ss@h/x'", "'http://me:***@h/x'"),
        ("https://h/x?password=pw&y=1", "https://h/x?password=***&y=1"),
        ("s3://b?AWS_Secret_Key=pw", "s3://b?AWS_Secret_Key=***"),
        ("mysql://h/x?ssl=1&sslpassword=pw'", "mysql://h/x?ssl=1&sslpassword=***'"),
        ("http://h:80/a@b", "http://h:80/a@b"),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
    ],
)
def test_passwords_are_taken_out_of_addresses(text, shown):
    assert redacted(text) == shown


def test_no_setting_of_a_run_can_hold_an_address():
    """tracking.* and ledger.* stand outside a run's settings, so its saved config has none."""
    from harness.config.run import RunConfig
    from harness.records.saved import config_yaml

    text = config_yaml(RunConfig())
    assert "tracking" not in text and "uri" not in text
    assert "tracking.uri" not in str(new_sweep({"a" * 16: RunConfig()}).to_plain())


@pytest.mark.slow
@pytest.mark.parametrize("way", ["setting", "environment"])
def test_a_password_is_written_nowhere(tmp_path, way):
    """A sweep to a server that is not there, its password in the address: searched for in every
    byte of the folder and of both streams."""
    secret = "Tr0ub4dor-hunter2"
    address = f"http://me:{secret}@127.0.0.1:9"
    words = ["data.fraction=0.1", "train.steps=4", "model.hidden=[8]", "loss=mse,nll"]
    environment = os.environ | {"HARNESS_SECRET": secret, "MLFLOW_TRACKING_PASSWORD": secret}
    environment |= {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    if way == "setting":
        words.append(f"tracking.uri={address}")
    else:
        environment["MLFLOW_TRACKING_URI"] = address
    for verb in (["sweep", *words], ["sync"], ["ui"], ["compare"], ["show", "abc"], ["list"]):
        if verb[0] in ("sync", "list") and way == "setting":
            verb += ["--uri", address]
        done = subprocess.run(
            [sys.executable, "-m", "harness", *verb], cwd=tmp_path, env=environment,
            capture_output=True, text=True, timeout=200, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert secret not in done.stdout + done.stderr, verb
        assert "Traceback" not in done.stderr
    local = dict(environment)
    local.pop("MLFLOW_TRACKING_URI", None)
    store = ["sync", "--uri", f"sqlite:///{tmp_path / 'mlflow.db'}"]
    done = subprocess.run(
        [sys.executable, "-m", "harness", *store], cwd=tmp_path, env=local, capture_output=True,
        text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0 and "2 runs written" in done.stdout, done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "mlflow.db" for path in files) and len(files) > 10
    assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_telemetry_is_off_and_host_checks_are_not_touched(tmp_path, monkeypatch):
    """The environment and the words that MLflow's server is started with."""
    seen = {}

    class Server:
        returncode = 0

        def __init__(self, command, env, **more):
            seen.update(command=command, env=env)

        def poll(self):
            return 0

        def wait(self, timeout=None):
            return 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow.db").write_bytes(b"")
    monkeypatch.setattr(ui.subprocess, "Popen", Server)
    monkeypatch.setattr(ui, "_wait_for", lambda *_: None)
    assert ui.serve() == 0
    words = seen["command"]
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert seen["env"]["MLFLOW_DISABLE_TELEMETRY"] == seen["env"]["DO_NOT_TRACK"] == "true"
    for name in ("MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE", "MLFLOW_SERVER_ALLOWED_HOSTS"):
        assert seen["env"].get(name) == os.environ.get(name)
    assert not {"--allowed-hosts", "--disable-security-middleware"}.intersection(words)


def test_telemetry_is_off_wherever_mlflow_is_loaded(monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    quiet_mlflow()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == os.environ["DO_NOT_TRACK"] == "true"
    loading = re.compile(r"^\s*(import|from) mlflow", re.MULTILINE)
    texts = {path.stem: path.read_text(encoding="utf-8") for path in SOURCES}
    found = {name for name, text in texts.items() if loading.search(text)}
    openers = {name for name, text in texts.items() if re.search(r"\n    quiet_mlflow\(\)", text)}
    assert openers == {"client", "creation"}
    # model_code runs inside a server of the user's; the others are handed a client that was opened
    taking = {"artifacts", "model", "reader", "rows", "store", "table_runs", "tables"}
    assert found == openers | taking | {"model_code"}
