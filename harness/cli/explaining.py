"""`harness explain`, the settings in `harness train --help`, and the page docs/settings.md.

python -m harness.cli.explaining > docs/settings.md makes the page anew.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from harness.cli.near import setting_meant
from harness.cli.spelling import group_choices
from harness.components.params import Param
from harness.config import catalogue
from harness.config.catalogue import Entry
from harness.config.keys import choosing
from harness.config.labels import text
from harness.errors import ConfigError, shown
from harness.paths import conf_dir

WIDTH = 80
HEAD = """\
# Settings

Every setting: what it means, what is allowed, its default. `harness explain optim.lr` says more
about one, `harness explain optim` about a group. (Made by `python -m harness.cli.explaining`.)
"""


def explain(key: str) -> list[str]:
    """Lines about a setting (optim.lr, optim.params.NAME), a group (optim), a choice (optim=adam).

    ConfigError for what is none of these, with what was meant.
    """
    known = catalogue.entries()
    group, equals, name = key.partition("=")
    if equals:
        return list(_choice(group, name))
    if key in known:
        return list(_setting(known[key]))
    if lines := list(_of_components(key)):
        return lines
    if key in catalogue.groups():
        return [*textwrap.wrap(f"{key}: {catalogue.about(key)}", WIDTH), "", *table(key)]
    names = [*known, *catalogue.groups()]
    raise ConfigError(
        f"KEY is {shown(key)}; allowed: a setting (harness train --help lists them), a group "
        f"({', '.join(catalogue.groups())}), or a choice such as optim=adam."
        f"{setting_meant(key, names)}"
    )


def _setting(entry: Entry) -> Iterator[str]:
    yield from textwrap.wrap(f"{entry.key}: {entry.meaning}", WIDTH, break_on_hyphens=False)
    yield ""
    yield from _row("allowed", entry.allowed)
    yield from _row("default", entry.default)
    if entry.seed:
        yield from _row("seed", "replicates differ in it; comparisons fold them into a mean")
    elif entry.counts:
        yield from _row("identity", "part of a run's id: another value is another run")
    else:
        yield from _row("identity", "changes no number of a run, and no id")
    if entry.counts:
        how = "together in one program" if entry.stacks else "each in a program of its own"
        yield from _row("in a grid", f"runs that differ in it are trained {how}")
    if entry.registry is not None:
        yield ""
        for name in entry.registry:
            yield from _row(name, entry.registry.get(name).summary, indent=2, width=22)
    chosen = choosing(entry.group)
    if chosen is not None and chosen[0] == entry.key:
        yield ""
        yield f"Chosen as {entry.group}=NAME; harness explain {entry.group}=NAME says what it sets."


def _choice(group: str, name: str) -> Iterator[str]:
    """What a group file or a component of that name sets and declares."""
    options = list(group_choices().get(group, ()))
    found = choosing(group)
    options += [own for own in (found[1] if found else ()) if own not in options]
    if name not in options:
        raise ConfigError(
            f"KEY is {shown(f'{group}={name}')}; allowed for {group}: {', '.join(options) or '-'}."
        )
    yield f"{group}={name}"
    if found is not None and name in found[1]:
        spec = found[1].get(name)
        yield from _row("", spec.summary, indent=2, width=0)
        prefix = f"{group}.params"
        yield from (line for own, p in spec.params.items() for line in _param(prefix, own, p))
    path = conf_dir() / group / f"{name}.yaml"
    if path.is_file():
        yield ""
        yield f"conf/{group}/{name}.yaml:"
        yield from (f"  {line}" for line in path.read_text(encoding="utf-8").splitlines())


def _of_components(key: str) -> Iterator[str]:
    """What components declare under this key: optim.params.NAME."""
    group, found, name = key.partition(".params.")
    chosen = choosing(group) if found else None
    if chosen is None:
        return
    for own in chosen[1]:
        params = chosen[1].get(own).params
        if name in params:
            yield f"With {group}={own}:"
            yield from _param(f"{group}.params", name, params[name])


def _param(prefix: str, name: str, param: Param) -> Iterator[str]:
    words = f"{param.help or 'its own setting'}; {param.allowed()}; default {text(param.default)}"
    yield from _row(f"{prefix}.{name}", words, indent=2, width=22)


def _row(name: str, words: str, *, indent: int = 0, width: int = 10) -> list[str]:
    head = f"{' ' * indent}{name:<{width}}"
    return textwrap.wrap(
        words, WIDTH, initial_indent=head if len(head.split()) == 0 else f"{head} ",
        subsequent_indent=" " * (indent + width + 1), break_on_hyphens=False,
    ) or [head.rstrip()]  # fmt: skip


def table(group: str) -> Iterator[str]:
    """The settings of a group for a terminal of 80 columns."""
    for entry in catalogue.entries().values():
        if entry.group == group:
            words = f"{entry.meaning}; {entry.allowed}; default {entry.default}"
            yield from _row(entry.key, words, indent=2, width=24)


def overview() -> str:
    """All settings, group by group, for `harness train --help`."""
    out: list[str] = []
    for group in catalogue.groups():
        out += ["", *textwrap.wrap(f"{group}: {catalogue.about(group)}", WIDTH), *table(group)]
    return "\n".join([*out, "", *table("seed")])


def page() -> str:
    """docs/settings.md."""
    out = [HEAD]
    for group in (*catalogue.groups(), "seed"):
        out.append(f"## {group}\n")
        if group != "seed":
            out.append(catalogue.about(group) + "\n")
        if choices := group_choices().get(group):
            out.append(f"Choices, `{group}=NAME`: {', '.join(choices)}.\n")
        out.append("| setting | means | allowed | default |\n|---|---|---|---|")
        for entry in catalogue.entries().values():
            if entry.group == group:
                cells = (f"`{entry.key}`", entry.meaning, entry.allowed, f"`{entry.default}`")
                out.append("| " + " | ".join(cells) + " |")
        out.append("")
    return "\n".join(out)


if __name__ == "__main__":
    print(page(), end="")
