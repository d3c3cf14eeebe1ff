"""Misspelt names are answered with the nearest one; paths are taken as they stand."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from harness.cli import main as cli
from harness.cli.near import SYNONYMS
from harness.cli.spelling import check_names, group_choices, known_keys, quote_paths
from harness.errors import ConfigError


@pytest.mark.parametrize(
    ("key", "value", "answer"),
    [
        ("loss", "crossentropy", "Did you mean 'cross_entropy'"),
        ("optim.lrr", 0.1, "Did you mean 'optim.lr'"),
        ("los", "mse", "Did you mean 'loss'"),
        ("reg.strenght", 1, "Did you mean 'reg.strength'"),
        ("tracking.weight", "all", "Did you mean 'tracking.weights'"),
        ("zzz", 1, "known: seed, data"),
        ("lr", 0.1, r"Did you mean 'optim\.lr'"),
        ("optim.learning_rate", 0.1, r"Did you mean 'optim\.lr'"),
        ("learning_rat", 0.1, r"Did you mean 'optim\.lr'"),
        ("hidden", 8, r"Did you mean 'model\.hidden'"),
        ("train.scope", 1, r"Did you mean init\.scope or reg\.scope"),
        ("seeds", 1, "Did you mean 'seed'"),
        ("epochs", 1, r"Did you mean 'train\.steps'"),
        ("weight_decay", 1, r"Did you mean 'reg=weight_decay reg\.strength'"),
        ("loss", 3, "known: bce, "),
        ("experiment", "mian", "Did you mean 'main'"),
    ],
)
def test_unknown_name_is_answered(key, value, answer):
    with pytest.raises(ConfigError, match=answer):
        check_names([(key, [value])], foreign=False)


def test_every_word_of_other_programs_means_a_setting_or_a_group():
    known = {*known_keys(), *group_choices()}
    for word, meant in SYNONYMS.items():
        *chosen, key = meant.split(" ")
        assert key in known or key.startswith("optim.params."), word
        for text in chosen:
            group, _, name = text.partition("=")
            assert name in group_choices()[group], word


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--plott"], ["no flag of harness train", "--again, --dry-run, --quiet"]),
        (["sweep", "--dryrun"], ["Did you mean '--dry-run'?", "--into"]),
        (["estimate", "--plott", "x.svg"], ["no flag of harness estimate", "mean '--plot'?"]),
        (["coordinates", "--with", "8"], ["Did you mean '--widths'?"]),
        (["search", "--trials=3"], ["no flag of harness search"]),
        (["train", "--lr=.1"], ["Settings have no dashes: optim.lr=VALUE."]),
        (["train", "--confg-name=x"], ["Did you mean '--config-name'?"]),
        (["compare", "--byy", "x"], ["Did you mean '--by'?"]),
        (
            ["compare", "--plott"],
            ["no flag of harness compare", "--by, ", "compare --help explains"],
        ),
    ],
)
def test_an_unknown_flag_is_answered_with_the_flags_of_its_verb(words, said, capsys):
    assert cli.run(words) == 2
    err = capsys.readouterr().err
    assert all(part in err for part in said), err


def test_known_names_pass():
    given_ = [(key, [None]) for key in known_keys()] + [("loss", ["mse", "nll"]), ("hydra.x", [1])]
    check_names(given_, foreign=False)
    check_names([("loss", ["my_own"])], foreign=True)  # a YAML of the user's: -cd FOLDER


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=30))
def test_any_path_arrives_as_it_was_written(text):
    """Whatever a file is called, Hydra hands the same name back; `,` alone separates several."""
    if text == "null" or (len(text) > 1 and text[0] == text[-1] and text[0] in "'\""):
        return
    (word,) = quote_paths([f"data.path={text}"])
    (override,) = OverridesParser.create().parse_overrides([word])
    if "," in text:
        parts = [v.text for v in override.sweep_iterator()] if "," in text.strip(",") else None
        assert parts is None or ",".join(parts) == text
    else:
        assert override.value() == text


def test_a_file_with_a_comma_is_one_path(tmp_path):
    path = tmp_path / "a,b (1) = [x] {y} #&;!é.txt"
    path.write_text("ada\n")
    (word,) = quote_paths([f"data.path={path}"])
    (override,) = OverridesParser.create().parse_overrides([word])
    assert override.value() == str(path)


def test_other_settings_and_quoted_paths_are_left_alone():
    words = ["loss=mse,nll", "data.path='x'", "data.path=null", "--cfg", "data.path="]
    assert quote_paths(words) == words
