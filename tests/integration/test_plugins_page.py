"""docs/plugins.md as its reader follows it: its files written, its commands run."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from tests.support.driven import harness
from tests.support.packages import make_package

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """What pip would install of the page's files."""
    (toml,) = blocks("toml")
    project = tomllib.loads(toml)["project"]
    sources = [source for source in blocks("python") if source.startswith("# my_components/")]
    modules = {source.splitlines()[0].removeprefix("# "): source for source in sources}
    entries = {
        f"{group}:{name}": value
        for group, own in project["entry-points"].items()
        for name, value in own.items()
    }
    assert len(modules) == len(entries) == 3
    return make_package(
        tmp_path_factory.mktemp("site"), project["name"], version=project["version"],
        modules={"my_components/__init__.py": "", **modules}, entries=entries,
    )  # fmt: skip


@pytest.mark.slow
def test_every_command_of_the_page_works(tmp_path, package):
    (commands,) = blocks("bash")
    lines = [line for line in commands.splitlines() if line.startswith("harness ")]
    said = []
    for line in lines:
        words = shlex.split(line)[1:]
        quiet = ["--quiet"] if words[0] == "sweep" else []
        code, out, err = harness(*words, *quiet, cwd=tmp_path, before=str(package))
        assert code == 0, (line, err)
        said.append(out)
    assert "my-components 1.0" in said[0]
    assert "margin" in said[-1]
    assert re.search(r"expected at the start +\d", said[4])  # theory knows the init


@pytest.mark.slow
def test_its_init_is_what_it_says(tmp_path, package):
    """The measured first loss of ten seeds agrees with what theory expects of the drawn weights."""
    code, _, err = harness(
        "sweep", "init=sparse", "seed=range(10)", "train.steps=0", "data.fraction=.05", "--quiet",
        cwd=tmp_path, before=str(package),
    )  # fmt: skip
    assert code == 0, err
    import json

    code, out, err = harness(
        "compare", "--json", "--metric", "init/loss_z", cwd=tmp_path, before=str(package)
    )
    assert code == 0, err
    (row,) = json.loads(out)
    z = row["metrics"]["init/loss_z"]
    assert row["n"] == 10 and abs(z["mean"]) < 1.5 and 0.3 < z["sd"] < 2.5
