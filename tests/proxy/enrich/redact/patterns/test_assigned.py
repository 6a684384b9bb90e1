"""What a text gives to a name, and in which encodings it is found."""

import json
from collections.abc import Callable
from urllib.parse import quote, urlencode

from proxy.enrich.redact.patterns.secrets import SecretPatterns
from proxy.enrich.redact.redactor import Redactor
from tests.support.cases import each_of

redact = SecretPatterns().redact
TEXTS = {
    "[default]\naws_secret_access_key = {}\nregion = x": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "auth\nBearer {}": "Zq9xWv7uTs5rQp3oNm1l",
    "auth\tBearer {} x": "Zq9xWv7uTs5rQp3oNm1l",
    "x\r\npassword = {}\r\ny": "hunter2",
    "export X_TOKEN={}": "abc-def-123",
    "A=b\nSMTP_PASS={}\nC=d": "hunter2hunter",
    "machine h login u password {}": "hunter",
    "machine api.h\n  login bob\n  password {}\n": "s3cr3t",
    "db:\n  password: {}\n  host: x": "hunter2",
    "[db]\npassword = {}": "swordfish",
    "user.password={}": "swordfish",
    "password=\"{}\"": "hunter two",
    "{'password': '{}', 'a': 1}": "hunter2",
    "# api_key = '{}'": "hunter2",
    "token = \"{}\"": "abc123def456",
    "ALTER USER bob\n  WITH\n  LOGIN PASSWORD\n {};": "'hunter2'",
    "CREATE USER x IDENTIFIED\n\tBY {}": "'hunter2'",
    "x\n{}\nrest": (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIBhunter2\nabc\n-----END RSA PRIVATE KEY-----"
    ),
    "postgres://{}@db/x": "u:hunter2",
    "set password = {} y": "hun\\w0rd!x",
    "curl -s -u bob:{} https://h/x": "hunter2",
    "curl --cookie sid={} h": "hunter2",
    "x --api-key {} /y": "abc-def-123",
    "sshpass -p {} ssh /h": "hunter2",
    "> Authorization: Token {}\n> Host: x": "Zq9xWv7uTs5rQp3o",
    "x\r\nSet-Cookie: {}\r\ny": "sid=Zq9xWv7u; Path=/",
    "az login -u x --service-principal -p {} -t /y": "hunter2",
    "mysql -u root -p{} /x": "hunter2",
    "FROM x\nENV API_KEY {}\nRUN y": "abc-def-123",
    "- **Password:** {}\n": "hunter2x",
    "bob:{}:19000:": "$6$saltsalt$abcdefghijklmnopqrstuv.xyz/0123456789",
    "('bob', '{}')": "$2b$12$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0",
    "jdbc:oracle:thin:bob/{}@h:1521/x": "hunter2",
    "<login><user>bob</user><s:password a='b'>{}</s:password></login>": "hunter2",
    "app:{}@tcp(127.0.0.1:3306)/db": "hunter2",
    "influx -username admin -password {} /x": "hunter2",
    "$cfg['password'] = '{}';": "hunter2",
    "{\"user\"=>\"bob\", \"password\"=>\"{}\"}": "hunter2",
    "{'password': b'{}', 'a': 1}": "hunter2",
    "define('DB_PASSWORD', '{}');": "hunter2",
    "define( 'AUTH_KEY', '{}' );": "t`DK%X:>xy|e-Z(BXb/f(Ur8`#~UzUQG-^_Cs_GHs5U-&Wb?pgn^p8(2@}IcnCa|",
    "openssl rsa -passin pass:{} -in x": "hunter2",
    "bind ::1\nrequirepass {}\nport 1": "hunter2",
    "//h/:_auth={}\nx": "Ym9iOmh1bnRlcjI=",
    "<p>refused, password={}</p>": "hunter2",
    "smtp://{}@mail.example.com": "bob%40example.com:hunter2",
    "VAULT_SECRET_ID={}": "6a174c20-f6de-a53c-74d2-6018fcceff64",
    "x\n{}\nlast": (
        "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nMIIBhunter2\n---- END SSH2 ENCRYPTED PRIVATE "
        "KEY ----"
    ),
}  # fmt: skip
WRITERS: dict[str, tuple[str, Callable[[str], str]]] = {
    "text": ("text/plain", str),
    "json": ("application/json", lambda text: json.dumps({"f": text})),
    "json in json": ("application/json", lambda text: json.dumps({"f": json.dumps({"g": text})})),
    "json in json in json": (
        "application/json",
        lambda text: json.dumps({"f": json.dumps({"g": json.dumps([text])})}),
    ),
    "escapes by number": (
        "application/json",
        lambda text: (
            json.dumps({"f": text})
            .replace("\\n", "\\u000a")
            .replace("\\t", "\\u0009")
            .replace("\\r", "\\u000D")
        ),
    ),
    "tool": (
        "application/json",
        lambda text: json.dumps({"messages": [{"role": "tool", "content": text}]}),
    ),
    "form": ("application/x-www-form-urlencoded", lambda text: urlencode({"a": 1, "note": text})),
    "json in a form": (
        "application/x-www-form-urlencoded",
        lambda text: urlencode({"p": json.dumps({"g": text})}),
    ),
    "json in json in a form": (
        "application/x-www-form-urlencoded",
        lambda text: urlencode({"p": json.dumps({"g": json.dumps([text])}), "b": 2}),
    ),
    "percent in json": ("application/json", lambda text: json.dumps({"f": quote(text, safe="[]")})),
}


