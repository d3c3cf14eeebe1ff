"""Faults brought into processes that train: a sitecustomize.py on their path patches the engine."""

from __future__ import annotations

import json
from pathlib import Path

# Calls `patch(module)` on harness.engine.chunk as soon as it is imported.
HOOK = """
import importlib.abc, importlib.util, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "harness.engine.chunk":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        real = spec.loader.exec_module
        def exec_module(module):
            real(module)
            patch(module)
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
"""

# At an evaluation of the run with a seed, as the file says at that moment: die, raise, or wait.
ON_ORDER = """
import json, os, signal, time
ORDER = FOLDER + "/order.json"
def patch(engine):
    real = engine.Chunk._boundary
    def boundary(self):
        try:
            with open(ORDER) as file:
                order = json.load(file)
        except FileNotFoundError:
            order = None
        if order and self.step == order["step"] and any(r.seed == order["seed"] for r in self.runs):
            with open(FOLDER + "/tries", "a") as file:
                file.write(f"{os.getpid()} {len(self.runs)}\\n")
            if order["do"] == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if order["do"] == "raise":
                raise RuntimeError("boom")
            while order["do"] == "wait" and os.path.exists(ORDER) and not self.hooks.stopping():
                time.sleep(0.02)
        real(self)
    engine.Chunk._boundary = boundary
"""


def custom(folder: Path, code: str) -> str:
    """A folder whose sitecustomize.py runs in every Python process that has it on its path."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(code)
    return str(folder)


class Orders:
    """What processes with `path` on their path do at a step, changed while they live."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = custom(folder, f"FOLDER = {str(folder)!r}\n" + ON_ORDER + HOOK)

    def give(self, do: str, *, seed: int, step: int) -> None:
        """From now on."""
        (self.folder / "tries").unlink(missing_ok=True)
        part = self.folder / "order.new"
        part.write_text(json.dumps({"do": do, "seed": seed, "step": step}))
        part.rename(self.folder / "order.json")

    def end(self) -> None:
        """Nothing more is done."""
        (self.folder / "order.json").unlink(missing_ok=True)

    @property
    def tries(self) -> list[tuple[int, int]]:
        """(process id, runs in the chunk) of every time that the step was reached."""
        path = self.folder / "tries"
        lines = path.read_text().split("\n") if path.exists() else []
        return [(int(a), int(b)) for a, b in (line.split() for line in lines if line)]
