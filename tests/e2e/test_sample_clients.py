"""The documents' own sample clients against a real sidelog: only base URL, token and ids are changed."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sidelog import Sidelog, eventually

CONFIG = """
[[routes]]
id = "proxy-1"
path = "/"
upstream = "{upstream}"
service = "user-api"
container = "cnt_x9y8z7w6"
project = "proj_a1b2c3d4"
client = "client-1"
"""

REQUESTS = '''
"""What the samples use of the package `requests`, over the standard library."""
import json, urllib.error, urllib.parse, urllib.request


class Response:
    def __init__(self, status_code, text):
        self.status_code, self.text = status_code, text

    def json(self):
        return json.loads(self.text)


def get(url, params=None, headers=None):
    if params:
        url += "?" + urllib.parse.urlencode(params)
    request = urllib.request.Request(url, headers=headers or {{}})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return Response(response.status, response.read().decode())
    except urllib.error.HTTPError as error:
        return Response(error.code, error.read().decode())
'''.replace("{{}}", "{}")

GATEWAY_JS = """
async function getRequestLogs({ limit = 50, offset = 0, projectId } = {}) {
  const params = new URLSearchParams({ limit, offset });
  if (projectId) params.set('project_id', projectId);

  const response = await fetch(
    `BASE/v1/requests?${params}`,
    {
      headers: {
        'Authorization': 'Bearer TOKEN',
      },
    }
  );

  return response.json();
}

// Fetch first page
const logs = await getRequestLogs({ limit: 20 });
console.log(`Showing ${logs.data.length} of ${logs.total} requests`);

// Paginate
const page2 = await getRequestLogs({ limit: 20, offset: 20 });
console.log(`${page2.data.length} more`);
"""

CLIENT_LIST_JS = """
const clientId = "client-1", proxyId = "proxy-1";
const response = await fetch(
`BASE/api/clients/${clientId}/proxies/${proxyId}/requests?limit=100&processedAfter=2024-01-15T00:00:00Z`,
{
headers: {
'Authorization': process.env.USER_TOKEN
}
}
);
const data = await response.json();
console.log(`Found ${data.totalRequests} requests`);
if (data.limitReached) {
console.log('Warning: More requests available, results were truncated');
}
"""

CLIENT_DETAIL_JS = """
const clientId = "client-1", proxyId = "proxy-1", requestId = "REQUEST_ID";
const response = await fetch(
`BASE/api/clients/${clientId}/proxies/${proxyId}/requests/${requestId}`,
{
headers: {
'Authorization': process.env.USER_TOKEN
}
}
);
const data = await response.json();
const request = data.requests[0];
console.log(`Request: ${request.method} ${request.path}`);
console.log(`Status: ${request.statusCode}, Duration: ${request.duration}ms`);
"""

CLIENT_LIST_PY = """
import requests
from datetime import datetime, timedelta
import os
client_id, proxy_id = "client-1", "proxy-1"
# Get requests from last week
one_week_ago = (datetime.now() - timedelta(days=7)).isoformat()
response = requests.get(
f'BASE/api/clients/{client_id}/proxies/{proxy_id}/requests',
params={
'limit': 100,
'processedAfter': one_week_ago
},
headers={'Authorization': os.getenv('USER_TOKEN')}
)
data = response.json()
print(f"Found {data['totalRequests']} requests")
"""

CLIENT_DETAIL_PY = """
import requests
import os
client_id = "client-1"
proxy_id = "proxy-1"
request_id = "REQUEST_ID"
response = requests.get(
f'BASE/api/clients/{client_id}/proxies/{proxy_id}/requests/{request_id}',
headers={'Authorization': os.getenv('USER_TOKEN')}
)
data = response.json()
req = data['requests'][0]
print(f"Request: {req['method']} {req['path']}")
print(f"Status: {req['statusCode']}, Duration: {req['duration']}ms")
"""

CLIENT_LIST_JAVA = """
import java.net.http.*;
import java.net.URI;
import java.time.*;
import java.time.format.DateTimeFormatter;
public class ListRequests {
public static void main(String[] args) throws Exception {
String clientId = "client-1";
String proxyId = "proxy-1";
// Get requests from last week
LocalDateTime oneWeekAgo = LocalDateTime.now().minusWeeks(1);
String formattedDate = oneWeekAgo.format(DateTimeFormatter.ISO_DATE_TIME);
String url = String.format(
"BASE/api/clients/%s/proxies/%s/requests?limit=100&processedAfter=%s",
clientId, proxyId, formattedDate
);
HttpClient client = HttpClient.newHttpClient();
HttpRequest request = HttpRequest.newBuilder()
.uri(URI.create(url))
.header("Authorization", System.getenv("USER_TOKEN"))
.GET()
.build();
HttpResponse<String> response = client.send(request,
HttpResponse.BodyHandlers.ofString());
System.out.println(response.body());
}
}
"""
"""The document's, but for the JSON library, which is not at hand: the body is printed as it is."""

