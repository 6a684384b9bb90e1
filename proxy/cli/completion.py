"""What a shell may complete: words of a search, their values, names of views, and ids of rules.

Strategy: names and fixed values are known here; others are asked of the sidelog that the options
before name, for at most `MAX_WAIT_S`. Whatever goes wrong, nothing is offered and nothing is said:
a shell has no place for errors.

Invariant: values come from recorded traffic, so none is offered that a shell would take for more
than text: bash puts what it is offered into the line as it stands. Names of views, which others may
have given, are the same to it.
"""

import os
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    add_completion_class,
    split_arg_string,
)

if TYPE_CHECKING:
    from proxy.cli.commands.client import Client

COMPLETE_VARIABLE: Final = "_SIDELOG_COMPLETE"
"""By it a shell's completion script asks."""
MAX_WAIT_S: Final = 0.3
_MAX_VALUES: Final = 50
_SIGNS: Final = "-("
_PLAIN: Final = re.compile(r"(?:[\w./:@%+=-]|\{\w*\})+")
"""What is one word and nothing else to every shell, and to a search: names of endpoints with
placeholders are, too.
"""

_BASH: Final = r"""_sidelog_completion() {
    local IFS=$'\n'
    COMPREPLY=( $( env _SIDELOG_COMPLETE=bash_complete COMP_LINE="${COMP_WORDS[*]:0:COMP_CWORD+1}" $1 2>/dev/null ) )
    [[ "${COMPREPLY[0]}" == *[:.] ]] && compopt -o nospace
    return 0
}

complete -o default -F _sidelog_completion sidelog"""
_FISH: Final = r"""function _sidelog_completion
    set -g _sidelog_found (env _SIDELOG_COMPLETE=fish_complete COMP_LINE=(commandline -cp) sidelog 2>/dev/null)
    test -n "$_sidelog_found"
end

complete --command sidelog --no-files --condition _sidelog_completion --arguments '$_sidelog_found'"""
_ZSH: Final = r"""#compdef sidelog

_sidelog_completion() {
  local -a whole partial
  local line value item
  for line in ${(f)"$(env _SIDELOG_COMPLETE=zsh_complete COMP_LINE="${words[1,$CURRENT]}" \
                      ${~words[1]} 2>/dev/null)"}; do
    value=${line%%$'\t'*}
    item="${value//:/\\:}"
    [[ $line == *$'\t'* ]] && item+=":${line#*$'\t'}"
    if [[ $value == *[:.] ]]; then partial+=("$item"); else whole+=("$item"); fi
  done
  if (( ! $#whole && ! $#partial )); then _files; return; fi
  (( $#partial )) && _describe sidelog partial -S ''
  (( $#whole )) && _describe sidelog whole
  return 0
}

compdef _sidelog_completion sidelog"""
"""What ends in a colon or a dot goes on, so that no space comes after it; where nothing is offered,
files are.
"""

SCRIPTS: Final = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
"""Shell → what it evaluates to complete from then on."""
SHELLS: Final = tuple(SCRIPTS)
Values = Callable[[str], Sequence[str]]
"""From a facet to its values, most frequent first."""


class _Lines(ShellComplete):
    """Answers all shells alike: the line up to the cursor comes in, a value a line goes out, with
    what it is.
    """

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)[1:]
        if line[-1:].isspace() or not words:
            return (words, "")
        return (words[:-1], words[-1])

    def format_completion(self, item: CompletionItem[str]) -> str:
        help = " ".join((item.help or "").split())
        if help and self.name != "bash":
            return f"{item.value}\t{help}"
        return item.value

    def complete(self) -> str:
        args, incomplete = self.get_completion_args()
        found = self.get_completions(args, incomplete)
        return "\n".join(self.format_completion(item) for item in found if item.type == "plain")


for _shell in SHELLS:  # each is asked for by its name
    add_completion_class(type("_Lines", (_Lines,), {"name": _shell}))


