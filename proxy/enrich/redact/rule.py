"""Rules for secrets that are recognised by their format, each with examples.

The built-in rules are data: `rules/` has one table per kind of secret. A new kind needs a table and
two examples. Records, searches and settings refer to a rule by its `id`. The user's own rules
(`[[redact.rules]]`) have the same form, which `proxy/settings` declares.
"""

from proxy.settings.redact_rules import Rule as Rule
from proxy.settings.redact_rules import built_in_rules as built_in_rules
from proxy.settings.redact_rules import rules_by_id


def is_built_in(rule: Rule) -> bool:
    """True if the rule is an unchanged rule of `rules/`; the tests cover those."""
    return rules_by_id().get(rule.id) is rule
