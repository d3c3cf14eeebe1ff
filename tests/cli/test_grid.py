"""Grids that are no full product: lists paired, points dropped, several grids side by side."""

import json

import pytest
import yaml

from harness.cli import command_line
from harness.cli.grid import Drawn, kept, points, read_shape
from harness.errors import ConfigError
from tests.support.driven import harness

SMALL = ["data.fraction=0.02", "model.hidden=[8]"]


def grid(*argv, zips=(), drops=()):
    """(loss, lr, reg, strength, seed) of every run that a command line means."""
    task = command_line.Look(shape=read_shape(zips, drops, where="--"))
    command_line.call([*argv, *SMALL], task, multirun=True)
    return [
        (c["loss"]["name"], c["optim"]["lr"], c["reg"]["name"], c["reg"]["strength"], c["seed"])
        for c in task.configs
    ], task


def test_zipped_lists_move_together():
    rows, task = grid("loss=mse,bce", "optim.lr=.1,.2", "seed=0,1", zips=[["loss", "optim.lr"]])
    assert [(loss, lr, seed) for loss, lr, _, _, seed in rows] == [
        ("mse", 0.1, 0), ("mse", 0.1, 1), ("bce", 0.2, 0), ("bce", 0.2, 1),
    ]  # fmt: skip
    assert task.drawn.axes == ["[loss, optim.lr] (2) x seed (2) = 4 points"]


def test_a_list_that_the_command_line_replaces_does_not_count():
    """The experiment's own 256 x 256 points would be too many beside two more axes."""
    task = command_line.Look()
    told = ["experiment=trainability", "init.weight_scale=1,2", "optim.lr=.1,.2", "seed=0,1"]
    command_line.call(told, task, multirun=True)
    assert task.drawn.points == len(task.configs) == 8


def test_three_lists_and_two_groups():
    axes = {k: [f"{k}={i}" for i in range(2)] for k in "abcde"}
    found = points(axes, [("a", "c", "e"), ("d", "b")])
    assert found == [
        [f"a={i}", f"c={i}", f"e={i}", f"b={j}", f"d={j}"] for i in (0, 1) for j in (0, 1)
    ]


def test_one_value_goes_with_all_values_of_the_list_it_is_zipped_with():
    rows, task = grid("loss=mse,bce", "optim.lr=.1", "seed=0,1", zips=[["loss", "optim.lr"]])
    assert len(rows) == 4 and {lr for _, lr, *_ in rows} == {0.1}
    assert task.drawn.axes == ["loss (2) x seed (2) = 4 points"]


def test_dropped_points_are_left_out_before_they_are_validated():
    """reg=none with a strength is an invalid run: dropped, it is never built."""
    rows, task = grid(
        "reg=none,l2", "reg.strength=0,10", drops=["reg=none,strength>0", "reg=l2,strength=0"]
    )
    assert [(reg, strength) for _, _, reg, strength, _ in rows] == [("none", 0), ("l2", 10)]
    assert task.drawn.dropped == {"reg=none,strength>0": 1, "reg=l2,strength=0": 1}


def test_one_drop_takes_only_points_that_meet_all_of_it():
    configs = [{"a": {"x": i, "y": j}} for i in range(3) for j in range(3)]
    drawn = Drawn()
    left = [
        c["a"] for c, keep in zip(configs, kept(configs, ["x=1,y>0"], drawn), strict=True) if keep
    ]
    assert {"x": 1, "y": 0} in left and len(left) == 7 and drawn.dropped == {"x=1,y>0": 2}


@pytest.mark.parametrize(
    ("argv", "zips", "drops", "words"),
    [
        (["loss=mse,bce", "optim.lr=.1,.2,.3"], [["loss", "optim.lr"]], [],
         "loss has 2, optim.lr has 3"),
        (["loss=mse,bce", "optim.lr=.1,.2"], [["loss", "lr"]], [], "Did you mean optim.lr?"),
        (["seed=0,1"], [["optim.lr", "loss"]], [], "none of them is an axis"),
        (["seed=0,1"], [], ["sead=1"], "Did you mean 'seed'?"),
        (["seed=0,1"], [], ["seed>=0"], "takes all 2 points"),
        (["seed=0,1"], [], ["nonsense"], "is no condition"),
    ],
)  # fmt: skip
def test_a_shape_that_makes_no_sense_is_refused_by_name(argv, zips, drops, words):
    with pytest.raises(ConfigError) as refused:
        grid(*argv, zips=zips, drops=drops)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"zips": [["a"]]}, "two or more"),
        ({"zips": [["a", "b"], ["b", "c"]]}, "b in two groups"),
        ({"zips": "a,b"}, "list of lists"),
        ({"drops": "a=1"}, "list of conditions"),
        ({"grids": [3]}, "mappings"),
    ],
)
def test_yaml_of_another_form_is_refused(given, words):
    with pytest.raises(ConfigError, match=words):
        read_shape(**given)


