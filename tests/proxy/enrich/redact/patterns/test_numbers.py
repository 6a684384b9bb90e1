"""Numbers of cards and accounts."""

import json
import random
import uuid
from collections.abc import Callable

from proxy.enrich.redact.patterns.secrets import SecretPatterns
from proxy.enrich.redact.redactor import Redactor
from tests.support.cases import each_of

CARDS = (
    *("4111111111111111", "4222222222222", "4000000000000000006", "5555555555554444", "2223003122003222"),
    *(
        "378282246310005", "30569309025904", "3056930009020004", "36227206271667", "6011111111111117",
        "6510000000000034",
    ),
    *("3530111333300000", "6200000000000005", "6205500000000000004", "6304000000000000", "6731012345678906"),
    *("2200000000000004", "5018000000000009"),
)  # fmt: skip
ACCOUNTS = (
    *("DE89370400440532013000", "GB29NWBK60161331926819", "NO9386011117947", "FR1420041010050500013M02606"),
    *("MT84MALT011000012345MTLCAST001S", "CH9300762011623852957", "nl91abna0417164300"),
)
redact = SecretPatterns().redact


def grouped(number: str, separator: str, sizes: tuple[int, ...] = (4,) * 8) -> str:
    """A number as it is printed."""
    groups = []
    for size in sizes:
        groups.append(number[:size])
        number = number[size:]
    return separator.join(filter(None, groups))


@each_of("number", [*CARDS, *ACCOUNTS])
def test_numbers_are_found(number: str) -> None:
    """In prose, JSON of any depth, forms, lines, behind escapes; what is beside them stays."""
    places = {
        "pay with %s, please.": "pay with [REDACTED], please.",
        "%s": "[REDACTED]",
        '{"n": "%s"}': '{"n": "[REDACTED]"}',
        r'{"n": "a\n%s\tb"}': r'{"n": "a\n[REDACTED]\tb"}',
        r'{"n": "{\"m\":\"\\n%s\"}"}': r'{"n": "{\"m\":\"\\n[REDACTED]\"}"}',
        "a=1&n=%%20%s&b=2": "a=1&n=%%20[REDACTED]&b=2",
        r'{"n": "\u000a%s"}': r'{"n": "\u000a[REDACTED]"}',
        "/accounts/%s/x": "/accounts/[REDACTED]/x",
    }
    for place, shown in places.items():
        once = redact((place % number).encode())
        assert once.decode() == shown.replace("%%", "%"), place
        assert redact(once) == once


@each_of("separator", [" ", "-", "+", "\u00a0", "%20", "\\u0020", "\\u00a0", "\u202f"])
def test_groups_are_one_number(separator: str) -> None:
    """As on a card, or on paper."""
    for number, sizes in (
        *(("4111111111111111", (4, 4, 4, 4)), ("378282246310005", (4, 6, 5)), ("30569309025904", (4, 6, 4))),
        *((account, (4,) * 8) for account in ACCOUNTS),
    ):
        text = f'{{"n":"{grouped(number, separator, sizes)}"}}'
        assert redact(text.encode()) == b'{"n":"[REDACTED]"}', text


def test_what_follows_a_number_stays() -> None:
    """A date, a word."""
    assert redact(b"4111 1111 1111 1111 12/27") == b"[REDACTED] 12/27"
    assert redact(b"DE89 3704 0044 0532 0130 00 from Bob") == b"[REDACTED] from Bob"


@each_of(
    ("text", "shown"),
    [
        ('{"cardNumber": 4111111111111111}', '{"cardNumber": "[REDACTED]"}'),
        ('{"a":{"n":4111111111111111,"b":1}}', '{"a":{"n":"[REDACTED]","b":1}}'),
        ('{"n":[4111111111111111, 378282246310005]}', '{"n":["[REDACTED]", "[REDACTED]"]}'),
        ('{"r":[["bob",4111111111111111]]}', '{"r":[["bob","[REDACTED]"]]}'),
        ('[4111111111111111]', '["[REDACTED]"]'),
        (r'{"a":"{\"n\": 4111111111111111}"}', r'{"a":"{\"n\": \"[REDACTED]\"}"}'),
        (r'{"a":"{\n\"n\":[4111111111111111]}"}', r'{"a":"{\n\"n\":[\"[REDACTED]\"]}"}'),
        ('{"note":"n: 4111111111111111, ok"}', '{"note":"n: [REDACTED], ok"}'),
        ('{"note":": 4111111111111111"}', '{"note":": [REDACTED]"}'),
        ('{"note":"[4111111111111111, 1]"}', '{"note":"[[REDACTED], 1]"}'),
    ],
)  # fmt: skip
def test_json_stays_json(text: str, shown: str) -> None:
    """A number becomes a string where it is one of JSON, and nothing but itself where it is part of a string."""
    json.loads(text)
    for patterns in (redact, Redactor().redact_value):
        assert patterns(text.encode()).decode() == shown
        assert patterns(shown.encode()).decode() == shown
    json.loads(shown)


@each_of(
    "text",
    [
        '{"a":4111111111111111.5}', '{"a":1.4111111111111111}', '{"a":-4111111111111111}', "4111111111111112",
        "x4111111111111111", "4111111111111111a", "4111.1111.1111.1111", "4111 1111-1111 1111", "9111111111111110",
        "DE89370400440532013001", "XX89370400440532013000", "DE8937040044053201300", "De89370400440532013000",
        '{"order_id":"4111111111111111"}', '{"traceId": 4111111111111111}', "ts=4111111111111111",
        '{"start_time_ns": 4111111111111111}',
    ],
)  # fmt: skip
def test_other_numbers_stay(text: str) -> None:
    """Wrong check digits and lengths, parts of others, and digits whose name says what they are."""
    assert redact(text.encode()) == text.encode()


def test_numbers_that_are_none_are_seldom_taken_for_one() -> None:
    """None of those that name themselves or have a shape of their own; of random digits one in thirty at most."""
    g = random.Random(11)
    named: list[Callable[[], str]] = [
        lambda: json.dumps({"order_id": g.randrange(10**15, 10**16)}),
        lambda: json.dumps({"t": 1_700_000_000_000 + g.randrange(10**11)}),
        lambda: json.dumps({"t": 1_700_000_000_000_000_000 + g.randrange(10**17)}),
        lambda: json.dumps(
            {"v": (1_700_000_000_000 - 1_288_834_974_657 + g.randrange(10**10) << 22) + g.randrange(1 << 22)}
        ),
        lambda: json.dumps({"v": f"{g.randrange(1 << 128):032x}"}),
        lambda: str(uuid.UUID(int=g.randrange(1 << 128))),
        lambda: json.dumps([g.random(), g.random() * 1e4]),
    ]
    for make in named:
        texts = [make().encode() for _ in range(2000)]
        assert [text for text in texts if redact(text) != text] == []
    texts = [b"see %d there" % g.randrange(10**12, 10**19) for _ in range(2000)]
    assert sum(redact(text) != text for text in texts) < len(texts) // 30
