"""Data walks one way: no module imports one that stands later, and heavy packages stay in place."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = {
    path.stem: path
    for path in (ROOT / "harness").rglob("*.py")
    if path.name != "__init__.py" and path.parent.name != "figures"
}
MODULES["__init__"] = ROOT / "harness" / "__init__.py"
FOLDERS = ("app", "data", "engine", "results", "store", "theory", "tracking")

# the walk: config -> data -> theory -> engine -> records -> ledger -> tracking -> tables -> app
WALK = [
    "errors", "config", "dataset", "initial_loss", "training", "workers", "tracker", "sweep",
    "hydra_app", "cli",
]  # fmt: skip

# who may import what, at any place in the file; hydra_plugins/ aside
KEEPERS = {
    "hydra": {"hydra_app", "hydra_compose"},
    "omegaconf": {"hydra_app", "hydra_compose"},
    "matplotlib": {"report", "figures"},
}
LIGHT = {  # module -> packages it may load when imported, itself or through others
    "__init__": set(),
    "cli": {"click"},
    "config": set(),
    "dataset": {"numpy"},
    "initial_loss": {"numpy", "scipy"},
}
PACKAGES = {
    "numpy", "scipy", "torch", "mlflow", "hydra", "omegaconf", "pandas", "pyarrow", "matplotlib",
    "rich", "click", "safetensors", "jinja2",
}  # fmt: skip


def imported(path, *, late=True):
    """Names of modules a file imports: harness modules bare, others by their package.

    late: imports inside functions too. Imports for type checkers alone never count.
    """
    found = set()

    def visit(node, *, inside):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
            if not inside or late:
                if isinstance(child, ast.Import):
                    found.update(_name(alias.name) for alias in child.names)
                elif isinstance(child, ast.ImportFrom) and _is_folder(child.module):
                    found.update(a.name for a in child.names if a.name in MODULES)
                    found.add("__init__")
                elif isinstance(child, ast.ImportFrom) and child.module:
                    found.add(_name(child.module))
            visit(child, inside=inside or function)

    visit(ast.parse(path.read_text(encoding="utf-8")), inside=False)
    return found - {path.stem}


def _is_folder(module):
    return module == "harness" or (module or "").removeprefix("harness.") in FOLDERS


def _name(module):
    """`harness.engine.plan` -> plan, `harness.results.figures.heat` -> figures."""
    package, *rest = module.split(".")
    if package != "harness" or not rest:
        return package
    return next(part for part in rest if part not in FOLDERS)


def test_module_names_are_told_apart_without_their_folder():
    paths = [p for p in (ROOT / "harness").rglob("*.py") if p.parent.name != "figures"]
    names = [p.stem for p in paths if p.name != "__init__.py"]
    assert len(set(names)) == len(names)


def reached(start, *, late):
    """Everything a module comes to import, through other harness modules."""
    seen, front = set(), [start]
    while front:
        name = front.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in MODULES:
            front += imported(MODULES[name], late=late)
    return seen


def test_no_circles():
    graph = {n: imported(p, late=False) & MODULES.keys() for n, p in MODULES.items()}
    assert list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("place", range(len(WALK)))
def test_nobody_imports_what_stands_later(place):
    name = WALK[place]
    if name not in MODULES:
        pytest.fail(f"harness/{name}.py is gone: bring WALK up to date")
    assert not reached(name, late=False) & set(WALK[place + 1 :])


@pytest.mark.parametrize("package", KEEPERS)
def test_heavy_packages_stay_in_their_place(package):
    users = {name for name, path in MODULES.items() if package in imported(path)}
    assert users <= KEEPERS[package]


def test_mlflow_is_known_to_nothing_that_trains_or_keeps():
    users = {name for name, path in MODULES.items() if "mlflow" in imported(path)}
    others = reached("ledger", late=True) | reached("workers", late=True)
    assert users
    assert not users & (others | {"sweep", "hydra_app", "cli", "console", "__init__"})


@pytest.mark.parametrize("name", LIGHT)
def test_light_modules_stay_light(name):
    assert reached(name, late=False) & PACKAGES <= LIGHT[name]


def test_the_plugin_is_thin_and_shares_its_namespace():
    folder = ROOT / "hydra_plugins"
    assert not (folder / "__init__.py").exists()  # or other people's plugins vanish
    for path in folder.rglob("*.py"):
        assert not imported(path, late=False) & (PACKAGES - {"hydra", "omegaconf"})
    users = [n for n, path in MODULES.items() if "hydra_plugins" in imported(path)]
    assert users == []  # Hydra's scanner would run it a second time


def test_no_lazy_name_is_also_a_module():
    import harness

    shadowing = {path.stem for path in (ROOT / "harness").glob("*.py")} | set(FOLDERS)
    assert not set(harness.__all__) & shadowing


def test_every_lazy_name_is_there():
    import harness

    for name, home in harness._HOMES.items():
        assert getattr(harness, name) is not None, home