@each_of("writer", WRITERS)
@each_of("text", TEXTS)
def test_it_is_found_in_every_encoding(text: str, writer: str) -> None:
    """Only the secret goes: what is left is how the text would be written with a mark in its place."""
    kind, write = WRITERS[writer]
    sent = write(text.replace("{}", TEXTS[text])).encode()
    redactor = Redactor()
    once, _ = redactor.redact_body(sent, b"", kind.encode(), False)
    assert once.decode().replace('"[REDACTED]"', "[REDACTED]").replace(
        "%5BREDACTED%5D", "[REDACTED]"
    ) == (
        write(text.replace("{}", "[REDACTED]"))
        .replace("%5BREDACTED%5D", "[REDACTED]")
        .replace('"[REDACTED]"', "[REDACTED]")
    )
    assert redactor.redact_body(once, b"", kind.encode(), False)[0] == once


@each_of("text", TEXTS)
@each_of("size", [1, 3, 7])
def test_it_is_found_across_the_frames_of_a_stream(text: str, size: int) -> None:
    """As content, and as arguments of a tool, which are JSON."""
    said = text.replace("{}", TEXTS[text])
    for member, whole in (("content", said), ("partial_json", json.dumps({"command": said}))):
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        frames = "".join(
            f"data: {json.dumps({'index': 0, 'delta': {member: piece}})}\n\n" for piece in pieces
        )
        shown, _ = Redactor().redact_body(frames.encode(), b"", b"text/event-stream", False)
        lines = [line for line in shown.decode().splitlines() if line]
        joined = "".join(json.loads(line.removeprefix("data: "))["delta"][member] for line in lines)
        expected = text.replace("{}", "[REDACTED]")
        assert joined == (expected if member == "content" else json.dumps({"command": expected}))


