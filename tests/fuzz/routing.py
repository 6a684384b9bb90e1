"""Many routes, paths that try to get past them, and an own reading of where a request belongs
(http.md, P10).
"""

import re
from collections.abc import Sequence
from random import Random
from typing import Final

from proxy.settings.model import ProxySettings, RouteSettings, Settings
from tests.fuzz.request_grammar import RequestCase, make_request_case
from tests.fuzz.strict import read_requests

ROUTES: Final = (
    RouteSettings(id="admin", upstream="http://admin:81", path="/admin/"),
    RouteSettings(
        id="named", upstream="http://named:81", path="/only/", host="a.b", strip_prefix=True
    ),
    RouteSettings(id="deep", upstream="http://deep:81", path="/api/deep/", strip_prefix=True),
    RouteSettings(id="api", upstream="http://api:81", path="/api/", strip_prefix=True),
    RouteSettings(id="open", upstream="http://open:81", path="/v", strip_prefix=True),
    RouteSettings(id="rest", upstream="http://rest:81", path="/"),
)
ROUTED: Final = Settings(proxy=ProxySettings(), routes=ROUTES)

_SEGMENTS: Final = (
    b"admin", b"api", b"deep", b"only", b"v", b"v1", b"x", b"ADMIN", b"%61dmin", b"ad%6Din", b"admin%2fx", b"admin;x",
    b"admin%3Bx", b"api%2f", b"%2fadmin", b"api%5c", b"admin\\", b"%5cadmin%5c", b"admin%00", b"admin%20", b"%zz", b"%",
)  # fmt: skip
_DOTS: Final = (
    b"..", b".", b"", b"%2e%2e", b"%2E.", b".%2e", b"%2e", b"..;", b"..;a=b", b".;", b"..%2f", b"..%5c", b"..\\",
    b"%2e%2e%2f", b"%252e%252e", b"..%3b", b"...", b"..%00", b"%2e%2e%5cadmin", b"..%2fadmin",
)  # fmt: skip
_QUERIES: Final = (b"", b"", b"?", b"?a=/../admin/", b"?/admin/", b";x?y")


def _make_target(random: Random) -> bytes:
    """Make a path that leads somewhere, by ways that two readers may see differently."""
    is_plain = random.random() < 0.4
    segments = [
        random.choice(_SEGMENTS[:6] if is_plain else _DOTS if random.random() < 0.4 else _SEGMENTS)
        for _ in range(random.choice((1, 2, 2, 3, 4)))
    ]
    return b"/" + b"/".join(segments) + random.choice((b"", b"/")) + random.choice(_QUERIES)


def make_routed_case(random: Random) -> RequestCase:
    """Make one input for `ROUTED`; it is in order only if every reader routes it alike."""
    case = make_request_case(random, _make_target)
    targets = [
        (message.values(b"host"), message.target) for message in read_requests(case.data).messages
    ]
    is_clear = all(
        route_of(ROUTES, hosts[0] if hosts else b"", target) >= 0 for hosts, target in targets
    )
    return case._replace(is_clean=case.is_clean and is_clear)


def route_of(routes: Sequence[RouteSettings], host: bytes, target: bytes) -> int:
    """Where a request belongs: the index of its route, -1 for none or when readings of its path
    differ.
    """
    name = re.sub(rb":[0-9]*\Z", b"", host.lower()).decode("latin-1")
    path = target.split(b"?")[0]
    found = {_first(routes, name, reading) for reading in (path, _lenient(path))}
    return found.pop() if len(found) == 1 else -1


def forwarded_target(route: RouteSettings, target: bytes) -> bytes:
    """What the upstream of a route is asked for."""
    if not route.strip_prefix or target == b"*":
        return target
    rest = target.removeprefix(route.path.rstrip("/").encode())
    return rest if rest.startswith(b"/") else b"/" + rest


def _first(routes: Sequence[RouteSettings], name: str, path: bytes) -> int:
    for index, route in enumerate(routes):
        prefix = route.path.encode()
        is_below = path.startswith(prefix) or path + b"/" == prefix or path == b"*"
        if is_below and route.host in ("", name):
            return index
    return -1


def _lenient(path: bytes) -> bytes:
    """What the most forgiving server sees: escapes read, backslashes as slashes, parameters gone,
    dots resolved.
    """
    if path == b"*":
        return path
    read = re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), path).replace(
        b"\\", b"/"
    )
    read = re.sub(rb";[^/]*", b"", read) + b"/"
    while True:
        before = read
        read = re.sub(rb"/(?:\.?/)+", b"/", read)
        read = re.sub(rb"\A/(?:\.\./)+", b"/", read)

        read = re.sub(rb"/(?!\.\./)[^/]+/\.\./", b"/", read, count=1)
        if read == before:
            if read == b"/" or _is_directory(path):
                return read
            return read[:-1]


def _is_directory(path: bytes) -> bool:
    """Whether the last segment, read leniently, is none."""
    read = re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), path).replace(
        b"\\", b"/"
    )
    return re.sub(rb";[^/]*\Z", b"", read).endswith((b"/", b"/.", b"/.."))
