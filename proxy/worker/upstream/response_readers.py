"""The readers of response heads: routes with the same header rules share a reader and its memo.

One memo bounds what is remembered for all of them, and knows the heads that several upstreams send.
A reader for each route took 2 to 7 MiB (tracemalloc), where the upstream's heads never repeat.
"""

from functools import partial

from proxy.http1.field_lines import PlainLines
from proxy.http1.header_rules import HeaderRules
from proxy.http1.memo.response_heads import ResponseHeads
from proxy.http1.response_head import ResponseHead, parse_response_head


class ResponseReaders:
    """The readers of one worker."""

    __slots__ = ("_plain", "_readers")

    def __init__(self) -> None:
        self._plain = PlainLines()
        self._readers: dict[tuple[HeaderRules, int], ResponseHeads] = {}

    def reader(self, rules: HeaderRules, max_headers: int) -> ResponseHeads:
        """Return the reader that applies some rules to heads of at most `max_headers` fields; 0:
        any number.
        """
        found = self._readers.get((rules, max_headers))
        if found is None:
            parse = partial(_parse, rules, max_headers or 1 << 20, self._plain)
            found = self._readers[rules, max_headers] = ResponseHeads(parse, kept=rules.without)
        return found


def _parse(rules: HeaderRules, max_headers: int, plain: PlainLines, raw: bytes) -> ResponseHead:
    head = parse_response_head(raw, max_headers=max_headers, plain=plain)
    rules.apply(head)
    return head
