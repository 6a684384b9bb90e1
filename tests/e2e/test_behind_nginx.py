"""nginx in front of sidelog, configured as the guide says."""

import http.client
import json
import re
import urllib.request
from pathlib import Path

from aiohttp import web

from tests.support.nginx import nginx
from tests.support.sidelog import ROOT, Sidelog, eventually
from tests.support.upstream import running

_SIGNED_IN = {"Cookie": "_oauth2_proxy=alice"}


def guide(page: str) -> str:
    """The configuration that a page of the documentation shows."""
    found = re.search(r"^```nginx\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.M | re.S)
    assert found is not None
    return found[1]


def test_nginx_and_record_name_each_other(tmp_path: Path, upstream: str) -> None:
    """The record has the client's address and the id that nginx logs; streams and bodies pass."""
    sidelog = Sidelog(
        tmp_path / "data", upstream, environ={"SIDELOG_PROXY__TRUSTED_PROXIES": '["127.0.0.1"]'}
    )
    blocks = guide("guides/behind-a-proxy.md").replace(
        "127.0.0.1:8080", f"127.0.0.1:{sidelog.port}"
    )
    with sidelog, nginx(tmp_path / "nginx", blocks) as front:
        request = urllib.request.Request(
            f"{front}/through", headers={"X-Forwarded-For": "198.51.100.7"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            response.read()
            record = sidelog.record(response.headers["X-Sidelog-Id"])
        logged = eventually(lambda: (tmp_path / "nginx" / "access.log").read_text().split())
        assert [record["request_id"]] == logged
        assert record["client_ip"] == "198.51.100.7"
        assert record["path"] == "/through"
        assert (record["scheme"], record["host"]) == ("http", front.partition("://")[2])


async def _authenticate(request: web.Request) -> web.Response:
    """Do as oauth2-proxy does: who has its cookie passes, others are sent to sign in."""
    if request.path == "/oauth2/start":
        return web.Response(
            status=302,
            headers={"Location": f"https://id.example/authorize?rd={request.query['rd']}"},
        )
    return web.Response(status=202 if "_oauth2_proxy" in request.cookies else 401)


def _asked(
    front: str, method: str, path: str, headers: dict[str, str], body: bytes | None = None
) -> tuple[int, dict[str, str], bytes]:
    client = http.client.HTTPConnection(front.partition("://")[2], timeout=60)
    try:
        client.request(method, path, body, headers)
        answer = client.getresponse()
        return (
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read(),
        )
    finally:
        client.close()


def test_a_single_sign_on_in_front_asks_once_and_sidelog_once(
    tmp_path: Path, upstream: str
) -> None:
    """Configured as the page says: below /sidelog/, with an identity provider's token in each
    request.
    """
    app = web.Application()
    app.router.add_get("/{tail:.*}", _authenticate)

    environ = {
        "SIDELOG_PROXY__TRUSTED_PROXIES": '["127.0.0.1"]',
        "SIDELOG_ADMIN__PUBLIC_URL": "http://ops.example/sidelog",
    }
    with running(app) as auth, Sidelog(tmp_path / "data", upstream, environ=environ) as sidelog:
        blocks = guide("operations/single-sign-on.md").replace(
            "127.0.0.1:8090", f"127.0.0.1:{sidelog.admin_port}"
        )
        # What oauth2-proxy adds with --pass-authorization-header.
        token = 'proxy_set_header Authorization "Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln";'

        blocks = blocks.replace("proxy_buffering off;", f"proxy_buffering off; {token}")
        with nginx(
            tmp_path / "nginx", blocks.replace("127.0.0.1:4180", auth.partition("://")[2])
        ) as front:
            own = {"Host": "ops.example"}
            status, answered, _ = _asked(front, "GET", "/sidelog/", own)
            assert (status, answered["location"]) == (
                302,
                "https://id.example/authorize?rd=/sidelog/",
            )
            assert _asked(front, "GET", "/sidelog", own)[0] == 301
            own |= _SIGNED_IN
            assert _asked(front, "GET", "/sidelog/", own)[0] == 200
            assert _asked(front, "GET", "/sidelog/api/ledger", own)[0] == 401
            login = json.dumps({"token": sidelog.token}).encode()
            headers = own | {"Origin": "http://ops.example", "Content-Type": "application/json"}
            status, answered, _ = _asked(front, "POST", "/sidelog/login", headers, login)
            assert status == 204
            own["Cookie"] += "; " + answered["set-cookie"].partition(";")[0]
            assert _asked(front, "GET", "/sidelog/api/ledger", own)[0] == 200
            assert json.loads(_asked(front, "GET", "/sidelog/openapi.json", own)[2])["servers"] == [
                {"url": "/sidelog"}
            ]
            evil = own | {"Origin": "https://evil.example"}
            assert _asked(front, "DELETE", "/sidelog/api/records", evil)[0] == 403