NUMBER = 25


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Iterator[Sidelog]:
    """A sidelog with 25 exchanges of one client and proxy."""
    directory = tmp_path_factory.mktemp("samples")
    config = directory / "sidelog.toml"
    config.write_text(CONFIG.format(upstream=upstream))
    with Sidelog(directory / "data", "", "--config", str(config)) as sidelog:
        for number in range(NUMBER):
            body = json.dumps({"name": "John Doe", "n": number}).encode()
            request = urllib.request.Request(
                f"{sidelog.url}/api/users?position=center", body, {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=10) as response:
                response.read()
        eventually(lambda: sidelog.api("/v1/requests")["total"] == NUMBER)
        yield sidelog


def adapted(sample: str, sidelog: Sidelog) -> str:
    """Change base URL, token and ids, and nothing else."""
    newest = sidelog.api("/api/records?limit=1")["records"][0]["id"]
    base = f"http://127.0.0.1:{sidelog.admin_port}"
    return sample.replace("BASE", base).replace("Bearer TOKEN", f"Bearer {sidelog.token}").replace("REQUEST_ID", newest)


def run(sidelog: Sidelog, *command: str, cwd: Path) -> str:
    """Run a sample with the token where the document has it."""
    environ = {**os.environ, "USER_TOKEN": sidelog.token, "PYTHONPATH": str(cwd)}
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def need(program: str) -> str:
    """Find a program, or skip."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"there is no {program} on this machine")
    return found


@pytest.mark.parametrize(
    ("sample", "lines"),
    [
        (GATEWAY_JS, [f"Showing 20 of {NUMBER} requests", "5 more"]),
        (CLIENT_LIST_JS, [f"Found {NUMBER} requests"]),
        (CLIENT_DETAIL_JS, ["Request: POST /api/users", "Status: 200, Duration: "]),
    ],
)
def test_javascript(running: Sidelog, tmp_path: Path, sample: str, lines: list[str]) -> None:
    """`fetch`, as in the documents of seeds 000 and 004."""
    node = need("node")
    (tmp_path / "sample.mjs").write_text(adapted(sample, running))
    printed = run(running, node, "sample.mjs", cwd=tmp_path).splitlines()
    for line, expected in zip(printed, lines, strict=True):
        assert line.startswith(expected)


@pytest.mark.parametrize(
    ("sample", "lines"),
    [
        (CLIENT_LIST_PY, [f"Found {NUMBER} requests"]),
        (CLIENT_DETAIL_PY, ["Request: POST /api/users", "Status: 200, Duration: "]),
    ],
)
def test_python(running: Sidelog, tmp_path: Path, sample: str, lines: list[str]) -> None:
    """`requests`, as in seed 004; a naive local time is read as UTC."""
    with contextlib.suppress(FileExistsError):
        (tmp_path / "requests.py").write_text(REQUESTS)
    (tmp_path / "sample.py").write_text(adapted(sample, running))
    printed = run(running, sys.executable, "sample.py", cwd=tmp_path).splitlines()
    for line, expected in zip(printed, lines, strict=True):
        assert line.startswith(expected)


def test_java(running: Sidelog, tmp_path: Path) -> None:
    """`java.net.http`, as in seed 004."""
    java = need("java")
    (tmp_path / "ListRequests.java").write_text(adapted(CLIENT_LIST_JAVA, running))
    need("javac")
    answer = json.loads(run(running, java, "ListRequests.java", cwd=tmp_path))
    assert (answer["totalRequests"], answer["limitReached"]) == (NUMBER, False)


@pytest.mark.parametrize(
    ("arguments", "member"),
    [
        (["BASE/v1/requests?limit=20&offset=0", "-H", "Authorization: Bearer SECRET"], "data"),
        (["BASE/v1/requests?project_id=proj_a1b2c3d4&limit=50", "-H", "Authorization: Bearer SECRET"], "data"),
        (["BASE/api/proxy-logs/_logs?level=info", "-H", "Authorization: Bearer SECRET"], "entries"),
        (["BASE/api/request-logs", "-H", "Authorization: Bearer SECRET"], "logs"),
        (["--request", "GET", "--url", "BASE/api/mcp-logs", "-H", "Authorization: Bearer SECRET"], "logs"),
        (
            [
                *("-X", "GET", "BASE/api/clients/client-1/proxies/proxy-1/requests?limit=100"),
                *("-H", "Authorization: SECRET"),
            ],
            "requests",
        ),
    ],
)
def test_curl(running: Sidelog, tmp_path: Path, arguments: list[str], member: str) -> None:
    """The command lines of the documents; seed 004 sends the token bare."""
    base = f"http://127.0.0.1:{running.admin_port}"
    words = [word.replace("BASE", base).replace("SECRET", running.token) for word in arguments]
    answer = json.loads(run(running, need("curl"), "-sS", *words, cwd=tmp_path))
    assert isinstance(answer[member], list), answer


def test_curl_follows_the_stream(running: Sidelog, tmp_path: Path) -> None:
    """Seed 001's live tail, resumed from its beginning: frames as the document shows them."""
    url = f"http://127.0.0.1:{running.admin_port}/api/proxy-logs/_logs/stream?projectId=proj_a1b2c3d4"
    headers = ["-H", f"Authorization: Bearer {running.token}", "-H", "Last-Event-ID: 0"]
    command = [need("curl"), "-sSN", "--max-time", "2", *headers, url]
    text = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False).stdout
    frames = [frame for frame in text.split("\n\n") if frame.startswith("id: ")]
    assert len(frames) == 2 * NUMBER
    first, second = frames[0].split("\n")
    assert second.startswith('data: {"id":' + first.removeprefix("id: ") + ',"traceId":"')
