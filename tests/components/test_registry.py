"""Finding components by name: built-in, registered, from plug-ins, and not at all."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from harness.components import METRICS, REGISTRIES, LossSpec, Param, ScheduleSpec
from harness.components.losses import LOSSES
from harness.components.registry import Registry
from harness.components.spec import bound, facts_of
from harness.errors import ConfigError, PluginError
from tests.support.packages import make_package

SPEC = """
from harness.components import LossSpec

def value(logits, target, smoothing=None, summed=False):
    raise AssertionError("no test trains with it")

SPEC = LossSpec(value=value, unit="points", label="Odd", likelihood=True)
"""


@pytest.fixture
def losses():
    """A registry of losses of its own, so that no test leaves a name behind."""
    return Registry("loss", LossSpec, "harness.components.losses", configurable=True)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package with a loss `odd`; called with what differs from that."""

    def install(modules=None, entries=None, name="odd-losses", folder="site", version="1.0"):
        made = make_package(
            tmp_path / folder, name, version=version,
            modules={"odd_losses/__init__.py": "", "odd_losses/odd.py": SPEC, **(modules or {})},
            entries=entries or {"harness.losses:odd": "odd_losses.odd:SPEC"},
        )  # fmt: skip
        monkeypatch.syspath_prepend(str(made))
        return made

    yield install
    for module in [name for name in sys.modules if name.partition(".")[0] == "odd_losses"]:
        del sys.modules[module]


def spec(**facts):
    return LossSpec(value=lambda *_: None, **facts)


def test_an_unknown_name_is_an_error_with_the_nearest_one(losses):
    with pytest.raises(ConfigError, match=r"loss is 'hinges'; allowed: one of bce, .*'hinge'\?$"):
        losses.get("hinges")
    with pytest.raises(ConfigError, match=r"^loss\.name is 'x'"):
        losses.get("x", "loss.name")
    assert "hinges" not in losses and "hinge" in losses


def test_every_built_in_loss_is_found_by_being_there(losses):
    assert set(losses.built_in()) >= {"cross_entropy", "mse", "max_margin"}
    assert all(isinstance(losses.get(name), LossSpec) for name in losses)
    assert len(losses) == len(list(losses)) == len(set(losses))


def test_looking_up_all_losses_loads_neither_torch_nor_numpy():
    code = (
        "import sys; from harness.components import LOSSES; [LOSSES.get(n) for n in LOSSES]; "
        "sys.exit(bool({'torch', 'numpy', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_registered_by_a_call(losses):
    one, two = spec(unit="a"), spec(unit="b")
    losses.register("mine", one)
    assert losses.get("mine") is one and "mine" in losses.names() and losses.only_here("mine")
    losses.register("mine", two)  # a cell of a notebook, run again
    assert losses.get("mine") is two


@pytest.mark.parametrize(
    ("name", "what", "message"),
    [
        ("mse", spec(), "built in"),
        ("my loss", spec(), "letters, digits and underscores"),
        ("mine", ScheduleSpec(factor=lambda *_: 1.0), "is a ScheduleSpec; allowed: a LossSpec"),
    ],
)
def test_what_cannot_be_registered(losses, name, what, message):
    with pytest.raises(ConfigError, match=message):
        losses.register(name, what)


def test_a_registered_loss_has_an_identity_of_its_own(losses):
    def half(x):
        return x / 2

    def third(x):
        return x / 3

    found = []
    for function in (half, third, half):
        losses.register("mine", LossSpec(value=function))
        found.append(losses.identity("mine"))
    assert found[0] == found[2] != found[1]
    assert losses.identity("mse") is None


def test_functions_typed_at_a_prompt_are_told_apart(losses):
    """Without source the code itself decides, the inner functions' too, and no address does."""
    found = []
    for factor in (2, 3, 2):
        scope = {}
        exec(f"def f(x):\n    def g(y):\n        return y * {factor}\n    return g(x)", scope)
        losses.register("mine", LossSpec(value=scope["f"]))
        found.append(losses.identity("mine")["sha256"])
    assert found[0] == found[2] != found[1]


def test_a_plugin_is_listed_without_being_loaded(losses, installed):
    installed({"odd_losses/odd.py": "raise RuntimeError('loaded')"})
    assert "odd" in losses and "odd" in losses.names()
    assert losses.get("mse").kind == "classes"  # other runs go on


def test_a_plugin_is_loaded_by_its_name(losses, installed):
    installed()
    assert losses.get("odd").unit == "points" and not losses.only_here("odd")
    assert losses.having(label="Odd") == ["odd"]


def test_the_identity_of_a_plugin_follows_its_own_imports_alone(losses, installed, tmp_path):
    helped = "from . import helper, unused_name_of_nothing\n" + SPEC
    files = {"odd_losses/odd.py": helped.replace(", unused_name_of_nothing", "")}
    installed({**files, "odd_losses/helper.py": "A = 1", "odd_losses/other.py": "B = 1"})
    before = losses.identity("odd")
    assert before["distribution"] == "odd-losses" and before["version"] == "1.0"

    def now():
        from harness.components.plugins import hash_of_modules

        return hash_of_modules(["odd_losses.odd"])

    assert now() == before["sha256"]
    (tmp_path / "site/odd_losses/other.py").write_text("B = 2")
    assert now() == before["sha256"]
    (tmp_path / "site/odd_losses/helper.py").write_text("A = 2")
    assert now() != before["sha256"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_package_anywhere", "ModuleNotFoundError: No module named"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("SPEC = 3", "is of type int; it must be a LossSpec"),
        ("x = 1", "AttributeError"),
        ("def value(:", "SyntaxError"),
    ],
)
def test_a_broken_plugin_is_named_with_its_error(losses, installed, source, message):
    installed({"odd_losses/odd.py": source})
    with pytest.raises(PluginError, match=message) as caught:
        losses.get("odd")
    assert "odd-losses 1.0 (entry point harness.losses: odd = odd_losses.odd:SPEC)" in str(
        caught.value
    )
    assert losses.get("mse") and "mse" in losses.having(kind="classes")