@each_of(
    "text",
    [
        "password = getpass()", "password: string;", "token: Optional[str] = None", "secret = settings.secret_key",
        "password: str", "let token = scanner.scan();", "api_key=api_key,", "password = user_password",
        "password == 'x1'", "password: too short", "Password: required", "pwd=/srv/app1", "PWD=/home/user1",
        "max_token = 4096", "page_token=abcdef12345", "secret: u64", "password: ****", "password=${DB_PASSWORD1}",
        "login with password authentication", "password = null", "secret = true", "token: 5", 'password = ""',
        "{'password': 'password'}", "private_key: bytes32", "new_password: 'must have 8 characters'",
        "docker run -u 1000:1000 x", "curl -u bob h", "--token TOKEN", "--password <password>", "login -p password",
        "mysql -h x --protocol tcp -P 33060", "env TOKEN | sort", "costs $5 and $6 more than a year ago, he said it",
        "Authorization: required", "Authorization: Bearer YOUR_API_KEY", "Cookie: sid", "<password>true</password>",
        "Promise<AccessToken>(resolve, reject)", "<page-token>12345678</page-token>", "<b>Password</b>",
        "def f(password: str):", "f(password: string): Promise<x> {", "f(password: &str)", "f(password: String!): Auth",
        "continuation_token=abcdef12345", "api_key='YOUR_API_KEY'", "API_KEY=your-api-key",
        'password-hash = "0.5.0"', "error['password'] = 'must have 8 characters'", "use requirepass to set one",
        "define('ENTRY_PASSWORD', 'Password:')", "PASSWORD=${{ secrets.DB1 }}", "unified: -password protected",
        "password: !vault |", "$row['password']", "x['password'] == 'abc1'", "docker run -p 8080:80 x", "ssh -p 2222 h",
        "secret_id: db-password-1", "12:34:56@tcp (x)", "unexpected token: '}'",
        "password = \u0445\u043e\u0440", "api_key = os.environ",
        "{secretKey:m,publicKey:m,signature:2*m,seed:m};", "{a:b,password:l,disableAutoFetch:k,c:1}",
        "this._secretKey=t.secretKey,t.publicKey&&!this.x", "this.networkPassphrase=r.networkPassphrase||null,a=1",
        "updatePassword=t=>{t instanceof Error", "f=e=>({password:n})}(i,l,c);", "{numToken:41,AMP:42,NUM:43}",
        "if(token){fns[token]=func}if(padded){", "a.password?'x':1", "{password:pw_generator,regex,x}",
        'h("label",{for:"x"},"client_secret:"),x?h("code",null," ****")',
    ],
)  # fmt: skip
def test_programs_types_and_prose_stay(text: str) -> None:
    """Also as strings of JSON."""
    assert redact(text.encode()) == text.encode()
    sent = json.dumps({"content": f"line\n{text}\nline"}).encode()
    assert redact(sent) == sent


@each_of(
    "text",
    [
        'this.data.password?"password":"text";', 'a = b ? "password" : "text";', 'case"Sig":return new Annotation(t)',
        'switch(k){case"apiKey":i=O().createElement(l', 'case "clientCredentials":case"client_credentials":return',
        'a?b?"authorization_code":"authorizationCode":"accessCode":"c"', 'x === y\n  ? "credentials"\n  : "string"',
    ],
)  # fmt: skip
def test_one_of_two_values_of_a_program_is_no_key(text: str) -> None:
    """Nor is the label of a case."""
    assert Redactor().redact_body(text.encode(), b"", b"text/javascript", False)[0] == text.encode()


@each_of("before", ["", "What is this? ", "is it wrong?", "In this case: ", "In case ", "{"])
def test_prose_before_json_hides_nothing(before: str) -> None:
    """A question mark or the word *case* is none of a program by itself."""
    text = f'{before}"password": "hunter2-Zq7X"'.encode()
    assert b"hunter2" not in Redactor().redact_body(text, b"", b"text/plain", False)[0]


def test_a_long_value_goes_as_a_whole() -> None:
    """However far it was read to be judged."""
    assert redact(b"password = " + b"hunter2!" * 1000 + b" x") == b"password = [REDACTED] x"


def test_arguments_and_keys_in_json_are_found() -> None:
    """Arguments of a container, and the private half of a JSON Web Key."""
    given = {
        "args": ["--api-token", "abc-def-123", "-x"],
        "keys": [{"kty": "EC", "d": "a1" * 22, "x": "b2" * 22}],
    }
    assert json.loads(redact(json.dumps(given).encode())) == {
        "args": ["--api-token", "[REDACTED]", "-x"],
        "keys": [{"kty": "EC", "d": "[REDACTED]", "x": "b2" * 22}],
    }


def test_keys_written_as_a_list_of_lines_are_found() -> None:
    """One string in place of all of them, so that JSON stays JSON."""
    lines = ["-----BEGIN PRIVATE KEY-----", "MIIBhunter2", "abc=", "-----END PRIVATE KEY-----"]
    for indent in (None, 1):
        shown = json.loads(
            redact(json.dumps({"a": ["x"], "key": lines, "b": 1}, indent=indent).encode())
        )
        assert shown == {"a": ["x"], "key": ["[REDACTED]"], "b": 1}


def test_json_in_attributes_of_markup_is_found() -> None:
    """As frameworks hand it to the browser; the rest of it stays."""
    data = (
        "{&quot;user&quot;:&quot;bob&quot;,&quot;csrfToken&quot;: "
        "&quot;@&quot;,&#34;token&#34;:&#34;@&#34;}"
    )
    page = f"<div data-page='{data}'>"
    assert (
        redact(page.replace("@", "hunter2Zq").encode()) == page.replace("@", "[REDACTED]").encode()
    )
