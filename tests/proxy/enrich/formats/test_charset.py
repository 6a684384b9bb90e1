"""Text in any charset is read as UTF-8: no secret hides in it, and nothing else is taken for such
text.
"""

import json
from encodings.aliases import aliases

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.formats.charset import to_utf8
from proxy.enrich.http.bodies import decode_body, redacted_body
from proxy.enrich.redact.redactor import Redactor
from tests.support.cases import each_of

WIDE = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
SAMPLES = {
    "ISO-8859-1": "Grüße aus Köln",
    "iso-8859-15": "für 5 €",
    "windows-1252": "“naïve” – 5 €",
    '"Windows-1251"': "Привет, мир",
    "KOI8-R": "Привет, мир",
    "koi8-u": "Їжак",
    "Shift_JIS": "日本語のページ",
    "windows-31j": "①日本語",
    "EUC-JP": "日本語のページ",
    "iso-2022-jp": "日本語のページ",
    "gbk": "价格上涨",
    "GB2312": "价格上涨",
    "gb18030": "价格上涨 𠀀",
    "hz-gb-2312": "价格上涨",
    "Big5": "繁體中文",
    "'EUC-KR'": "한국어 문서",
    "x-sjis": "日本語",
    "windows-874": "ภาษาไทย",
    "TIS-620": "ภาษาไทย",
    "macintosh": "Grüße",
    "ibm037": "plain EBCDIC",
    "utf-7": "Grüße",
}


def shown(
    body: bytes, kind: bytes = b"", tail: bytes = b"", size: int = -1
) -> tuple[bytes, bytes, str | None]:
    """Read a body as the record builder does, and redact it."""
    decoded = decode_body(body, tail, max(size, len(body) + len(tail)), b"", content_type=kind)
    assert decoded is not None
    stored = redacted_body(decoded, kind, Redactor(), 1 << 20)
    return stored.head, stored.tail, stored.charset


@each_of(("charset", "text"), SAMPLES.items())
def test_declared_charset_is_read(charset: str, text: str) -> None:
    """In any spelling; what is noted writes the text as it came."""
    codec = (
        charset.strip("'\"")
        .removeprefix("x-")
        .replace("windows-31j", "cp932")
        .replace("windows-874", "cp874")
    )
    sent = f'{{"a": "{text}", "password": "hunter2"}}'.encode(codec)
    for kind in (
        f"application/json; charset={charset}",
        f"TEXT/PLAIN;CHARSET = {charset.upper()}; x=y",
    ):
        head, _, noted = shown(sent, kind.encode())
        assert head.decode() == f'{{"a": "{text}", "password": "[REDACTED]"}}'
        assert noted is not None
        whole = to_utf8(sent, b"", kind.encode())
        assert whole is not None
        assert whole[0].decode().encode(noted) == sent


@each_of(
    "charset", ["utf-8", "iso-8859-1", "windows-1252", "gbk", "shift_jis", "us-ascii", "koi8-r"]
)
@each_of("text", ["Grüße aus Köln", "价格上涨", "plain"])
def test_utf8_stays_as_it_is_whatever_is_declared(charset: str, text: str) -> None:
    """Servers declare a default; text of several bytes a character is no other by chance."""
    assert to_utf8(text.encode(), b"", f"text/html; charset={charset}".encode()) is None


def test_what_a_name_is_used_for_is_read_too() -> None:
    """Browsers read Windows' characters in Latin-1, and so on (WHATWG Encoding §4.2)."""
    for charset, codec, text in (
        ("ISO-8859-1", "cp1252", "“quoted” – 5 €"),
        ("us-ascii", "cp1252", "naïve"),
        ("shift_jis", "cp932", "①㈱"),
        ("gb2312", "gbk", "镕基"),
        ("euc-kr", "cp949", "똠방각하"),
    ):
        read = to_utf8(text.encode(codec), b"", f"text/plain; charset={charset}".encode())
        assert read is not None
        assert read[0].decode() == text


@each_of(
    "name",
    [
        "rot13",
        "zlib",
        "base64",
        "hex",
        "idna",
        "punycode",
        "unicode_escape",
        "bz2",
        "no-such",
        "../x",
        "uu",
    ],
)
def test_other_codecs_are_not_asked_for(name: str) -> None:
    """They are no charsets, or none that exists."""
    assert to_utf8("Grüße".encode("latin-1"), b"", f"text/plain; charset={name}".encode()) is None


