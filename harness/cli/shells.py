"""Completion in bash, zsh and fish: their scripts, and the answer to what they ask.

A script hands over the line up to the cursor in COMP_LINE and is answered with whole words, one a
line; what ends in "=", "." or "/" goes on without a blank.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import ClassVar

import click
from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    add_completion_class,
    split_arg_string,
)

from harness.cli.options import COMPLETE, cli
from harness.errors import ConfigError, HarnessError, shown

# bash cuts words at COMP_WORDBREAKS, which has "=", and replaces what follows the last cut
BASH = """\
%(complete_func)s() {
    local line
    COMPREPLY=()
    while IFS= read -r line || [[ -n $line ]]; do
        COMPREPLY+=("$line")
    done < <(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_CUTS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=./:] ]]; then
        compopt -o nospace 2>/dev/null
    fi
    return 0
}
complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null ||
    complete -F %(complete_func)s %(prog_name)s
"""
ZSH = """\
#compdef %(prog_name)s
%(complete_func)s() {
    local line
    local -a whole open
    for line in "${(@f)$(COMP_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" \\
        %(complete_var)s=zsh_complete "$words[1]" 2>/dev/null)}"; do
        [[ -z $line ]] && continue
        if [[ $line == *[=./:] ]]; then open+=("$line"); else whole+=("$line"); fi
    done
    (( $#open )) && compadd -Q -S '' -V settings -- $open
    (( $#whole )) && compadd -Q -V values -- $whole
    return 0
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef %(complete_func)s %(prog_name)s
fi
"""
FISH = """\
function %(complete_func)s
    set -l line (commandline -cp | string collect)
    COMP_LINE="$line" %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null
end
complete --no-files --keep-order --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class _Asking(ShellComplete):
    """One protocol for all shells."""

    name: ClassVar[str] = ""
    source_template: ClassVar[str] = ""
    undo: ClassVar[str] = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the cursor's, without the command, and what of that one is typed."""
        line = os.environ.get("COMP_LINE", "")
        _, *words = split_arg_string(line) or [""]
        return (words[:-1], words[-1]) if words and not line[-1].isspace() else (words, "")

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """As click's; nothing where what stands before is wrong."""
        try:
            return super().get_completions(args, incomplete)
        except (HarnessError, click.ClickException):
            return []

    def format_completion(self, item: CompletionItem[str]) -> str:
        """The word itself."""
        return str(item.value)


class Bash(_Asking):
    """Only what follows the last of the characters at which bash cuts words."""

    name: ClassVar[str] = "bash"
    source_template: ClassVar[str] = BASH
    undo: ClassVar[str] = "complete -r harness"

    def complete(self) -> str:
        """A word a line."""
        args, incomplete = self.get_completion_args()
        cuts = "".join(c for c in "=:" if c in os.environ.get("COMP_CUTS", ""))
        cut = re.match(f".*[{cuts}]", incomplete) if cuts else None
        start = cut.end() if cut else 0
        return "\n".join(str(one.value)[start:] for one in self.get_completions(args, incomplete))


class Zsh(_Asking):
    """zsh takes whole words."""

    name: ClassVar[str] = "zsh"
    source_template: ClassVar[str] = ZSH
    undo: ClassVar[str] = "compdef -d harness"


class Fish(_Asking):
    """fish takes whole words, and adds no blank after one that ends in "=", "." or "/"."""

    name: ClassVar[str] = "fish"
    source_template: ClassVar[str] = FISH
    undo: ClassVar[str] = "complete --erase --command harness"


SHELLS: dict[str, type[_Asking]] = {one.name: one for one in (Bash, Zsh, Fish)}


def teach_click() -> None:
    """Let click's main answer shells in this way: _HARNESS_COMPLETE=bash_source and the rest."""
    for one in SHELLS.values():
        add_completion_class(one)


def script(shell: str | None = None) -> str:
    """The script for one shell; without a name for that of the variable SHELL, else ConfigError."""
    name = shell or Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise ConfigError(
            f"SHELL is {shown(name)}; allowed: {', '.join(SHELLS)}, as in harness completion bash."
        )
    return SHELLS[name](cli, {}, "harness", COMPLETE).source().rstrip()


def asked(what: str, shell: str) -> str:
    """What Hydra's -sc is to print: a script, one that undoes it, or what could come next."""
    if what == "query":
        return SHELLS[shell](cli, {}, "harness", COMPLETE).complete()
    return script(shell) if what == "install" else SHELLS[shell].undo
