"""The life of a key in the browser: made, its secret shown once, disabled, changed, deleted."""

from tests.ui.conftest import Site


async def test_a_key_is_made_by_the_keyboard_alone(site: Site) -> None:
    """Create, name, submit, copy, tick, done, and the focus is back where it was."""
    page = site.page
    await site.open("/keys")
    await page.wait_for("#keys tr")
    await page.press("n")
    await page.until("document.activeElement?.name === 'name'")
    await page.type("Typed Key")
    await page.press("Enter")
    await page.until("document.activeElement?.id === 'copy-secret'")
    await page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    await page.press("Enter")
    assert str(await page.until("window.copied")).startswith("sk_")

    for _ in range(8):
        await page.press("Tab")
        if await page.evaluate("document.activeElement.id === 'stored'"):
            break

    await page.press(" ")
    await page.press("Tab")
    await page.press("Enter")
    await page.until("!document.querySelector('dialog')")
    await page.wait_for("#keys tr:first-child", "Typed Key")


async def test_the_life_of_a_key(site: Site) -> None:
    """Done waits for the tick; the secret is nowhere afterwards; each change is stored."""
    page = site.page
    storage = site.world.storage
    await site.open("/keys")
    await page.click("#create")
    await page.wait_for("dialog", "New key")
    await page.type("Voice Key")
    await page.press("Enter")
    secret = (await page.wait_for("#secret")).strip()
    assert secret.startswith("sk_")
    assert len(secret) > 40
    assert await page.evaluate("document.querySelector('#done').disabled")
    await page.wait_for("dialog .recipe", "curl http://127.0.0.1:8080/")
    await page.press("Escape")
    await page.wait_for("dialog", "Voice Key is ready")
    await page.click("#stored")
    await page.click("#done")
    await page.until("!document.querySelector('dialog')")
    assert secret not in await page.evaluate("document.documentElement.outerHTML")

    await page.wait_for("#keys tr", "Voice Key")
    await page.click("#keys tr:first-child [role=switch]")
    await page.wait_for("#keys tr:first-child", "disabled")
    assert [key.disabled for key in await storage.keys() if key.name == "Voice Key"] == [True]
    await page.click("#keys tr:first-child .doing button", "Edit")
    await page.wait_for("dialog", "Edit Voice Key")
    await page.evaluate("document.querySelector('dialog input[name=scopes]').focus()")
    await page.type("agent, data_agent")
    await page.click("#save")
    await page.wait_for("#keys tr:first-child", "agent, data_agent")
    await page.click("#keys tr:first-child .doing button", "Delete")
    await page.click("dialog button.danger")
    await page.until("!document.querySelector('#keys').innerText.includes('Voice Key')")
    assert [
        key.deleted_at_us is None for key in await storage.keys() if key.name == "Voice Key"
    ] == [False]