def test_every_charset_of_python_takes_any_bytes() -> None:
    """Nothing raises."""
    for name in {*aliases, *aliases.values()}:
        for text in (bytes(range(128, 256)), bytes(range(256)), b"~{\x1b$B+AGE", b"\xff" * 9):
            read = to_utf8(text, text, f"text/plain; charset={name}".encode())
            assert read is None or read[0].decode() is not None


@pytest.mark.parametrize(
    "kind",
    ["image/png; charset=ISO-8859-1", "application/zip;charset=gbk", "text/plain; charset=koi8-r"],
)
def test_bytes_with_control_characters_are_no_text(kind: str) -> None:
    """Servers add a charset to what is none."""
    assert (
        to_utf8(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)), b"", kind.encode())
        is None
    )


@each_of(
    ("kind", "page"),
    [
        ("text/html", '<html><head><meta charset="shift_jis"><title>日本語</title>'),
        (
            "text/html",
            "<META http-equiv='Content-Type' content='text/html; charset=Shift_JIS'><p>日本語",
        ),
        ("application/xml", '<?xml version="1.0" encoding="Shift_JIS"?><a>日本語</a>'),
        ("application/soap+xml", "<?xml version='1.0' encoding='shift_jis' ?><a>日本語</a>"),
        ("text/css", '@charset "shift_jis"; a { content: "日本語" }'),
    ],
)
def test_markup_names_its_charset_itself(kind: str, page: str) -> None:
    """Where the content type does not; what that says counts more."""
    read = to_utf8(page.encode("shift_jis"), b"", kind.encode())
    assert read == (page.encode(), b"", "shift_jis")
    assert to_utf8(page.encode(), b"", kind.encode()) is None
    assert to_utf8(page.encode("shift_jis"), b"", b"text/plain") is None
    other = to_utf8("<meta charset=gbk>é".encode("latin-1"), b"", b"text/html; charset=latin1")
    assert other == ("<meta charset=gbk>é".encode(), b"", "latin_1")


@each_of(
    ("charset", "text"),
    [("gbk", "价格"), ("shift_jis", "日本"), ("big5", "繁體"), ("euc-kr", "한국")],
)
@each_of("cut", range(6))
def test_characters_at_the_edges_of_windows(charset: str, text: str, cut: int) -> None:
    """One that is cut is left out; a tail begins behind the first place where a character surely
    does.
    """
    head = f'{{"a": "{text * 9}'.encode(charset)
    tail = f'{text * 9}", "b": "{text}"}}'.encode(charset)
    read = to_utf8(head[: len(head) - cut], tail[cut:], f"text/json; charset={charset}".encode())
    assert read is not None
    assert f'{{"a": "{text * 9}'.startswith(read[0].decode())
    assert len(read[0].decode()) >= 7 + 18 - (cut + 1) // 2 - 1
    assert read[1].decode() == f'", "b": "{text}"}}'


def test_tail_of_a_charset_of_single_bytes_is_whole() -> None:
    """Each byte is a character; also where the head is all ASCII."""
    assert to_utf8(b"plain", "öä ü".encode("latin-1"), b"text/plain; charset=latin1") == (
        b"plain",
        "öä ü".encode(),
        "latin_1",
    )
    assert to_utf8(b"plain", "öä ü".encode()[1:], b"text/plain; charset=latin1") is None


@each_of(
    "body",
    [b'{"password": "S"}', b"data: {}\n\n", b'{"a":1}\n{"a":2}\n', b"name,password\nx,y\n", b""],
)
def test_byte_order_mark_is_taken_off(body: bytes) -> None:
    """Of any format, whatever the content type says; it is noted."""
    assert to_utf8(b"\xef\xbb\xbf" + body) == (body, b"", "utf-8-sig")
    assert (
        shown(b"\xef\xbb\xbf" + body[:9], b"text/plain; charset=gbk", body[9:], 999)[2]
        == "utf-8-sig"
    )


