"""Fake work that answers later: background responses and batches of OpenAI, batches of Anthropic.

Objects as in https://platform.openai.com/docs/guides/background, .../docs/api-reference/batch and
https://docs.anthropic.com/en/docs/build-with-claude/batch-processing. A job is done when it is
asked for the second time.
"""

import json
from typing import Any, Final

from aiohttp import web

from tests.support.providers.llm import CREATED, answer_words, count_tokens
from tests.support.providers.openai import response_object

FILE: Final = "file-results"
USAGE: Final = {"prompt_tokens": 22, "completion_tokens": 2, "total_tokens": 24}


class Jobs:
    """The jobs of one application."""

    def __init__(self) -> None:
        self._asked: dict[str, int] = {}
        self._kept: dict[str, dict[str, Any]] = {}

    def _is_done(self, name: str) -> bool:
        self._asked[name] = self._asked.get(name, 0) + 1
        return self._asked[name] > 1

    async def begin_response(self, request: web.Request) -> web.Response:
        """POST /v1/responses."""
        body = await request.json()
        response = response_object(body, answer_words(body["input"]), is_complete=False)
        self._kept[response["id"]] = body
        return web.json_response(response | {"status": "queued", "background": True})

    async def read_response(self, request: web.Request) -> web.Response:
        """GET /v1/responses/{id}."""
        name = request.match_info["id"]
        body = self._kept[name]
        response = response_object(
            body, answer_words(body["input"]), is_complete=self._is_done(name)
        )
        return web.json_response(response | {"background": True})

    async def begin_batch(self, request: web.Request) -> web.Response:
        """POST /v1/batches."""
        return web.json_response(batch(await request.json()))

    async def read_batch(self, _: web.Request) -> web.Response:
        """GET /v1/batches/{id}."""
        shown = batch(
            {
                "input_file_id": "file-in",
                "endpoint": "/v1/chat/completions",
                "completion_window": "24h",
            }
        )
        ended = {"status": "completed", "output_file_id": FILE} if self._is_done("batch") else {}
        return web.json_response(shown | ended)

    async def read_file(self, _: web.Request) -> web.Response:
        """GET /v1/files/{id}/content."""
        answer = {
            "object": "chat.completion",
            "model": "gpt-4o-2024-08-06",
            "choices": [],
            "usage": USAGE,
        }
        lines = [
            {
                "id": f"batch_req_{n}",
                "custom_id": f"r{n}",
                "response": {"status_code": 200, "body": answer},
            }
            for n in range(3)
        ]
        return web.Response(body=written(lines), content_type="application/octet-stream")

    async def begin_messages(self, request: web.Request) -> web.Response:
        """POST /v1/messages/batches."""
        self._kept["messages"] = await request.json()
        return web.json_response(message_batch(request, "in_progress"))

    async def read_messages(self, request: web.Request) -> web.Response:
        """GET /v1/messages/batches/{id}."""
        return web.json_response(
            message_batch(request, "ended" if self._is_done("messages") else "in_progress")
        )

    async def read_results(self, _: web.Request) -> web.Response:
        """GET /v1/messages/batches/{id}/results."""
        lines = [
            {
                "custom_id": one["custom_id"],
                "result": {"type": "succeeded", "message": message(one["params"])},
            }
            for one in self._kept["messages"]["requests"]
        ]
        return web.Response(body=written(lines), content_type="application/x-jsonl")


def add_routes(app: web.Application) -> None:
    """Serve all of them; each application has jobs of its own."""
    jobs = Jobs()
    app.router.add_post("/v1/responses", jobs.begin_response)
    app.router.add_get("/v1/responses/{id}", jobs.read_response)
    app.router.add_post("/v1/batches", jobs.begin_batch)
    app.router.add_get("/v1/batches/batch_1", jobs.read_batch)
    app.router.add_get(f"/v1/files/{FILE}/content", jobs.read_file)
    app.router.add_post("/v1/messages/batches", jobs.begin_messages)
    app.router.add_get("/v1/messages/batches/msgbatch_1", jobs.read_messages)
    app.router.add_get("/v1/messages/batches/msgbatch_1/results", jobs.read_results)


def batch(asked: dict[str, Any]) -> dict[str, Any]:
    """Show a batch of OpenAI that runs."""
    return asked | {
        "id": "batch_1",
        "object": "batch",
        "status": "in_progress",
        "created_at": CREATED,
    }


def message_batch(request: web.Request, status: str) -> dict[str, Any]:
    """Show a batch of Anthropic; its results are where the client came from."""
    counts = {"processing": 0, "succeeded": 2, "errored": 0, "canceled": 0, "expired": 0}
    results = f"{request.url.origin()}/v1/messages/batches/msgbatch_1/results"
    return {
        "id": "msgbatch_1", "type": "message_batch", "processing_status": status, "request_counts": counts,
        "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z",
        "results_url": results if status == "ended" else None,
    }  # fmt: skip


def message(params: dict[str, Any]) -> dict[str, Any]:
    """Answer one request of a batch."""
    words = answer_words(params["messages"])
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": params["model"],
        "content": [{"type": "text", "text": " ".join(words)}], "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {
            "input_tokens": count_tokens(params["messages"]), "output_tokens": len(words), "service_tier": "batch",
        },
    }  # fmt: skip


def written(lines: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)
