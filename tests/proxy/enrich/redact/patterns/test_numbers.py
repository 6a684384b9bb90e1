"""Numbers of cards and accounts."""

import json
import random
import uuid
from collections.abc import Callable

from proxy.enrich.redact.patterns.secrets import SecretPatterns
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
    *(
        "DE89370400440532013000",
        "GB29NWBK60161331926819",
        "NO9386011117947",
        "FR1420041010050500013M02606",
    ),
    *("MT84MALT011000012345MTLCAST001S", "CH9300762011623852957", "nl91abna0417164300"),
)
COUNTRIES = (
    "AD1200012030200359100100 AE070331234567890123456 AL47212110090000000235698741 "
    "AT611904300234573201 "
    "AZ21NABZ00000000137010001944 BA391290079401028494 BE68539007547034 BG80BNBG96611020345678 "
    "BH67BMAG00001299123456 "
    "BR1800360305000010009795493C1 CR05015202001026284066 CY17002001280000001200527600 "
    "CZ6508000000192000145399 DK5000400440116243 DO28BAGR00000001212453611324 EE382200221020145685 "
    "ES9121000418450200051332 FI2112345600000785 "
    "FO6264600001631634 GE29NB0000000101904917 GI75NWBK000000007099453 GL8964710001000206 "
    "GR1601101250000000012300695 "
    "GT82TRAJ01020000001210029690 HR1210010051863000160 HU42117730161111101800000000 "
    "IE29AIBK93115212345678 "
    "IQ98NBIQ850123456789012 IS140159260076545510730339 IT60X0542811101000000123456 "
    "JO94CBJO0010000000000131000302 "
    "KW81CBKU0000000000001234560101 KZ86125KZT5004100100 LB62099900000001001901229114 "
    "LI21088100002324013AA "
    "LC55HEMM000100010012001200023015 LT121000011101001000 LU280019400644750000 "
    "LV80BANK0000435195001 "
    "MC5811222000010123456789030 MD24AG000225100013104168 ME25505000012345678951 "
    "MK07250120000058984 "
    "MR1300020001010000123456753 PK36SCBL0000001123456702 PL61109010140000071219812874 "
    "PT50000201231234567890154 "
    "QA58DOHB00001234567890ABCDEFG RO49AAAA1B31007593840000 RS35260005601001611379 "
    "SA0380000000608010167519 "
    "SE4550000000058398257466 SI56263300012039086 SK3112000000198742637541 "
    "SM86U0322509800000000270100 "
    "TN5910006035183598478831 TR330006100519786457841326 UA213223130000026007233566001 "
    "VG96VPVG0000012345678901"
)
"""The examples of the registry."""
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
        *(
            ("4111111111111111", (4, 4, 4, 4)),
            ("378282246310005", (4, 6, 5)),
            ("30569309025904", (4, 6, 4)),
        ),
        *((account, (4,) * 8) for account in ACCOUNTS),
    ):
        text = f'{{"n":"{grouped(number, separator, sizes)}"}}'
        assert redact(text.encode()) == b'{"n":"[REDACTED]"}', text


@each_of("account", COUNTRIES.split())
def test_accounts_of_each_country_are_found(account: str) -> None:
    """In one run and as printed, in large and in small letters."""
    for number in (account, account.lower()):
        for written in (number, grouped(number, " "), grouped(number, "-")):
            assert redact(b"to %b today" % written.encode()) == b"to [REDACTED] today"


@each_of(
    "text",
    [
        "be1234a678901234-87ae", "339310-2b7b-de99-878f-40ed2c805ac7", "ba391290-0794-1028-4940-123456789012",
        "trace=ad611a3e80c6bcbd6fea51ca4fae2cf5", "ad12da345678fe9", "0.4111111111111111", "4111111111111111.5",
        "ad13643a853379d4c4125a5e", "be0a1b2c3d4e5f60", "Ab12CdEf34GhIj56KlMn78Op", "2026-1128-1015-123456789012",
    ],
)  # fmt: skip
def test_parts_of_others_are_ruled_out_at_a_glance(text: str) -> None:
    """UUIDs, hexadecimal digits, fractions and base64: it takes no closer look."""
    assert not SecretPatterns().may_hold(b'{"a": "%b"}' % text.encode())


def test_numbers_that_are_none_are_seldom_taken_for_one() -> None:
    """None of those that name themselves or have a shape of their own; of random digits one in
    thirty at most.
    """
    g = random.Random(11)
    named: list[Callable[[], str]] = [
        lambda: json.dumps({"order_id": g.randrange(10**15, 10**16)}),
        lambda: json.dumps({"t": 1_700_000_000_000 + g.randrange(10**11)}),
        lambda: json.dumps({"t": 1_700_000_000_000_000_000 + g.randrange(10**17)}),
        lambda: json.dumps(
            {
                "v": (1_700_000_000_000 - 1_288_834_974_657 + g.randrange(10**10) << 22)
                + g.randrange(1 << 22)
            }
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
