"""Redirects without end, behind a proxy that is not listed."""

import logging
from pathlib import Path
from typing import Any

import pytest

from proxy.collector.watch.unlisted_proxies import MAX_ADDRESSES, UnlistedProxies, is_redirect_loop
from proxy.process.data_dir import UNLISTED_NAME, read_state
from storage.record import Entry, Payload
from tests.api.samples import make_record
from tests.support.cases import each_of

SAID = "X-Forwarded-Proto: https"


def redirect(
    said: str = SAID,
    location: str = "https://shop.example/cart?a=1",
    *,
    has_heads: bool = True,
    **columns: Any,
) -> Entry:
    """Make a redirect of the upstream; by default one that never ends."""
    fields = {
        "scheme": "http",
        "host": "shop.example",
        "path": "/cart",
        "status": 301,
        "client_ip": "10.0.0.7",
    }
    record = make_record(1, **(fields | columns))
    request = f"GET /cart HTTP/1.1\r\nHost: shop.example\r\n{said}".encode()
    response = f"HTTP/1.1 301 Moved\r\nLocation: {location}".encode()
    return Entry(record, Payload(request, response, None, None) if has_heads else None)


@each_of(
    "entry",
    [
        redirect(),
        redirect(said="x-forwarded-proto:HTTPS"),
        redirect(said='Forwarded: for="10.0.0.1";proto=https'),
        redirect(location="https://SHOP.example:443/cart"),
        redirect(path="/caf%C3%A9", location="https://shop.example/caf\u00e9"),
        redirect(host="shop.example:8080"),
        redirect(host="[::1]:80", location="https://[::1]/cart"),
    ],
)
def test_a_redirect_to_the_same_url_with_https_is_a_redirect_loop(entry: Entry) -> None:
    """Where its peer says that the client speaks TLS already."""
    assert is_redirect_loop(entry)


@each_of(
    "entry",
    [
        redirect(said="Accept: */*"),
        redirect(said="X-Forwarded-Proto: http"),
        redirect(location="http://shop.example/cart"),
        redirect(location="https://shop.example/login"),
        redirect(location="https://www.shop.example/cart"),
        redirect(location="/cart/"),
        redirect(location="https://[/cart"),
        redirect(
            location="https://shop.example/\ud800".encode("utf-8", "surrogatepass").decode(
                "latin-1"
            )
        ),
        redirect(host=None),
        redirect(host="[a", location="https://a/cart"),
        redirect(path=None),
        redirect(has_heads=False),
    ],
)
def test_any_other_redirect_is_none(entry: Entry) -> None:
    """To another place, or of a client that came without TLS."""
    assert not is_redirect_loop(entry)


def test_each_address_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the setting that ends it: in the log, as an event, and in the state, for `sidelog
    doctor`.
    """
    events: list[tuple[str, dict[str, object]]] = []
    proxies = UnlistedProxies(lambda *event: events.append(event), tmp_path)
    with caplog.at_level(logging.WARNING):
        for address in (
            "10.0.0.7",
            "10.0.0.7",
            *(f"192.0.2.{number}" for number in range(MAX_ADDRESSES)),
        ):
            proxies.observe(
                [redirect(client_ip=address), redirect(status=200), redirect(scheme="https")]
            )

    assert len(caplog.records) == len(events) == MAX_ADDRESSES
    assert "add it to [proxy] trusted_proxies" in caplog.text
    assert events[0] == (
        "unlisted_proxy",
        {"address": "10.0.0.7", "setting": "proxy.trusted_proxies"},
    )
    assert "10.0.0.7" in read_state(tmp_path)[UNLISTED_NAME]


def test_what_cannot_be_saved_is_still_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full or read-only disk takes nothing else with it."""
    events: list[tuple[str, dict[str, object]]] = []
    UnlistedProxies(lambda *event: events.append(event), tmp_path / "gone").observe([redirect()])
    assert len(events) == 1
    assert "was not saved" in caplog.text
