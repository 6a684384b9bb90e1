"""A Django site with SECURE_SSL_REDIRECT under gunicorn, which never sees TLS itself."""

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.realworld.programs import SERVERS, python_program, serving
from tests.realworld.proxied import proxied
from tests.support.certificate import self_signed
from tests.support.ports import free_port

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]

SECURE = {"scheme": "https", "is_secure": True, "absolute": "https", "token": True}
INGRESS = {"X-Forwarded-Proto": "https"}
"""What an ingress that ends TLS adds to each request."""


@contextlib.contextmanager
def site(home: Path) -> Iterator[str]:
    """Serve the site."""
    home.mkdir()
    port = free_port()
    command = [
        *(
            python_program("gunicorn"),
            "--chdir",
            str(SERVERS),
            "--bind",
            f"127.0.0.1:{port}",
            "--threads",
            "4",
        ),
        *("--no-control-socket", "django_site:application"),
    ]
    with serving(command, port, home, {"PYTHONDONTWRITEBYTECODE": "1"}) as url:
        yield url


async def visit(url: str, headers: dict[str, str], cert: Path | None = None) -> list[Any]:
    """Get a page by way of the redirect that adds its slash, then post to it with its CSRF token."""
    tls = ssl.create_default_context(cafile=str(cert)) if cert else True
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(headers=headers, cookie_jar=jar) as session:
        async with session.get(f"{url}/page", ssl=tls, allow_redirects=False) as answer:
            seen: list[Any] = [answer.status, answer.headers["Location"].replace(url, "URL")]
        async with session.get(f"{url}/page/", ssl=tls, allow_redirects=False) as answer:
            assert answer.status == 200, answer.headers
            cookie = answer.cookies["csrftoken"]
            seen += [
                await answer.json(),
                cookie["secure"],
                answer.headers["Strict-Transport-Security"],
            ]

        origin = "https" + url.removeprefix("https").removeprefix("http")
        form = {
            "Cookie": f"csrftoken={cookie.value}",
            "X-CSRFToken": cookie.value,
            "Origin": origin,
        }
        async with session.post(f"{url}/page/", ssl=tls, headers=form, data={"a": "b"}) as answer:
            seen += [answer.status, await answer.json()]

    return seen


async def test_tls_ends_at_sidelog(tmp_path: Path) -> None:
    """Sidelog says https of its own TLS: no redirect loop, secure cookies and CSRF's check of the
    origin pass.
    """
    cert, key = self_signed(tmp_path)
    tls = {"SIDELOG_PROXY__TLS_CERT_FILE": str(cert), "SIDELOG_PROXY__TLS_KEY_FILE": str(key)}
    admin_tls = {"SIDELOG_ADMIN__TLS_CERT_FILE": str(cert), "SIDELOG_ADMIN__TLS_KEY_FILE": str(key)}

    with site(tmp_path / "site") as url:
        direct = await visit(url, INGRESS)
        assert direct[2] == {"method": "GET", **SECURE}
        with proxied(tmp_path, url, tls_cert=cert, environ=tls | admin_tls) as way:
            assert await visit(way.url, {}, cert) == direct
            records = way.check_record()

    assert [(record["method"], record["status"], record["scheme"]) for record in records] == [
        ("GET", 301, "https"),
        ("GET", 200, "https"),
        ("POST", 200, "https"),
    ]


async def test_tls_ends_at_a_trusted_ingress(tmp_path: Path) -> None:
    """With the ingress among `trusted_proxies` the site knows that its visitor came by TLS."""
    trusted = {"SIDELOG_PROXY__TRUSTED_PROXIES": '["127.0.0.1/32"]'}
    with site(tmp_path / "site") as url:
        direct = await visit(url, INGRESS)
        with proxied(tmp_path, url, environ=trusted) as way:
            assert await visit(way.url, INGRESS) == direct
            assert [record["status"] for record in way.check_record()] == [301, 200, 200]


async def test_ingress_that_is_not_trusted(tmp_path: Path) -> None:
    """X-Forwarded-Proto of a client that is not trusted does not count: the site redirects to
    https.
    """
    with site(tmp_path / "site") as url, proxied(tmp_path, url) as way:
        page = f"{way.url}/page/"
        async with (
            aiohttp.ClientSession() as session,
            session.get(page, headers=INGRESS, allow_redirects=False) as answer,
        ):
            assert (answer.status, answer.headers["Location"]) == (
                301,
                page.replace("http", "https"),
            )

        assert [record["status"] for record in way.check_record()] == [301]
