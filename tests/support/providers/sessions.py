"""Fake sessions with models over a WebSocket: OpenAI's Realtime and Responses, Gemini's Live.

Messages as in https://platform.openai.com/docs/api-reference/realtime-server-events,
.../docs/guides/websocket-mode and https://ai.google.dev/api/live. A token is a word, as everywhere
here; audio is one token for ten bytes.
"""

import json
from typing import Any, Final

from aiohttp import WSMsgType, web

from tests.support.providers.llm import answer_id, answer_words, count_tokens

COMPRESS: Final = "compress"
"""In the query: 0 leaves permessage-deflate out."""
AUDIO_TOKENS: Final = 40


async def _opened(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(compress=request.query.get(COMPRESS) != "0", max_msg_size=1 << 26)
    await ws.prepare(request)
    return ws


def realtime_usage(said: list[object], words: list[str]) -> dict[str, Any]:
    """Count what a response of the Realtime API used."""
    text = count_tokens(said)
    return {
        "total_tokens": text + len(words) + 2 * AUDIO_TOKENS,
        "input_tokens": text + AUDIO_TOKENS,
        "output_tokens": len(words) + AUDIO_TOKENS,
        "input_token_details": {
            "text_tokens": text, "audio_tokens": AUDIO_TOKENS, "image_tokens": 0, "cached_tokens": text - 1,
            "cached_tokens_details": {"text_tokens": text - 1, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": len(words), "audio_tokens": AUDIO_TOKENS},
    }  # fmt: skip


async def realtime(request: web.Request) -> web.WebSocketResponse:
    """Answer each `response.create` with what was said so far."""
    ws = await _opened(request)
    said: list[object] = []
    session = {
        "type": "realtime",
        "object": "realtime.session",
        "id": "sess_1",
        "model": request.query["model"],
    }
    await ws.send_json({"type": "session.created", "event_id": "event_0", "session": session})

    async for message in ws:
        event = json.loads(message.data)
        if event["type"] == "conversation.item.create":
            said.append(event["item"]["content"])
        elif event["type"] == "response.create":
            words = answer_words(said)
            response: dict[str, Any] = {
                "object": "realtime.response", "id": answer_id("resp_", {"said": said}), "status": "in_progress",
                "status_details": None, "output": [], "conversation_id": "conv_1", "usage": None, "metadata": None,
            }  # fmt: skip
            await ws.send_json(
                {"type": "response.created", "event_id": "event_1", "response": response}
            )
            place = {
                "response_id": response["id"],
                "item_id": "item_1",
                "output_index": 0,
                "content_index": 0,
            }
            for word in words:
                delta = {"type": "response.output_text.delta", "event_id": "e", "delta": word}
                await ws.send_json(delta | place)
            audio = {"type": "response.output_audio.delta", "event_id": "e", "delta": "QUFB" * 8000}
            await ws.send_json(audio | place)
            content = [{"type": "output_text", "text": " ".join(words)}]
            item = {
                "id": "item_1",
                "object": "realtime.item",
                "type": "message",
                "status": "completed",
            }
            output = [item | {"role": "assistant", "content": content}]
            ended = response | {
                "status": "completed",
                "output": output,
                "usage": realtime_usage(said, words),
            }
            await ws.send_json({"type": "response.done", "event_id": "event_2", "response": ended})

    return ws


async def responses(request: web.Request) -> web.WebSocketResponse:
    """Answer each `response.create` as a stream of the responses API would be."""
    ws = await _opened(request)
    async for message in ws:
        asked = json.loads(message.data)
        words = answer_words(asked["input"])
        prompt = count_tokens(asked["input"])
        usage = {
            "input_tokens": prompt, "output_tokens": len(words), "total_tokens": prompt + len(words),
            "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
        }  # fmt: skip
        response = {
            "id": answer_id("resp_", asked), "object": "response", "created_at": 1767225600, "status": "in_progress",
            "model": f"{asked['model']}-2025-11-13", "output": [], "parallel_tool_calls": True, "tool_choice": "auto",
            "tools": [], "usage": None,
        }  # fmt: skip
        await ws.send_json({"type": "response.created", "sequence_number": 0, "response": response})
        ended = response | {"status": "completed", "usage": usage}
        await ws.send_json({"type": "response.completed", "sequence_number": 1, "response": ended})

    return ws


async def live(request: web.Request) -> web.WebSocketResponse:
    """Answer each turn in binary frames of JSON, as the Live API does."""
    ws = await _opened(request)
    async for message in ws:
        assert message.type in (WSMsgType.TEXT, WSMsgType.BINARY)
        event = json.loads(message.data)
        if "setup" in event:
            await ws.send_bytes(b'{"setupComplete": {}}')
        elif (turns := event.get("clientContent", event.get("client_content"))) is not None:
            words = answer_words(turns["turns"])
            for word in words:
                part = {"modelTurn": {"role": "model", "parts": [{"text": word}]}}
                await ws.send_bytes(json.dumps({"serverContent": part}).encode())
            prompt = count_tokens(turns["turns"])
            usage = {
                "promptTokenCount": prompt, "responseTokenCount": len(words), "totalTokenCount": prompt + len(words),
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
                "responseTokensDetails": [{"modality": "TEXT", "tokenCount": len(words)}],
            }  # fmt: skip
            end = {"serverContent": {"turnComplete": True}, "usageMetadata": usage}
            await ws.send_bytes(json.dumps(end).encode())

    return ws


def add_routes(app: web.Application) -> None:
    """Serve all of them where they really are."""
    app.router.add_get("/v1/realtime", realtime)
    app.router.add_get("/v1/responses", responses)
    for version in ("v1beta", "v1alpha", "v1"):
        path = f"/ws/google.ai.generativelanguage.{version}.GenerativeService.BidiGenerateContent"
        app.router.add_get(path, live)
