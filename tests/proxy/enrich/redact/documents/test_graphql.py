"""GraphQL documents: strings of arguments that name a secret go, wherever the document stands."""

from collections import Counter

from proxy.enrich.redact.documents.graphql import GraphqlRedactor
from proxy.enrich.redact.json_values import End
from proxy.enrich.redact.names import BUILT_IN, SecretNames
from proxy.enrich.redact.naming.anchors import anchors_of
from proxy.enrich.redact.scanner import Scanner

NAMES = SecretNames(BUILT_IN)
SCANNER = Scanner((), anchors_of(NAMES.spelled))


def test_cut_off() -> None:
    """A string that the window cuts off is gone, and its rest known to be one."""
    redactor = GraphqlRedactor(NAMES, Counter(), SCANNER)
    for fence in ('"', '"""'):
        text, end = redactor.redact(f"mutation {{ login(password: {fence}hunter2".encode())
        assert text == b'mutation { login(password: "[REDACTED]"'
        assert end is End.IN_STRING
