"""The life of a key in the browser: made, its secret shown once, disabled, changed, deleted."""

from tests.ui.conftest import Site


async def test_the_life_of_a_key(site: Site) -> None:
    """Done waits for the tick; the secret is nowhere afterwards; each change is stored."""
    page, storage = site.page, site.world.storage
    await site.open("/keys")
    await page.click("#create")
    await page.wait_for("dialog", "New key")
    await page.type("Voice Key")
    await page.press("Enter")
    secret = (await page.wait_for("#secret")).strip()
    assert secret.startswith("sk_")
    assert len(secret) > 40
    assert await page.evaluate("document.querySelector('#done').disabled")
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
    assert [key.deleted_at_us is None for key in await storage.keys() if key.name == "Voice Key"] == [False]
