"""What is copied: a record as a command line that sends the same request again, and a secret that
is shown once.
"""

import pytest

from storage.record import format_id
from tests.support.browser import Page
from tests.ui.conftest import Site


async def test_the_command_is_that_of_the_api(site: Site) -> None:
    """There is one that writes it."""
    page = site.page
    await site.open(f"/requests?record={format_id(site.records['stream'].id)}")
    await page.wait_for("#sheet [role=tabpanel]")
    await page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    await page.press("c")
    copied = await page.until("window.copied")
    given = await page.evaluate(
        f"fetch('api/records/{format_id(site.records['stream'].id)}/curl').then((answer) => "
        "answer.json())"
    )
    assert copied == given["command"]
    assert "--url http" in copied or "--url 'http" in copied


async def test_what_a_command_lacks_is_shown_beside_it(site: Site) -> None:
    """Its secrets were redacted: the notes say so once it is copied, and are those of the API."""
    page = site.page
    copied = format_id(site.records["stream"].id)
    await site.open(f"/requests?record={copied}")
    await page.wait_for("#sheet [role=tabpanel]")
    notes = await page.evaluate(
        f"fetch('api/records/{copied}/curl').then((answer) => answer.json())"
    )
    assert notes["notes"]
    await page.press("c")
    await page.wait_for("#sheet [role=status]", f"Before you run it: {notes['notes'][0]}")


MISSING = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"
FORBIDDEN = (
    "navigator.clipboard.writeText = async () => { throw new DOMException('denied', "
    "'NotAllowedError'); }"
)
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
    """On plain HTTP a browser has no interface for it; what is outside the dialog cannot be
    selected.
    """
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
