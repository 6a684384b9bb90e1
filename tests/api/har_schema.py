"""What HAR 1.2 demands, as JSON Schema: the members its specification lists as required, their
types and values.

Standard: HAR 1.2 (W3C Web Performance, historical draft), sections log to timings. Members
beginning with an underscore are custom ones (section "Custom Fields"); all others that the
specification does not name are refused.
"""

from typing import Any

TEXT = {"type": "string"}
DURATION = {"type": "number", "minimum": -1}
SIZE = {"type": "integer", "minimum": -1}
MOMENT = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"}


def members(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """An object with these members, a comment, and nothing else but custom ones."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {}), "comment": TEXT},
        "patternProperties": {"^_": {}},
        "additionalProperties": False,
    }


def items(kind: dict[str, Any]) -> dict[str, Any]:
    """A list of one kind."""
    return {"type": "array", "items": kind}


PAIRS = items(members({"name": TEXT, "value": TEXT}))
COOKIES = items(
    members(
        {"name": TEXT, "value": TEXT},
        {
            "path": TEXT,
            "domain": TEXT,
            "expires": MOMENT,
            "httpOnly": {"type": "boolean"},
            "secure": {"type": "boolean"},
        },
    )
)
MESSAGE = {
    "httpVersion": TEXT,
    "cookies": COOKIES,
    "headers": PAIRS,
    "headersSize": SIZE,
    "bodySize": SIZE,
}
PARAMETERS = items(members({"name": TEXT}, {"value": TEXT, "fileName": TEXT, "contentType": TEXT}))
POST_DATA = members({"mimeType": TEXT, "params": PARAMETERS, "text": TEXT})
REQUEST = members(
    {
        **MESSAGE,
        "method": TEXT,
        "url": {"type": "string", "pattern": "^[a-z]+://[^#]+$"},
        "queryString": PAIRS,
    },
    {"postData": POST_DATA},
)
CONTENT = members(
    {"size": {"type": "integer"}, "mimeType": TEXT},
    {"compression": {"type": "integer"}, "text": TEXT, "encoding": TEXT},
)
RESPONSE = members(
    {
        **MESSAGE,
        "status": {"type": "integer"},
        "statusText": TEXT,
        "content": CONTENT,
        "redirectURL": TEXT,
    }
)
CACHE_STATE = members(
    {"lastAccess": MOMENT, "eTag": TEXT, "hitCount": {"type": "integer"}}, {"expires": MOMENT}
)
CACHE = members({}, {"beforeRequest": CACHE_STATE, "afterRequest": CACHE_STATE})
PHASE = {"type": "number", "minimum": 0}
TIMINGS = members(
    {"send": PHASE, "wait": PHASE, "receive": PHASE},
    {"blocked": DURATION, "dns": DURATION, "connect": DURATION, "ssl": DURATION},
)
ENTRY = members(
    {
        **{"startedDateTime": MOMENT, "time": PHASE, "request": REQUEST, "response": RESPONSE},
        **{"cache": CACHE, "timings": TIMINGS},
    },
    {"pageref": TEXT, "serverIPAddress": TEXT, "connection": TEXT},
)
PAGE = members(
    {
        **{"startedDateTime": MOMENT, "id": TEXT, "title": TEXT},
        "pageTimings": members({}, {"onContentLoad": DURATION, "onLoad": DURATION}),
    }
)
LOG = members(
    {
        "version": {"const": "1.2"},
        "creator": members({"name": TEXT, "version": TEXT}),
        "entries": items(ENTRY),
    },
    {"browser": members({"name": TEXT, "version": TEXT}), "pages": items(PAGE)},
)
HAR = {"type": "object", "required": ["log"], "properties": {"log": LOG}}
