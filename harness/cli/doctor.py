"""`harness doctor`: what this machine offers, and how to get what it lacks.

Writes nothing but the kernels, which it builds in the user's cache as the first run would.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import textwrap
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from harness import __version__, system
from harness.errors import HarnessError
from harness.records.ledger import Ledger
from harness.tracking.addresses import redacted, sqlite_file, store_address

WIDTH, TITLE = 80, 10
EXTRAS = {  # extra -> what it is for, its packages
    "ray": ("engine.executor=ray", ("ray",)),
    "slurm": ("engine.executor=slurm", ("submitit",)),
    "optuna": ("harness search", ("optuna",)),
    "postgres": ("an MLflow store on PostgreSQL", ("psycopg", "psycopg2")),
}
COMPILERS = ("g++", "clang++", "c++")
ANSWER_SECONDS = 3.0  # for a tracking server

Row = tuple[
    str, str, str
]  # title, what there is, how to get what is missing ("" where it is there)


def rows(ledger: str, uri: str | None) -> Iterator[Row]:
    """Everything looked at, in order."""
    yield "harness", f"{__version__}, Python {platform.python_version()}, {platform.platform()}", ""
    yield "packages", ", ".join(_versions("torch", "numpy", "mlflow", "hydra-core")), ""
    yield "cores", _cores(), ""
    memory = system.total_memory()
    yield "memory", "unknown" if memory is None else system.gib(memory), ""
    yield _kernels()
    yield _compiler()
    yield _card()
    for name, (what, packages) in EXTRAS.items():
        yield _extra(name, what, packages)
    yield _store(uri)
    yield _ledger(Path(ledger))


def doctor(ledger: str, uri: str | None) -> int:
    """Print the rows, then a line for each thing that is missing."""
    missing = []
    for title, text, remedy in rows(ledger, uri):
        print(_wrapped(f"{title:<{TITLE}} ", text))
        missing += [(title, remedy)] if remedy else []
    if missing:
        print("\nMissing, and how to get it:")
        for title, remedy in missing:
            print(_wrapped(f"  {title}: ", remedy))
    return 0


def _wrapped(head: str, text: str) -> str:
    indent = " " * (TITLE + 1 if not head.startswith("  ") else 4)
    return textwrap.fill(
        text, WIDTH, initial_indent=head, subsequent_indent=indent, break_on_hyphens=False
    )


def _versions(*packages: str) -> Iterator[str]:
    for package in packages:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            continue


def _cores() -> str:
    return f"{system.cores()} usable, {system.same_bits()['cpu']}"


def _kernels() -> Row:
    from harness.engine.kernel import unavailable

    why = unavailable()
    if why:
        return "kernels", "torch alone, several times slower than native code", why
    return "kernels", "native code, built for this processor", ""


def _compiler() -> Row:
    found = next((path for name in COMPILERS if (path := shutil.which(name))), None)
    if found is None:
        return "compiler", "none", "apt install g++ (for native kernels; torch does without)"
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    return "compiler", (said.stdout.splitlines() or [found])[0], ""


def _card() -> Row:
    import torch

    if torch.cuda.is_available():
        return "card", torch.cuda.get_device_name(), ""
    if shutil.which("nvidia-smi"):
        remedy = f"torch {torch.__version__} cannot use the card: make setup TORCH=cuda"
        return "card", "one that torch does not see", remedy
    return "card", "none; training runs on the cores", ""


def _extra(name: str, what: str, packages: tuple[str, ...]) -> Row:
    there = [package for package in packages if importlib.util.find_spec(package)]
    if not there:
        return name, f"not installed ({what})", f"pip install 'harness[{name}]'"
    return name, f"{there[0]} {_version_of(there[0])} ({what})", ""


def _version_of(package: str) -> str:
    for name in (package, f"{package}-binary"):
        if found := list(_versions(name)):
            return found[0].rpartition(" ")[2]
    return "of an unknown version"


def _store(uri: str | None) -> Row:
    try:
        address = store_address(uri)
    except HarnessError as error:
        return "store", str(error), "a tracking address that can be used: MLFLOW_TRACKING_URI"
    shown, path = redacted(address), sqlite_file(address)
    if path is not None:
        return "store", f"{shown} ({'there' if path.exists() else 'made by the first sweep'})", ""
    if not address.startswith("http"):
        return "store", shown, ""
    parts = urlsplit(address)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    try:
        with urllib.request.urlopen(f"{bare.rstrip('/')}/health", timeout=ANSWER_SECONDS):  # noqa: S310
            return "store", f"{shown} (answers)", ""
    except urllib.error.HTTPError as error:  # a login, a proxy: somebody is there
        return "store", f"{shown} (answers with status {error.code})", ""
    except (OSError, ValueError) as error:
        remedy = "start the server; until then runs are kept in the ledger for `harness sync`"
        return "store", f"{shown} does not answer ({error})", remedy


def _ledger(folder: Path) -> Row:
    home = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = system.gib(shutil.disk_usage(home).free)
    if not os.access(home, os.W_OK):
        return "ledger", f"{folder} cannot be written", "another folder: ledger.dir=FOLDER"
    if not folder.is_dir():
        return "ledger", f"{folder}, made by the first run; {free} free", ""
    runs = len(Ledger(folder).run_ids())
    return "ledger", f"{folder}: {runs:,} finished runs; {free} free", ""
