"""JSON documents that are nothing but an error, and those that only look so."""

from tests.proxy.enrich.endpoints.test_envelopes import said
from tests.support.cases import each_of


@each_of(
    ("answer", "level", "message"),
    [
        (
            {"error": {"code": 403, "message": "no", "status": "PERMISSION_DENIED"}},
            "warn",
            "403: no",
        ),
        (
            {"error": {"code": "ServerError", "message": {"lang": "en", "value": "no"}}},
            "error",
            "ServerError",
        ),
        ({"ok": False, "error": "channel_not_found"}, "warn", "channel_not_found"),
        (
            {
                "ok": False,
                "error": "invalid_arguments",
                "response_metadata": {"messages": ["[ERROR] x"]},
            },
            "warn",
            "invalid_arguments",
        ),
        (
            {"ok": False, "error_code": 400, "description": "Bad Request"},
            "warn",
            "400: Bad Request",
        ),
        (
            {"error": "bad_verification_code", "error_description": "expired", "error_uri": "u"},
            "warn",
            "bad_verification_code: expired",
        ),
        ({"errcode": 40013, "errmsg": "invalid appid"}, "warn", "40013: invalid appid"),
        ({"error_code": 17, "error_msg": "day limit reached"}, "error", "17: day limit reached"),
        (
            {
                "success": False,
                "errors": [{"code": 1003, "message": "x"}],
                "messages": [],
                "result": None,
            },
            "error",
            "1003: x",
        ),
        ({"errors": [{"status": "404", "title": "Not found"}]}, "warn", "404: Not found"),
        ({"errors": [{"message": "x", "locations": []}], "data": None}, "error", "x"),
        (
            {
                "responseHeader": {"status": 400, "QTime": 1},
                "error": {"msg": "undefined field", "code": 400},
            },
            "warn",
            "400: undefined field",
        ),
        (
            {"errorMessage": "boom", "errorType": "KeyError", "stackTrace": []},
            "error",
            "KeyError: boom",
        ),
        ([{"error": {"code": 500, "message": "x"}}], "error", "500: x"),
        ({"error": True, "message": "boom"}, "error", "boom"),
        ({"error": "boom"}, "error", "boom"),
        (
            '{"status":"pulling"}\r\n{"errorDetail":{"message":"denied"},"error":"denied"}\r\n',
            "warn",
            "denied",
        ),
    ],
)
def test_json_that_is_nothing_but_an_error(answer: object, level: str, message: str) -> None:
    """As Google, OData, Slack, Telegram, OAuth, WeChat, Cloudflare, JSON:API, Solr, Lambda and
    Docker write it.
    """
    assert said(answer) == ("error_response", level, message)
    assert said(answer, "application/vnd.some+json; charset=utf-8")[0] == "error_response"


@each_of(
    "answer",
    [
        {"errors": []},
        {"error": None},
        {"ok": False},
        {"error": ""},
        {"error": {}},
        {"error": False},
        {"error": 0},
        {"success": False},
        {"success": False, "message": "name is taken"},
        {"ok": True, "error": "none"},
        {"id": "job_1", "status": "failed", "error": {"code": 500, "message": "x"}},
        {"name": "operations/1", "done": True, "error": {"code": 5, "message": "x"}},
        {"error": {"message": "x"}, "data": {"user": 1}},
        {"data": {"error": {"message": "x"}}},
        {"errors": ["a"], "valid": False},
        {"errors": {"name": ["too short"]}},
        {"errors": [{"line": 1, "message": "x"}]},
        {"error_code": 0, "message": "fine"},
        {"errcode": 0, "errmsg": "ok"},
        {"code": 500, "message": "x"},
        {"took": 3, "errors": False, "items": []},
        {"responses": [{"status": 200}]},
        {"error": "Fehler", "cancel": "Abbruch"},
        [{"error": "a", "message": "b"}, {"error": "c", "message": "d"}],
        "[1, 2]",
        "{",
        '"error"',
        b'{"error":\xff}',
        {"type": "ERROR", "line": 5},
        {"error": [1]},
        {"errors": [1]},
        {"errors": [[]]},
        {"error": {"a": {}}},
    ],
)
def test_what_is_no_failure(answer: object) -> None:
    """What says that nothing failed, a thing that tells of its own failure, every shape that is not
    known.
    """
    assert said(answer) == (None, "info", None)
    assert said(answer, "text/html")[0] is None
