"""Rules of secrets that are known by their looks: what each reads like, and examples that show it.
Pure.

They are data, in the files of `rules/`, one table a kind, so that a kind is added by a table and
two examples, and is named in what sidelog shows: by its `id` in records, searches and settings. Own
ones (`[[redact.rules]]`) have the same form, which is declared with the settings.
"""

from proxy.settings.redact_rules import Rule as Rule
from proxy.settings.redact_rules import built_in_rules as built_in_rules
from proxy.settings.redact_rules import rules_by_id


def is_built_in(rule: Rule) -> bool:
    """Whether it is one of our files, as it stands there: these are tested."""
    return rules_by_id().get(rule.id) is rule