def experiment(folder, sweeper):
    (folder / "experiment").mkdir()
    text = "# @package _global_\n" + yaml.safe_dump({"hydra": {"sweeper": sweeper}})
    (folder / "experiment" / "mine.yaml").write_text(text)
    return ["-cd", str(folder), "experiment=mine"]


def test_yaml_holds_several_grids_zips_and_drops(tmp_path):
    flags = experiment(
        tmp_path,
        {
            "params": {"seed": "0,1"},
            "grids": [
                {"loss": "mse,bce", "optim.lr": ".1,.2"},
                {"reg": "l2", "reg.strength": "1,10"},
            ],
            "zip": [["loss", "optim.lr"]],
            "drop": ["seed=1,strength=10"],
        },
    )
    rows, task = grid(*flags)
    assert rows == [
        ("mse", 0.1, "none", 0.0, 0), ("bce", 0.2, "none", 0.0, 0),
        ("mse", 0.1, "none", 0.0, 1), ("bce", 0.2, "none", 0.0, 1),
        ("cross_entropy", 0.1, "l2", 1, 0), ("cross_entropy", 0.1, "l2", 10, 0),
        ("cross_entropy", 0.1, "l2", 1, 1),
    ]  # fmt: skip
    assert len(task.drawn.axes) == 2
    rows, _ = grid(*flags, "seed=7")  # the command line takes an axis' place in every grid
    assert {row[-1] for row in rows} == {7} and len(rows) == 4


def test_a_list_as_an_axis_is_answered_with_the_text_to_write(tmp_path):
    flags = experiment(tmp_path, {"params": {"init.weight_scale": [0.1, 0.2]}})
    with pytest.raises(ConfigError, match=r"write the text '0.1,0.2'"):
        grid(*flags)


@pytest.mark.slow
def test_the_command_shows_the_shape_and_trains_what_is_left(tmp_path):
    words = ["sweep", "loss=mse,bce", "optim.lr=.1,.2", "--zip", "loss,optim.lr", "seed=0,1,2",
             "--drop", "seed=2,loss=mse", *SMALL, "train.steps=5", "tracking=off"]  # fmt: skip
    code, out, err = harness(*words, "--dry-run", cwd=tmp_path)
    assert code == 0, err
    assert "grid: [loss, optim.lr] (2) x seed (3) = 6 points" in out
    assert "dropped 1 where seed=2,loss=mse" in out
    code, out, err = harness(*words, cwd=tmp_path)
    assert code == 0, err
    code, out, _ = harness("compare", "--json", "--by", "seed", cwd=tmp_path)
    assert sum(row["n"] for row in json.loads(out)) == 5


def test_a_sweep_in_batches_reports_its_end_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["optim.lr=.02,.1", "seed=0,1", *SMALL, "train.steps=5", "tracking=off",
             "hydra.sweeper.max_batch_size=1", "engine.workers=1"]  # fmt: skip
    assert command_line.run([*words, "--dry-run"], multirun=True) == 0
    assert "runs            4," in capsys.readouterr().out
    assert command_line.run(words, multirun=True) == 0
    out = capsys.readouterr().out
    assert out.count("harness report") == 1 and "of 2, by" in out  # two configurations


class Learner:
    """Like Optuna's sweeper: batches through the launcher, each hanging on the values before."""

    def __init__(self, task):
        self.task, self.heard = task, []

    def sweep(self, configs):
        for config in configs:
            (value,) = self.task.fused([config], [[]])
            self.heard.append(float(value))


@pytest.mark.slow
def test_a_sweeper_of_another_kind_gets_numbers_and_one_end(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    look = command_line.Look()
    words = ["optim.lr=.5,.02,.1", *SMALL, "train.steps=30", "tracking=off", "engine.workers=1"]
    command_line.call(words, look, multirun=True)
    dry = command_line.Task(dry_run=True)
    learner = Learner(dry)
    learner.sweep(look.configs)
    assert learner.heard == [0.0] * 3  # numbers, so that it can go on
    assert capsys.readouterr().out.count("Nothing was trained") == 1
    task = command_line.Task(quiet=True)
    learner = Learner(task)
    learner.sweep(look.configs)
    task.tell()
    out = capsys.readouterr().out
    assert "of 3, by" in out
    best = f"{min(learner.heard):.4f}"
    first = next(line for line in out.splitlines() if line.strip().startswith("1 "))
    assert best in first and best == f"{learner.heard[0]:.4f}"  # of the first batch, not the last
