"""Command lines and data files that are wrong in some way, and the one way they may end."""

import contextlib
import io
import os
import tempfile
import warnings
from collections import Counter
from pathlib import Path

from hypothesis import strategies as st

from harness.cli import dry_run
from harness.cli import main as cli
from harness.cli.spelling import group_choices, known_keys
from harness.config.keys import field_rules

SEEN = Counter()  # how examples ended: "taken" or "refused"
TINY = ["--dry-run", "data.words=20"]
dry_run._trial = lambda runs, data: (1e-3, 1e-3)  # what is refused is at stake here, not speed


def end_of(words, files=None):
    """(exit code, stdout, stderr, names made in the folder) of one command in an empty folder."""
    out, err = io.StringIO(), io.StringIO()
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (files or {}).items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        given = every_name(folder)
        os.chdir(folder)
        try:
            with (
                contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
                warnings.catch_warnings(),
            ):  # fmt: skip
                warnings.simplefilter("ignore")
                code = cli.run(list(words))
        finally:
            os.chdir(before)
        made = every_name(folder) - given
    return code, out.getvalue(), err.getvalue(), made


def every_name(folder):
    """Every file and folder below, as paths from there."""
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*")}


def fault(words, files=None):
    """What is wrong with how a command ended, or None; a dry run is what `words` should be."""
    try:
        code, out, err, made = end_of(words, files)
    except BaseException as error:  # an escape past the command line's own handling
        return f"raised {type(error).__name__}: {error}"
    SEEN["taken" if code == 0 else "refused"] += 1
    if code not in (0, 1, 2):
        return f"exit code {code}"
    if "Traceback" in err or "Traceback" in out or "HARNESS_DEBUG=1" in err:
        return f"a defect shown to the user: {err[-300:]}"
    if made:
        return f"made {sorted(made)} (exit code {code})"
    if code == 2 and not err.startswith(("harness: ", "usage:")) and "\nharness: " not in err:
        return f"exit code 2 without a message: {err!r}"
    if code == 1:
        return f"exit code 1 where nothing was trained: {err[-300:]}"
    return None


# strategies: what people, scripts and mischief write

_ODD_NUMBERS = st.sampled_from(
    ["0", "-0", "-1", "1", "2", "0.5", ".5", "1e3", "1e400", "-1e400", "nan", ".nan", "inf",
     "-inf", ".inf", "4294967295", "4294967296", "1e-320", "9" * 30, "0x10", "1_000", "07", "1.",
     "٣", "½", "1,5", "1;5", "1e9", "99999999999999999999.5"]
)  # fmt: skip
_ODD_WORDS = st.sampled_from(
    ["", "null", "None", "~", "true", "yes", "off", "auto", "''", '""', "[]", "{}", "[[]]",
     "[1,2]", "[1,'a']", "{a: 1}", "{a: {b: 1}}", "[null]", "[0.8,0.1,0.1]", "[.5,.5]", "$", "${",
     "${x}", "${seed}", "${optim.lr}", "${oc.env:HOME}", "${oc.env:PATH,x}", "${oc.decode:1}",
     "${hydra:runtime.cwd}", "../../x", "/etc/passwd", "/dev/zero", "~root", "a b", "a,b", "a=b",
     "=", "==", ",", ",,", "(", ")", "]", "'", '"', "\\", "\\'", "#", "!!python/name:os.system",
     "!x", "&a", "*a", "%s", "{0}", "a" * 300, "\n", "\t", "é", "😀", "\u202e", "\x1b[31m",
     "range(3)", "range(1e12)", "range(0,1,0)", "range(5,1)", "choice(1,2)", "interval(0,1)",
     "glob(*)", "sort(2,1)", "shuffle(1,2)", "tag(a,1)", "int(1.5)", "str(1)", "float(x)",
     "_target_", "os.system", "postgresql://u:pw@h/d", "sqlite:///x.db", "http://h:1"]
)  # fmt: skip
_TEXT = st.text(
    alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12
)  # fmt: skip
VALUES = st.one_of(
    _ODD_NUMBERS, _ODD_WORDS, _TEXT, st.integers().map(str), st.floats().map(repr),
    st.lists(st.integers(-5, 300), max_size=4).map(str),
    st.lists(_ODD_WORDS, min_size=2, max_size=3).map(",".join),
)  # fmt: skip


