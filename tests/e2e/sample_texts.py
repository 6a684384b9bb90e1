"""The documents' own sample clients but for base URL, token and ids, and stand-ins for what they
import.
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
        with urllib.request.urlopen(request, timeout=60) as response:
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
import com.google.gson.*;
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
JsonObject json = JsonParser.parseString(response.body()).getAsJsonObject();
int totalRequests = json.get("totalRequests").getAsInt();
boolean limitReached = json.get("limitReached").getAsBoolean();
System.out.println("Found " + totalRequests + " requests");
if (limitReached) {
System.out.println("Warning: More requests available, results were truncated");
}
}
}
"""

CLIENT_DETAIL_JAVA = """
import java.net.http.*;
import java.net.URI;
import com.google.gson.*;
public class GetRequestDetails {
public static void main(String[] args) throws Exception {
String clientId = "client-1";
String proxyId = "proxy-1";
String requestId = "REQUEST_ID";
String url = String.format(
"BASE/api/clients/%s/proxies/%s/requests/%s",
clientId, proxyId, requestId
);
HttpClient client = HttpClient.newHttpClient();
HttpRequest request = HttpRequest.newBuilder()
.uri(URI.create(url))
.header("Authorization", System.getenv("USER_TOKEN"))
.GET()
.build();
HttpResponse<String> response = client.send(request,
HttpResponse.BodyHandlers.ofString());
JsonObject json = JsonParser.parseString(response.body()).getAsJsonObject();
JsonArray requests = json.getAsJsonArray("requests");
JsonObject req = requests.get(0).getAsJsonObject();
System.out.println("Request: " + req.get("method").getAsString() + " " + req.get("path").getAsString());
System.out.println("Status: " + req.get("statusCode").getAsInt() + ", Duration: " + req.get("duration").getAsInt() + "ms");
}
}
"""  # noqa: E501 -- the document's lines

GSON_JAVA = """
package com.google.gson;
import java.util.*;
public class JsonElement {
Object value;
public JsonElement(Object value) { this.value = value; }
public JsonObject getAsJsonObject() { return new JsonObject(value); }
public int getAsInt() { return Integer.parseInt(value.toString()); }
public String getAsString() { return (String) value; }
public boolean getAsBoolean() { return Boolean.parseBoolean(value.toString()); }
}
---
package com.google.gson;
import java.util.*;
public class JsonObject extends JsonElement {
public JsonObject(Object value) { super(value); }
public JsonElement get(String name) { return new JsonElement(((Map<?, ?>) value).get(name)); }
public JsonArray getAsJsonArray(String name) { return new JsonArray(((Map<?, ?>) value).get(name)); }
}
---
package com.google.gson;
import java.util.*;
public class JsonArray extends JsonElement {
public JsonArray(Object value) { super(value); }
public JsonElement get(int index) { return new JsonElement(((List<?>) value).get(index)); }
}
---
package com.google.gson;
import java.util.*;
public class JsonParser {
final String text;
int at = 0;
JsonParser(String text) { this.text = text; }
public static JsonElement parseString(String text) { return new JsonElement(new JsonParser(text).read()); }
char next() { while (Character.isWhitespace(text.charAt(at))) at++; return text.charAt(at); }
Object read() {
  char first = next();
  if (first == '{') {
    Map<String, Object> found = new HashMap<>();
    at++;
    while (next() != '}') {
      if (next() == ',') { at++; continue; }
      String name = (String) read();
      if (next() != ':') throw new IllegalStateException("no colon at " + at);
      at++;
      found.put(name, read());
    }
    at++;
    return found;
  }
  if (first == '[') {
    List<Object> found = new ArrayList<>();
    at++;
    while (next() != ']') { if (next() == ',') at++; else found.add(read()); }
    at++;
    return found;
  }
  if (first == '"') {
    StringBuilder found = new StringBuilder();
    for (at++; text.charAt(at) != '"'; at++) found.append(text.charAt(at) == '\\\\' ? text.charAt(++at) : text.charAt(at));
    at++;
    return found.toString();
  }
  int start = at;
  while (",]} \\n".indexOf(text.charAt(at)) < 0) at++;
  return text.substring(start, at);
}
}
"""  # noqa: E501
"""What the Java samples use of Gson, which is not at hand: one file each, between the dashes."""

PROXY_LOGS_JS = """
import { client } from './sdk.mjs';
const page = await client.proxyLogs.logs.listIterator({ projectId: "proj_a1b2c3d4", level: "info", limit: 20,});
for await (const entry of page) { console.log(entry.traceId, entry.level, entry.url);}
"""

PROXY_STATS_JS = """
import { client } from './sdk.mjs';
const stats = await client.proxyLogs.logs.getStats();
console.log("Total entries:", stats.total);
console.log("Errors:", stats.byLevel.error);
"""

PROXY_STREAM_JS = """
import { client } from './sdk.mjs';
let shown = 0;
const stream = await client.proxyLogs.logs.streamLogs({ projectId: "proj_a1b2c3d4", level: "info",});
for await (const frame of stream) { if (frame.event === "scope-destroyed") break; if (frame.event === "reset") { // discard lastSeenId and reconnect fresh
continue; } console.log(frame.id, frame.data);
if (++shown === 10) break;
}
"""  # noqa: E501
"""The document's loop, left after ten frames."""

SDK_JS = """
const headers = { Authorization: 'Bearer TOKEN' };
const path = 'BASE/api/proxy-logs/_logs';
async function get(suffix, parameters = {}, more = {}) {
  const response = await fetch(`${path}${suffix}?${new URLSearchParams(parameters)}`, { headers: { ...headers, ...more } });
  if (!response.ok) throw new Error((await response.json()).message);
  return response;
}
async function* listIterator(parameters) {
  for (let afterId = 0; ; ) {
    const { entries } = await (await get('', { ...parameters, afterId })).json();
    if (!entries.length) return;
    yield* entries;
    afterId = entries.at(-1).id;
  }
}
async function* streamLogs(parameters) {
  const response = await get('/stream', parameters, { 'Last-Event-ID': '0' });
  let text = '';
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    text += part;
    for (let end; (end = text.indexOf('\\n\\n')) >= 0; text = text.slice(end + 2)) {
      const fields = Object.fromEntries(text.slice(0, end).split('\\n').filter((line) => /^\\w/.test(line)).map((line) => line.split(/: ?(.*)/s)));
      if (fields.data) yield { event: fields.event ?? 'message', id: fields.id, data: fields.data };
    }
  }
}
export const client = { proxyLogs: { logs: { listIterator, streamLogs, getStats: async () => (await get('/stats')).json() } } };
"""  # noqa: E501
"""The SDK of the proxy logs as its samples use it, over `fetch`: only what the document says of the
endpoints.
"""