def test_secrets_behind_a_byte_order_mark_are_redacted() -> None:
    """The first name of a line of names is one."""
    assert (
        shown(b"\xef\xbb\xbfpassword,name\nhunter2,x\n", b"text/csv")[0]
        == b"password,name\n[REDACTED],x\n"
    )
    assert shown(b"\xef\xbb\xbfpassword=hunter2&a=b", b"")[0] == b"password=[REDACTED]&a=b"


@each_of("encoding", WIDE)
def test_secret_in_wide_json_is_redacted(encoding: str) -> None:
    """With and without a byte order mark; the result is UTF-8."""
    body = '{"a": "ü", "password": "hunter2"}'.encode(encoding)
    head, _, charset = shown(body)
    assert head == '{"a": "ü", "password": "[REDACTED]"}'.encode()
    assert charset is not None
    assert charset.startswith(encoding)
    assert shown(body[:40], b"", body[40:])[0] == head


@each_of("encoding", WIDE)
@each_of("cut", [1, 2, 3])
def test_cut_character_is_left_out(encoding: str, cut: int) -> None:
    """A window may end within a character; a wide tail window is dropped, its characters have no
    known start.
    """
    body = '{"password": "hunter2"}'.encode(encoding)[:-cut]
    assert shown(body, b"", body, 9999)[:2] == (b'{"password": "[REDACTED]"', b"")


@each_of(
    "text",
    [
        b"", b"{", b'{"a": 1}', b"\x00\x00\x00\x18ftypmp42", b"\x00\x01\x00\x00\x00\x0f", b"\x1f\x8b\x08\x00",
        b"\xff\xfe\x00\xd8x\x00",
    ],
)  # fmt: skip
def test_other_bytes_are_not_wide_text(text: bytes) -> None:
    """UTF-8, media files, and what only begins like wide text."""
    assert to_utf8(text) is None


@given(
    st.binary(max_size=60),
    st.binary(max_size=20),
    st.sampled_from(["", "text/plain; charset=", "text/html"]),
)
def test_any_bytes_are_taken(text: bytes, tail: bytes, kind: str) -> None:
    """Nothing raises, and what comes back is UTF-8 but for lone surrogates and what a byte order
    mark lies about.
    """
    for charset in ("", "gbk", "iso-2022-jp", "utf-16", "utf-7"):
        read = to_utf8(text, tail, (kind + charset).encode())
        assert (
            read is None
            or read[2] == "utf-8-sig"
            or read[0].decode("utf-8", "surrogatepass") is not None
        )


@each_of("encoding", WIDE)
def test_surrogates_that_stand_alone_hide_nothing(encoding: str) -> None:
    """Parsers take them: a document with one is read, and so is what else it has."""
    body = '{"a": "\ud800", "password": "hunter2"}'.encode(encoding, "surrogatepass")
    assert json.loads(body)["password"] == "hunter2"
    assert shown(body, b"application/json")[
        0
    ] == '{"a": "\ud800", "password": "[REDACTED]"}'.encode("utf-8", "surrogatepass")


@each_of("charset", ["utf-16", "UTF-16LE", '"utf-16"', "utf16", "ucs-2", "iso-10646-ucs-2"])
@each_of("encoding", ["utf-16-le", "utf-16-be"])
def test_a_content_type_says_that_text_is_wide(charset: str, encoding: str) -> None:
    """Without a byte order mark; where it is wrong, the text stays as it is."""
    kind = f"text/plain; charset={charset}".encode()
    for text, wanted in (
        ("key ghp_" + "Ab1" * 12, b"key [REDACTED]"),
        ("a=1&pwd=hunter2", b"a=1&pwd=[REDACTED]"),
        ("\u4f60 and more", "\u4f60 and more".encode()),
    ):
        assert shown(text.encode(encoding), kind) == (wanted, b"", encoding)

    assert shown(b"plain text", kind) == (b"plain text", b"", None)
    assert to_utf8(b"plain\x00\x00\xd8a\x00\x00\x00b", b"", kind) is None


def test_a_picture_that_begins_with_a_brace_stays() -> None:
    """Of random bytes, some are surrogates; they are no text."""
    picture = b"{\x00" + bytes(range(256)) * 4
    assert to_utf8(picture) is None
    assert to_utf8(b'"\x00' + bytes(range(256)) * 4) is None
