"""The official clients of the LLM APIs, pointed at one base URL; made when they are first asked
for.

None of them looks at the environment, tries again, or reaches for anything but that URL.
"""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import anthropic
    import ollama
    import openai
    from google import genai

KEY: Final = "test-key-0001"
TIMEOUT_S: Final = 60.0


class Clients:
    """One client of each kind, and the ids of the records of what they asked."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        """Ask `url`, with `headers` on every request."""
        self.url = url
        self.ids: list[str] = []
        """Record ids as answers named them; empty without a sidelog between."""
        self._headers = headers or {}
        self._to_close: list[Callable[[], None]] = []

    def close(self) -> None:
        """Close all connections."""
        for close in self._to_close:
            close()

    def _options(self) -> dict[str, Any]:
        def note(response: Any) -> None:
            if (name := response.headers.get("x-sidelog-id")) is not None:
                self.ids.append(name)

        options = {
            "event_hooks": {"response": [note]},
            "headers": self._headers,
            "timeout": TIMEOUT_S,
        }
        # All of it is plain HTTP: no certificates to read.
        return options | {"trust_env": False, "verify": False}

    @cached_property
    def openai(self) -> "openai.OpenAI":
        """Of OpenAI and those who copy it."""
        import httpx2
        from openai import OpenAI

        http = httpx2.Client(**self._options())
        self._to_close.append(http.close)
        return OpenAI(base_url=f"{self.url}/v1", api_key=KEY, max_retries=0, http_client=http)

    @cached_property
    def anthropic(self) -> "anthropic.Anthropic":
        """Of Anthropic."""
        import httpx2
        from anthropic import Anthropic

        http = httpx2.Client(**self._options())
        self._to_close.append(http.close)
        return Anthropic(base_url=self.url, api_key=KEY, max_retries=0, http_client=http)

    @cached_property
    def gemini(self) -> "genai.Client":
        """Of Gemini."""
        import httpx2
        from google import genai
        from google.genai.types import HttpOptions

        http = httpx2.Client(**self._options())
        self._to_close.append(http.close)
        return genai.Client(
            api_key=KEY, http_options=HttpOptions(base_url=self.url, httpx_client=http)
        )

    @cached_property
    def ollama(self) -> "ollama.Client":
        """Of Ollama."""
        import ollama

        client = ollama.Client(host=self.url, **self._options())
        self._to_close.append(client.close)
        return client


def plain(value: Any) -> Any:
    """Turn what a client returned into JSON values, without what is of the connection and not of
    the answer.
    """
    if isinstance(value, list):
        return [plain(part) for part in value]
    if not hasattr(value, "model_dump"):
        return value

    shown = value.model_dump(mode="json")
    shown.pop("sdk_http_response", None)
    return shown


def raised(error: Exception) -> dict[str, Any]:
    """Describe what a client raised."""
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    return {"raised": type(error).__name__, "status": status, "text": str(error)}


def heard(ask: Callable[[], Any]) -> Any:
    """Ask; return the answer as JSON values, a stream as the list of its parts, with what was
    raised at its end.
    """
    try:
        answer = ask()
    except Exception as error:
        return raised(error)

    if hasattr(answer, "model_dump") or not isinstance(answer, Iterable):
        return plain(answer)

    parts: list[Any] = []
    try:
        parts.extend(plain(part) for part in answer)
    except Exception as error:
        parts.append(raised(error))

    return parts
