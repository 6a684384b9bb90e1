"""XML and HTML: what a secret name stands at is gone, and the rest stays byte for byte."""

from proxy.enrich.http.bodies import decode_body
from proxy.enrich.redact.redactor import Redactor
from tests.support.cases import each_of

SECRET = "hunter2-Zq7Xv9Kw4Jd8"
REDACTOR = Redactor()


def shown(text: str, kind: str = "text/xml") -> str:
    raw = text.encode()
    redacted, tail = REDACTOR.redact_body(raw, b"", kind.encode(), False)
    assert REDACTOR.redact_body(redacted, b"", kind.encode(), False) == (redacted, tail)
    return redacted.decode()


@each_of(
    "text",
    [
        "<a><password>@</password><b>1</b></a>",
        "\r\n" * 33 + "<a><password>@</password></a>",
        " " * 5000 + '<input name="csrf_token" value="@">',
        '<?xml version="1.0"?>\n<s:Envelope><wsse:Password '
        'Type="text">@</wsse:Password></s:Envelope>',
        "<R><SecretAccessKey>@</SecretAccessKey><SessionToken>@</SessionToken><Expiration>1</Expiration></R>",
        "<a><DB_PASSWORD>@</DB_PASSWORD></a>",
        '<login user="bob" password="@" b="1"/>',
        "<login user='bob' ns:api-key='@'>text</login>",
        '<add key="ApiKey" value="@" /><add key="Level" value="1" />',
        '<entry key="smtp.password">@</entry><entry key="smtp.host">h</entry>',
        '<input type="hidden" name="csrf_token" value="@"><label>Password</label>',
        '<input value="@" name="authenticity_token"/> text',
        '<meta name="csrf-token" content="@">\n<title>x</title>',
        '<login user = "bob" password = "@" b="1"/>',
        '<input name = "csrf_token" value = "@">',
        "<input type=hidden name=csrf_token value=@><label>Password</label>",
        "<input value=@ name=token> text",
        "<input type=password value=@>",
        "<INPUT VALUE='@' id=a TYPE='password'>text",
        '<input name="x" type="password" class="b" value="@"/>',
        '<input autocomplete="one-time-code" value="@"><input autocomplete="current-password" '
        "value=@ name=p>",
        '<input type="hidden" name="userPwd" value="@">',
        '<property name="password"><value>@</value></property><property '
        'name="user"><value>u</value></property>',
        "<member><name>password</name><value>@</value></member>",
        "<dict><key>Password</key>\n<string>@</string><key>User</key><string>u</string></dict>",
        "<configuration><property><name>db.password</name><value>@</value></property></configuration>",
    ],
)
def test_values_go_by_the_name_they_have(text: str) -> None:
    """Elements with and without a namespace, attributes, and values that an attribute names."""
    assert shown(text.replace("@", SECRET)) == text.replace("@", "[REDACTED]")


def test_all_of_an_element_goes() -> None:
    """CDATA, and what is inside it."""
    for inside in (
        f"<secretary>1</secretary>{SECRET}",
        f"<secret a='1'>{SECRET}</secret><secret/>{SECRET}",
        f"<![CDATA[<{SECRET}>]]>",
        f"<value>{SECRET}</value>",
        f"\n  {SECRET}\n",
    ):
        assert (
            shown(f"<a><secret>{inside}</secret><b>1</b></a>")
            == "<a><secret>[REDACTED]</secret><b>1</b></a>"
        )


@each_of(
    "text",
    [
        '<xs:element name="password" type="xs:string"/>',
        '<xs:element name="password">\n<xs:annotation>a</xs:annotation></xs:element>',
        "<a><password/><token></token><secret>  </secret><pwd>true</pwd></a>",
        '<input type="password" name="password" value=""><label>Password</label>',
        "<input type=password name=password><label>Password</label>",
        "<Contents><Key>photos/token</Key><Size>1</Size></Contents><name>password</name><type>xs:string</type>",
        "<ListBucketResult><NextContinuationToken>x</NextContinuationToken><Key>a</Key></ListBucketResult>",
        "<D:sync-token>http://x/1</D:sync-token><author>A</author><sessions>3</sessions>",
        '<input type="text" name="compass" value="N"><input type="submit" value="Log in">',
        '<p class="password">Your password: see below. name="token"</p>',
    ],
)
def test_what_is_no_value_stays(text: str) -> None:
    """Schemas, empty elements, labels, cursors."""
    assert shown(text) == text


@each_of(
    "template",
    [
        '<a first="1"><password>%s</password><end>1</end></a>',
        '<a first="1"><w:Password Type="x"><![CDATA[%s]]></w:Password><end>1</end></a>',
        '<login user="bob" password="%s" end="1"/>',
        '<input name="csrf_token" value="%s" end="1"/>',
        '<entry key="smtp.password">%s</entry><end>1</end>',
    ],
)
def test_no_half_secret_survives_at_the_edge_of_a_window(template: str) -> None:
    """Wherever head window and tail window end and begin."""
    body = (template % SECRET).encode()
    pieces = [SECRET[place : place + 6].encode() for place in range(len(SECRET) - 5)]
    for end in range(1, len(body)):
        for start in range(end + 1, len(body), 3):
            head, tail = REDACTOR.redact_body(body[:end], body[start:], b"text/xml", True)
            assert not [piece for piece in pieces if piece in head + b"|" + tail], (end, start)


def test_a_long_value_leaves_nothing_in_the_tail() -> None:
    """As an assertion of SAML in the form that a browser posts."""
    head = b'<form><input name="SAMLResponse" value="' + b"Ab" * 5000
    tail = b"Ab " * 5000 + b'"/>'
    shown = REDACTOR.redact_body(head, tail, b"text/html", True)
    assert shown == (b'<form><input name="SAMLResponse" value="[REDACTED]', b"")
    assert b"Ab" not in REDACTOR.redact_body(head + tail, b"", b"text/html", False)[0]


def test_parts_are_searched() -> None:
    """SOAP with attachments, and byte order marks."""
    part = f"--B\r\nContent-Type: text/xml\r\n\r\n<a><pwd>{SECRET}</pwd></a>\r\n--B--\r\n"
    assert SECRET not in shown(part, "multipart/related; boundary=B")
    assert SECRET not in shown(f"\ufeff <a><pwd>{SECRET}</pwd></a>")
    wide = decode_body(
        f"<a><pwd>{SECRET}</pwd></a>".encode("utf-16"), b"", 99, b"", content_type=b"text/xml"
    )
    assert wide is not None
    assert SECRET not in REDACTOR.redact_body(wide.head, b"", b"text/xml", False)[0].decode()


@each_of(
    "unit",
    [
        b"<password>", b"<password>a</password>", b"<a password='", b' name="token"', b"<",
        b'<a name="token" value="', b"<a:",
    ],
)  # fmt: skip
def test_hostile_repetition_costs_no_more_than_its_length(unit: bytes) -> None:
    """Each search goes on where the last one ended."""
    text = b"<" + unit * (500_000 // len(unit))
    assert len(REDACTOR.redact_body(text, b"", b"text/xml", False)[0]) <= 2 * len(text)
