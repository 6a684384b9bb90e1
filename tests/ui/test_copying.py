"""What is copied: a record as a command line that sends the same request again, and a secret that is shown once."""

import asyncio
import json
import subprocess
import unicodedata
from typing import Any

import pytest

from tests.support.browser import Page
from tests.ui.conftest import Site

SHOWS_ARGUMENTS = """curl() { printf '%s\\0' "$@"; }\n"""


def record_as_shown(method: str, headers: list[list[str]], text: str | None, **body: Any) -> dict[str, Any]:
    """Make what the API shows of a request, as far as it concerns a command line."""
    shown = {"encoding": "utf-8", "head": text, "tail": "", "size": len(text or ""), "coding": None, "omitted": None}
    return {
        "method": method,
        "scheme": "http",
        "host": "app.test",
        "path": "/it's",
        "query": "a=1&b",
        "request": {"headers": headers, "body": None if text is None else shown | {"truncated": False} | body},
    }


async def arguments_of(site: Site, record: dict[str, Any], shell: str = "sh") -> list[str]:
    """Have a shell read the command, and tell what curl would be given."""
    script = f'import("/ui/newest/record/curl.js").then(({{ asCurl }}) => asCurl({json.dumps(record)}))'
    command = SHOWS_ARGUMENTS + await site.page.evaluate(script)
    shown = await asyncio.to_thread(subprocess.run, [shell, "-c", command], capture_output=True, check=True, timeout=60)
    assert shown.stderr == b""
    return shown.stdout.decode().split("\0")[:-1]


async def test_a_command_sends_the_same_request(empty_site: Site) -> None:
    """A GET with a body stays one, an empty field stays, and curl adds no type that was not sent."""
    await empty_site.open("/keys")
    text = '{"query": "it\'s\n$HOME `id` \\\\"}'
    found = await arguments_of(empty_site, record_as_shown("GET", [["X-Empty", ""], ["X-Some", "a b"]], text))
    assert found == [
        *("--globoff", "--path-as-is", "--request", "GET", "--url", "http://app.test/it's?a=1&b"),
        *("--header", "X-Empty;", "--header", "X-Some: a b", "--header", "Content-Type:", "--data-raw", text),
    ]
    typed = record_as_shown("POST", [["content-type", "text/plain"]], "x")
    assert "Content-Type:" not in await arguments_of(empty_site, typed)
    assert "--request" not in await arguments_of(empty_site, record_as_shown("GET", [], None))


async def test_a_decoded_body_is_sent_as_what_it_is(empty_site: Site) -> None:
    """It is stored without the coding it came with: the field that names the coding would be a lie."""
    await empty_site.open("/keys")
    fields = [["Content-Encoding", "gzip"], ["Content-Type", "application/json"]]
    found = await arguments_of(empty_site, record_as_shown("POST", fields, "{}", coding="gzip"))
    assert not any("Encoding" in argument for argument in found)
    raw = record_as_shown("POST", fields, None)
    raw["request"]["body"] = {"encoding": "base64", "head": "/w==", "tail": "", "size": 1, "coding": None}
    found = await arguments_of(empty_site, raw)
    assert "Content-Encoding: gzip" in found
    assert found[-2:] == ["--data-binary", "@body"]


@pytest.mark.parametrize("text", ["--a\r\nit's: %\\ \r\n\r\n", "\x1b[201~'; echo broken; '\x03\x9b"])
async def test_control_characters_do_not_reach_the_terminal(empty_site: Site, text: str) -> None:
    """A terminal would take them for keys: they are written as escapes, which bash reads, and sh leaves as they are."""
    await empty_site.open("/keys")
    record = record_as_shown("POST", [["content-type", "a/b"]], text)
    script = f'import("/ui/newest/record/curl.js").then(({{ asCurl }}) => asCurl({json.dumps(record)}))'
    command = await empty_site.page.evaluate(script)
    assert {character for character in command if unicodedata.category(character) == "Cc"} <= {"\n"}
    assert (await arguments_of(empty_site, record, "bash"))[-2:] == ["--data-raw", text]
    assert "broken" not in (await arguments_of(empty_site, record))[-2:]
    assert len(await arguments_of(empty_site, record)) == len(await arguments_of(empty_site, record, "bash"))


async def test_a_body_with_a_null_is_no_argument(empty_site: Site) -> None:
    """No shell can pass one on."""
    await empty_site.open("/keys")
    found = await arguments_of(empty_site, record_as_shown("POST", [], "a\0b"))
    assert found[-2:] == ["--data-binary", "@body"]


MISSING = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"
FORBIDDEN = "navigator.clipboard.writeText = async () => { throw new DOMException('denied', 'NotAllowedError'); }"
WATCH = """{
  const button = document.querySelector("#copy-secret");
  window.said = [];
  new MutationObserver(() => said.push(button.textContent)).observe(button, { childList: true });
}"""
"""What the button says, which it says for a second and a half."""


async def make_key(page: Page) -> None:
    """Make a key with the keyboard, and wait for its secret."""
    await page.press("n")
    await page.until("document.activeElement?.name === 'name'")
    await page.type("Plain Key")
    await page.press("Enter")
    await page.until("document.activeElement?.id === 'copy-secret'")
    await page.evaluate(WATCH)


@pytest.mark.parametrize("clipboard", [MISSING, FORBIDDEN], ids=["plain HTTP", "forbidden"])
async def test_a_secret_is_copied_without_a_clipboard(site: Site, clipboard: str) -> None:
    """On plain HTTP a browser has no interface for it; what is outside the dialog cannot be selected."""
    page = site.page
    await site.open("/keys")
    await page.wait_for("#keys tr")
    await page.evaluate(clipboard)
    await page.evaluate("""
      document.addEventListener("copy", () => {
        const { value = "", selectionStart, selectionEnd } = document.activeElement;
        window.copied = value.slice(selectionStart, selectionEnd);
      });
    """)
    await make_key(page)
    await page.press("Enter")
    await page.until("said.includes('Copied')")
    assert await page.evaluate("window.copied === document.querySelector('#secret').textContent")
    assert await page.evaluate("document.activeElement.id") == "copy-secret"


async def test_a_secret_that_was_not_copied_is_not_said_to_be(site: Site) -> None:
    """It is shown this once."""
    page = site.page
    await site.open("/keys")
    await page.wait_for("#keys tr")
    await page.evaluate(FORBIDDEN)
    await page.evaluate("document.execCommand = () => false")
    await make_key(page)
    await page.press("Enter")
    assert await page.until("said.length > 1 && said") == ["Could not copy", "Copy secret"]