def test_a_plugin_cannot_take_a_built_in_name(losses, installed):
    installed(entries={"harness.losses:mse": "odd_losses.odd:SPEC"})
    with pytest.raises(PluginError, match=r"'mse' comes from harness itself and from odd-losses"):
        losses.get("mse")
    assert losses.get("bce") and "mse" not in losses.having(kind="classes")


def test_two_packages_cannot_share_a_name(losses, installed):
    installed()
    installed(name="more-losses", folder="second")
    with pytest.raises(PluginError, match=r"from more-losses 1\.0 .* and from odd-losses"):
        losses.get("odd")


def test_a_plugins_name_cannot_be_registered(losses, installed):
    installed()
    with pytest.raises(ConfigError, match=r"odd-losses 1\.0"):
        losses.register("odd", spec())


def test_plugins_can_be_switched_off(losses, installed, monkeypatch):
    installed()
    monkeypatch.setenv("HARNESS_DISABLE_PLUGINS", "1")
    with pytest.raises(ConfigError, match="switched off"):
        losses.get("odd")
    assert "odd" not in losses


def test_a_stored_component_is_read_about_without_its_package(losses, installed, monkeypatch):
    installed()
    facts, known = facts_of(losses.get("odd")), losses.identity("odd")
    monkeypatch.setenv("HARNESS_DISABLE_PLUGINS", "1")
    losses.recall("odd", facts, known)
    found = losses.get("odd")
    assert (found.unit, found.label, found.likelihood, found.links) == (
        "points", "Odd", True, ("softmax",),
    )  # fmt: skip
    assert losses.identity("odd") == known and "odd" not in losses.names()
    with pytest.raises(PluginError, match=r"part of odd-losses 1\.0; install that"):
        found.value(None, None)
    monkeypatch.delenv("HARNESS_DISABLE_PLUGINS")
    assert not losses.get("odd").missing  # the package itself comes first


def test_a_broken_plugin_does_not_hide_what_was_stored(losses, installed):
    installed({"odd_losses/odd.py": "raise OSError('disk')"})
    losses.recall("odd", {"unit": "points"}, {"distribution": "odd", "version": "1", "sha256": "x"})
    assert losses.get("odd").unit == "points" and "disk" in losses.get("odd").missing


def test_settings_of_its_own_reach_every_function():
    given = LossSpec(
        value=lambda x, *, gamma: x * gamma, multiplier=lambda V, _s, *, gamma: V + gamma,
        params={"gamma": Param(default=2.0)},
    )  # fmt: skip
    own = bound(given, {"gamma": 3.0})
    assert own.value(2) == 6 and own.multiplier(1, True) == 4 and own.gradient is None
    plain = bound(LossSpec(value=given.value, params=given.params), {"gamma": 3.0})
    assert plain.multiplier(1, True) == 1.0  # a default knows nothing of it


def test_two_settings_are_two_specs_and_equal_ones_are_one(losses):
    from harness.components.params import Settings

    losses.register("mine", spec(params={"gamma": Param(default=2.0)}))
    one, two, three = (losses.bind("mine", Settings({"gamma": g})) for g in (1.0, 2.0, 1.0))
    assert one is three and one is not two
    assert LOSSES.bind("mse", Settings()) is LOSSES.get("mse")


# built-in names that are also other things outside: a setting, a column, a level of another choice
ORDINARY = {"file", "linear", "momentum", "nll", "none", "step", "text", "uniform"}


def test_no_module_decides_by_the_name_of_a_component():
    """No comparison and no dictionary of names outside of a component's own file.

    Metrics are left out: a view or a figure may be about one, as that of the start is.
    """
    folder = Path(__file__).parents[2] / "harness"
    registries = [one for one in REGISTRIES.values() if one is not METRICS]
    names = {name for one in registries for name in one.built_in()}
    assert names >= ORDINARY
    found = [
        f"{path.relative_to(folder)}:{place}"
        for path in folder.rglob("*.py")
        if not path.is_relative_to(folder / "components")
        for place in _decisions(path.read_text(encoding="utf-8"), names - ORDINARY)
    ]
    assert not found


def test_decisions_by_name_are_recognised():
    for code in ("if name == 'l1': f()", "x = {'l1': f}[name]", "g() if n in ('l1', 'x') else 0"):
        assert list(_decisions(code, {"l1"})) == [1]
    assert list(_decisions("match n:\n    case 'l1' | 'x':\n        f()", {"l1"})) == [2]
    assert not list(_decisions("f('l1')", {"l1"}))


def _decisions(source, names):
    """Lines that compare with one of these names, or look up by one."""
    for node in ast.walk(ast.parse(source)):
        parts = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.Dict):
            parts = [key for key in node.keys if key is not None]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        inside = [one for part in parts for one in ast.walk(part)]
        if any(isinstance(one, ast.Constant) and one.value in names for one in inside):
            yield node.lineno