def complete_search(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete a search that stands among the arguments, in one word of the shell or in several."""
    before = [str(word) for word in ctx.params.get("search") or ()]
    return search_completions(
        before, incomplete, lambda facet: _asked(ctx, lambda admin: _values(admin, facet))
    )


def complete_view(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a view."""
    names = _asked(
        ctx, lambda admin: [view["name"] for view in admin.get_json("/api/views")["views"]]
    )
    is_quoted = os.environ.get(COMPLETE_VARIABLE) != "bash_complete"
    known = [name for name in names if name.startswith(incomplete)]
    return [name for name in known if is_plain(name) or (is_quoted and name.isprintable())]


def complete_rule(
    _: click.Context, __: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Complete the id of a rule by which secrets are found."""
    from proxy.settings.redact_rules import CODE_RULES, rules_by_id

    known = {id_: rule.of for id_, rule in rules_by_id().items()}
    known |= {id_: rule.of for id_, rule in CODE_RULES.items()}
    return [CompletionItem(id_, help=of) for id_, of in known.items() if id_.startswith(incomplete)]


def complete_command(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a program; its own arguments are not known here."""
    if ctx.params.get("command") or not incomplete:
        return []
    found = set()
    for directory in os.get_exec_path():
        with suppress(OSError):
            found |= {
                name
                for name in os.listdir(directory)
                if name.startswith(incomplete) and is_plain(name)
            }

    return sorted(found)[:_MAX_VALUES]


def is_plain(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None


def search_completions(before: Sequence[str], incomplete: str, values: Values) -> list[str]:
    """List what the last word of a search may become.

    Args:
        before: Words in front. Bash ends one at a colon, which is then a word of its own, and replaces what follows.
        incomplete: The text to replace.
        values: Asked for values of a facet where they are wanted.
    """
    from storage.search.language.words import PREFIXES, WORDS

    if incomplete == ":" and before:
        before = [*before, ":"]
        incomplete = ""
    if len(before) > 1 and before[-1] == ":":
        # The value itself may have a colon, as in `redacted:name:password`.
        if len(before) > 3 and before[-3] == ":":
            value = f"{before[-2]}:"
        else:
            value = ""
        found = _values_of(before[-4 if value else -2].lstrip(_SIGNS), value + incomplete, values)
        return [each.removeprefix(value) for each in found]

    head, term = _last_term(incomplete)
    name, colon, typed = term.partition(":")
    if colon:
        return [f"{head}{name}:{value}" for value in _values_of(name, typed, values)]

    offered = [*(f"{word}:" for word in WORDS), *(f"{prefix}." for prefix in PREFIXES)]
    return [head + word for word in offered if word.startswith(term)]


def _last_term(text: str) -> tuple[str, str]:
    """Cut the last term off a search, whatever negates it or opens a bracket left in front."""
    words = text.split(" ")
    term = words[-1].lstrip(_SIGNS)
    return text[: len(text) - len(term)], term


def _values_of(name: str, typed: str, values: Values) -> list[str]:
    """List the values of a word that begin as typed; behind a comma, another one."""
    from storage.search.language.words import find_word

    word = find_word(name)
    if word is None:
        return []

    listed, comma, last = typed.rpartition(",")
    known = [*word.values, *(values(word.facet) if word.facet else ())]
    plain = (value for value in dict.fromkeys(known) if is_plain(value))
    return [f"{listed}{comma}{value}" for value in plain if value.startswith(last)][:_MAX_VALUES]


def _values(admin: "Client", facet: str) -> list[str]:
    found = admin.get_json("/api/facets", {"name": facet, "since": "24h"})
    return [value["value"] for value in found["facets"][facet]]


def _asked(ctx: click.Context, ask: Callable[["Client"], list[str]]) -> list[str]:
    """Ask the running sidelog; return nothing when there is none, or it does not answer in time."""
    from proxy.cli.commands.client import client_from_environment  # not in the time of the answer

    found: list[str] = []

    def work() -> None:
        with suppress(Exception):
            options: list[Any] = [ctx.params.get(name) for name in ("url", "token", "data_dir")]
            found.extend(ask(client_from_environment(*options)))

    asking = threading.Thread(target=work, name="completion", daemon=True)
    asking.start()
    asking.join(MAX_WAIT_S)
    return list(found)