def keys():
    """Names of settings, whole, misspelt or invented."""
    known = st.sampled_from([*known_keys(), *group_choices()])
    cut = known.map(lambda key: key[:-1] + "x")
    more = st.sampled_from(
        ["hydra.sweeper.params", "_target_", "model._target_", "hydra.searchpath",
         "hydra.job.env_set.A", "hydra/launcher", "a.b.c", "seed.x", "optim.lr.x", "loss@x"]
    )  # fmt: skip
    return st.one_of(known, known, known, cut, more, _TEXT)


def settings_words():
    """One argument of a command line."""
    value_of = {
        key: st.sampled_from(sorted(rule["one_of"]))
        for key, rule in field_rules().items()
        if rule.get("one_of")
    }
    proper = st.sampled_from(sorted(value_of)).flatmap(
        lambda key: value_of[key].map(lambda value: f"{key}={value}")
    )
    sign = st.sampled_from(["", "", "", "", "+", "++", "~"])
    odd = st.tuples(sign, keys(), st.just("="), VALUES).map("".join)
    flags = st.sampled_from(
        ["--foo", "-x", "--cfg", "--cfg=job", "-p", "--resolve", "--info=defaults", "--quiet",
         "--into", "--again", "-cn", "-cd", "-cd=.", "-cp=.", "--", "-", "--version", "-m"]
    )  # fmt: skip
    return st.one_of(odd, odd, odd, odd, proper, proper, _TEXT, flags)


def command_lines():
    """A verb that trains nothing, with a few words behind it."""
    verb = st.sampled_from(
        [["train", *TINY], ["train", *TINY], ["sweep", *TINY], ["sweep", *TINY], ["estimate"]]
    )
    return st.tuples(verb, st.lists(settings_words(), min_size=1, max_size=4)).map(
        lambda pair: [*pair[0], *pair[1]]
    )


def reading_lines():
    """Verbs that look for what is not there."""
    verb = st.sampled_from(
        ["show", "sample", "reproduce", "rm --yes", "compare", "report", "list", "diff", "sync"]
    )
    name = st.one_of(_TEXT, _ODD_WORDS, _ODD_NUMBERS, _TEXT.map(lambda text: text + ".yaml"))
    option = st.tuples(
        st.sampled_from(["--ledger", "--uri", "--json", "--by", "-o", "-n", "--seed", "--where"]),
        name,
    ).map(list)
    return st.tuples(verb, st.lists(name, max_size=2), st.one_of(st.just([]), option)).map(
        lambda part: [*part[0].split(), *part[1], *part[2]]
    )


def yaml_files():
    """A user's YAML: mappings of settings, with tags, aliases and other things where values go."""
    leaf = st.one_of(VALUES, st.sampled_from(["!!python/object/apply:os.getcwd []", "*a", "&a 1"]))
    pairs = {"optim": "lr", "model": "n_embd", "train": "steps", "init": "weight_scale", "x": "y"}
    number = st.sampled_from(["1", "2", "0.5", "1.0", "3", "-1", "null"])
    sound = st.tuples(st.sampled_from(sorted(pairs)), st.one_of(number, number, leaf)).map(
        lambda part: (part[0], f"{part[0]}:\n  {pairs[part[0]]}: {part[1]}")
    )
    odd = st.tuples(keys(), leaf).map(lambda pair: (pair[0], f"{pair[0]}: {pair[1]}"))
    lines = st.lists(st.one_of(sound, sound, sound, odd), max_size=3).map(
        lambda parts: "\n".join(["# @package _global_", *(line for _, line in parts)])
    )
    return st.one_of(lines.map(str.encode), lines.map(str.encode), st.binary(max_size=60))


