"""Names that a text gives a value by words."""

import pytest

from proxy.enrich.redact.names import BUILT_IN, SecretNames
from proxy.enrich.redact.patterns.secrets import SecretPatterns

PHRASE = b"abandon ability able about above absent absorb abstract absurd abuse access accident"
PATTERNS = SecretPatterns(rules=(), names=SecretNames(BUILT_IN))


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (b"run --hcloud-token 'a1b2c3d4' x", b"run --hcloud-token '[REDACTED]' x"),
        (b"run --smtp-pass hunter22 x", b"run --smtp-pass [REDACTED] x"),
        (b'["--pgpassword", "hunter22"]', b'["--pgpassword", "[REDACTED]"]'),
        (b"run --mnemonic '" + PHRASE + b"' x", b"run --mnemonic '[REDACTED]' x"),
        (b'["--seed-phrase", "' + PHRASE + b'"]', b'["--seed-phrase", "[REDACTED]"]'),
        (b"run --mnemonic one two", b"run --mnemonic one two"),
        (b"run --token please now", b"run --token please now"),
        (b"run --max-tokens 4096000", b"run --max-tokens 4096000"),
        (
            b"see <w:Password a=b>hunter22</w:Password>",
            b"see <w:Password a=b>[REDACTED]</w:Password>",
        ),
        (
            b"f(a: Promise<AccessToken>(resolve, reject)",
            b"f(a: Promise<AccessToken>(resolve, reject)",
        ),
        (b"password&quot;: &quot;hunter22&quot;,", b"password&quot;: &quot;[REDACTED]&quot;,"),
        (b"env DB_PASSWORD hunter22", b"env DB_PASSWORD [REDACTED]"),
        (b"define('DB_PASSWORD', 'hunter22');", b"define('DB_PASSWORD', '[REDACTED]');"),
        (b"the password hunter22", b"the password hunter22"),
    ],
)
def test_values_of_names_go(text: bytes, redacted: bytes) -> None:
    """Of options, elements, variables and constants; words stay."""
    assert PATTERNS.redact(text) == redacted


def test_long_elements_go_whole() -> None:
    """However long their content is."""
    text = b"x <password>" + b"aB3 " * 2000 + b"</password> y"
    assert PATTERNS.redact(text) == b"x <password>[REDACTED]</password> y"
