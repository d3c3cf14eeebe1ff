"""Every import of every module runs one way, late ones included, and heavy packages stay put."""

import ast
import graphlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# the walk of the data; a package may import from itself and from what stands before it
ORDER = (
    "errors", "paths", "system", "numerics", "components", "config", "data", "theory", "records",
    "engine", "execution", "tracking", "analysis", "render", "cli",
)  # fmt: skip

HYDRA = {"cli.hydra_api", "cli.hydra_files", "cli.hydra_printing"}
# who may import what, at any place in a file; hydra_plugins/ aside
KEEPERS = {
    "hydra": {*HYDRA, "cli.composition"},
    "omegaconf": {*HYDRA, "cli.composition"},
    "mlflow": {"tracking"},
    "matplotlib": {"render"},
    "ray": {"execution"},
    "submitit": {"execution"},
}
LIGHT = {  # module -> packages it may load when imported, itself or through others
    "": set(),
    "cli.main": {"click"},
    "config.run": set(),
    "data.dataset": {"numpy"},
    "theory.initial_loss": {"numpy", "scipy"},
}
PACKAGES = {
    "numpy", "scipy", "torch", "mlflow", "hydra", "omegaconf", "pandas", "pyarrow", "matplotlib",
    "rich", "click", "safetensors", "jinja2", "ray", "submitit", "optuna",
}  # fmt: skip


def _name(path):
    parts = path.relative_to(ROOT / "harness").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {_name(path): path for path in (ROOT / "harness").rglob("*.py")}


def imported(path, *, late=True, typing=True):
    """(harness modules, other packages) that a file imports.

    late: imports inside functions too; typing: those for type checkers alone too.
    """
    own, others = set(), set()

    def visit(node, *, inside):
        for child in ast.iter_child_nodes(node):
            checking = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            if checking and not typing:
                continue
            if late or not inside:
                if isinstance(child, ast.Import):
                    names = [alias.name for alias in child.names]
                elif isinstance(child, ast.ImportFrom):
                    assert child.level == 0, f"{path}: relative import"
                    base = child.module or ""
                    names = [
                        f"{base}.{a.name}" if f"{base}.{a.name}".removeprefix("harness.") in MODULES
                        else base for a in child.names
                    ]  # fmt: skip
                else:
                    names = []
                for name in names:
                    package, _, rest = name.partition(".")
                    (own if package == "harness" else others).add(
                        rest if package == "harness" else package
                    )
            function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            visit(child, inside=inside or function)

    visit(ast.parse(path.read_text(encoding="utf-8")), inside=False)
    return own & MODULES.keys(), others


def room(module):
    return module.partition(".")[0]


def reached(start):
    """Packages that importing a module loads, through other harness modules too."""
    seen, found, front = set(), set(), [start]
    while front:
        name = front.pop()
        if name in seen:
            continue
        seen.add(name)
        own, others = imported(MODULES[name], late=False, typing=False)
        found |= others
        front += own
    return found & PACKAGES


def test_every_package_has_its_place():
    rooms = {room(name) for name in MODULES} - {"", "__main__"}
    assert rooms == set(ORDER)


def test_the_readme_shows_this_order():
    """Its picture, and the table beneath, name each package once, in the order held here."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("## How it is built")[1]
    picture = re.search(r"(?:^    .+\n)+", text, re.MULTILINE)[0]
    assert tuple(re.split(r"\s*->\s*", picture.strip())) == ORDER
    rows = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert tuple(rows) == ORDER
    for room_, files in re.findall(r"^\| `(\w+)` \|.*\| (.+) \|$", text, re.MULTILINE):
        for file in re.findall(r"`([^`]+)`", files):
            places = ROOT / "harness" / room_ / file, ROOT / "harness" / file
            assert any(place.is_file() for place in places), f"{room_}: {file}"


@pytest.mark.parametrize("name", sorted(MODULES.keys() - {"", "__main__"}))
def test_no_module_imports_one_that_stands_later(name):
    """Late imports and those for type checkers alone count as well."""
    own, _ = imported(MODULES[name])
    later = {one for one in own - {""} if ORDER.index(room(one)) > ORDER.index(room(name))}
    assert not later


def test_no_module_asks_the_front_door():
    """`harness.plot` and the like lead anywhere; only the version is at home there."""
    own = {name.partition(".")[0] for name in MODULES} | {"__version__"}
    asked = []
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                asked += [name for alias in node.names if alias.name == "harness"]
            elif isinstance(node, ast.ImportFrom) and node.module == "harness":
                asked += [name for alias in node.names if alias.name not in own]
    assert asked == []


def test_no_circles():
    """Not even between modules of one package, nor by imports inside functions."""
    graph = {name: imported(path)[0] - {name} for name, path in MODULES.items() if name}
    assert list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("package", KEEPERS)
def test_heavy_packages_stay_in_their_place(package):
    users = {name for name, path in MODULES.items() if package in imported(path)[1]}
    assert {u for u in users if not {u, room(u)} & KEEPERS[package]} == set()


def test_what_hydra_keeps_to_itself_is_touched_in_its_modules_alone():
    """A new version of Hydra changes its `_internal` package and private names without notice."""
    inside = re.compile(r"hydra\._internal|\b(Override|OmegaConf|node|config)\._[a-z]")
    files = [*(ROOT / "harness").rglob("*.py"), *(ROOT / "hydra_plugins").rglob("*.py")]
    found = [path for path in files if inside.search(path.read_text(encoding="utf-8"))]
    assert set(found) == {MODULES[name] for name in HYDRA}


@pytest.mark.parametrize("name", LIGHT)
def test_light_modules_stay_light(name):
    assert reached(name) <= LIGHT[name]


def test_the_plugin_is_thin_and_shares_its_namespace():
    folder = ROOT / "hydra_plugins"
    assert not (folder / "__init__.py").exists()  # or other people's plugins vanish
    for path in folder.rglob("*.py"):
        _, others = imported(path, late=False)
        assert not others & (PACKAGES - {"hydra", "omegaconf"})
    users = [n for n, path in MODULES.items() if "hydra_plugins" in imported(path)[1]]
    assert users == []  # Hydra's scanner would run it a second time


def test_no_lazy_name_is_also_a_module():
    import harness

    assert not set(harness.__all__) & {room(name) for name in MODULES}


def test_every_lazy_name_is_there():
    import harness

    for name, home in harness._HOMES.items():
        assert getattr(harness, name) is not None, home