def data_files():
    """Bytes of a word list: sound ones, odd line ends and symbols, bytes that are no text."""
    sound = st.lists(st.text("abcé", min_size=1, max_size=6), min_size=25, max_size=60)
    odd = st.one_of(
        st.text("abc", max_size=6),
        st.text(max_size=6),
        st.sampled_from([".", "\ufeff", "a\tb", " a ", "e\u0301", "a" * 1001, "\x00", "\u2028"]),
    )
    words = st.one_of(sound, st.tuples(sound, st.lists(odd, max_size=3)).map(lambda p: p[0] + p[1]))
    end = st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n"])
    text = st.tuples(st.one_of(words, words, st.lists(odd, max_size=20)), end).map(
        lambda pair: pair[1].join(pair[0]).encode("utf-8", "surrogatepass")
    )
    front = st.sampled_from([b"", b"", b"", b"\xef\xbb\xbf", b"\xff\xfe"])
    whole = st.tuples(front, text).map(b"".join)
    flipped = st.tuples(whole, st.integers(0, 200), st.integers(0, 255)).map(
        lambda part: part[0][: part[1]] + bytes([part[2]]) + part[0][part[1] + 1 :]
    )
    return st.one_of(whole, whole, flipped, st.binary(max_size=80))


def plain_configs():
    """Composed configs as they reach harness from Hydra or a file: any plain value anywhere."""
    whole = st.one_of(st.integers(), st.sampled_from([0, 1, 2**32, 2**64, -(10**400), 10**400]))
    scalar = st.one_of(
        st.none(), st.booleans(), whole, st.floats(), st.text(max_size=8),
        st.sampled_from(["auto", "off", "mse", "file", "w.txt", "a" * 300, "\x00", "\ud800"]),
    )  # fmt: skip
    value = st.recursive(
        scalar,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(_TEXT, inner, max_size=2)
        ),
        max_leaves=6,
    )  # fmt: skip
    near = st.sampled_from(sorted(set(known_keys()))).flatmap(
        lambda key: st.tuples(st.just(key), st.one_of(value, _near(key)))
    )
    odd = st.tuples(st.one_of(_TEXT, st.sampled_from(["seed", "data", "model.x", "x.y"])), value)
    proper = st.sampled_from(sorted(set(known_keys()))).flatmap(
        lambda key: st.tuples(st.just(key), _near(key))
    )
    pairs = st.lists(st.one_of(proper, proper, proper, near, odd), min_size=1, max_size=4)
    return pairs.map(_nested)


def _near(key):
    """Values of the kind a setting takes, some of them too large, too small or misspelt."""
    rule = field_rules().get(key, {})
    if rule.get("one_of"):
        return st.sampled_from([*rule["one_of"], "x"])
    ends = [rule[n] for n in ("low", "above", "high", "below") if rule.get(n) is not None] or [1]
    return st.sampled_from(ends).flatmap(
        lambda end: st.sampled_from([end, end, end, end - 1, end + 1, float(end), [end], [end, 2]])
    )


def _nested(pairs):
    out = {}
    for key, value in pairs:
        group, dot, last = key.partition(".")
        if not dot:
            out[key] = value
        elif isinstance(out.setdefault(group, {}), dict):
            out[group][last] = value
    return out


def fault_of_config(config, content=b""):
    """What is wrong with how a composed config is taken, or None; `content` stands in w.txt."""
    from harness.cli.jobs import check_jobs
    from harness.errors import HarnessError

    before, taken = Path.cwd(), True
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        Path(folder, "w.txt").write_bytes(content)
        os.chdir(folder)
        try:
            check_jobs([config])
        except HarnessError as error:
            taken = False
            if error.exit_code != 2 or not str(error).strip():
                return f"exit code {error.exit_code}: {error!r}"
        except BaseException as error:
            return f"raised {type(error).__name__}: {str(error)[:300]}"
        finally:
            os.chdir(before)
        made = every_name(folder) - {"w.txt"}
    SEEN["taken" if taken else "refused"] += 1
    return f"made {sorted(made)}" if made else None


FILE = {"data": {"name": "file", "path": "w.txt"}, "model": {"hidden": [4]}}
YAML = ["train", "--dry-run", "-cd", ".", "experiment=own"]
PROPERTIES = {  # name: (share of a campaign, strategy, what is wrong with an example or None)
    "composed configs": (0.5, plain_configs(), fault_of_config),
    "data files": (0.2, data_files(), lambda content: fault_of_config(FILE, content)),
    "command lines": (0.2, command_lines(), fault),
    "names and paths": (0.05, reading_lines(), fault),
    "YAML files": (
        0.05, yaml_files(), lambda content: fault(YAML, {"experiment/own.yaml": content}),
    ),
}  # fmt: skip
