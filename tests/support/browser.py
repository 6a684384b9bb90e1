"""A real Chromium, driven over its DevTools protocol: open pages, type, click, wait, and hear what
went wrong in them.

Strategy: one headless browser and one page per test session, which each test gets blank, without
cookies, storage and history: a page of its own, which is a process of its own, would cost a test as
much CPU as all that it does in it. Commands are JSON over one WebSocket per test; events are read
by a task that files console errors, exceptions and violations of the content security policy, which
a test asserts to be none. Standard: Chrome DevTools Protocol, stable 1.3.
"""

import asyncio
import base64
import json
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientSession, ClientWebSocketResponse

from tests.support.programs import find

PROGRAMS: Final = (
    *("/usr/lib/chromium/chromium-headless-shell", "chromium", "chromium-browser"),
    *("google-chrome", "google-chrome-stable"),
)  # fmt: skip
"""The shell is the same engine without windows: 85 instead of 165 s of CPU for all of `tests/ui`.

It is named by its path, as the script of its name on the PATH would stay between us and its
processes.
"""
FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--disable-default-apps", "--disable-features=SpareRendererForSitePerProcess", "--hide-scrollbars",
    "--remote-debugging-port=0", "--remote-debugging-address=127.0.0.1",
)  # fmt: skip
TIMEOUT_S: Final = 60.0
TIMEOUT_START_S: Final = 200.0
POLL_S: Final = 0.02
BLANK: Final = "about:blank"
WAITING: Final = """(async () => {
  for (let left = 50; ; left--) {
    const it = EXPRESSION;
    if (it || !left) return it instanceof Node ? true : it;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
})()"""
"""Waits in the page, a second at most: to ask it fifty times a second would cost two more processes
their share.
"""
KEYS: Final = {
    "Enter": (13, "\r"), "Escape": (27, ""), "Tab": (9, ""), "ArrowDown": (40, ""), "ArrowUp": (38, ""),
    "ArrowLeft": (37, ""), "ArrowRight": (39, ""), "Backspace": (8, ""), " ": (32, " "),
    "PageUp": (33, ""), "PageDown": (34, ""), "End": (35, ""), "Home": (36, ""),
}  # fmt: skip


@contextmanager
def start_chromium(profile: Path, *flags: str) -> Iterator[int]:
    """Start a browser with a new profile; gives its debugging port. It is stopped at the end."""
    command = [find(*PROGRAMS), *FLAGS, *flags, f"--user-data-dir={profile}", BLANK]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield _debugging_port(profile, process)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _debugging_port(profile: Path, process: subprocess.Popen[bytes]) -> int:
    """Wait for the port that the browser chose."""
    deadline = time.monotonic() + TIMEOUT_START_S
    while True:
        assert process.poll() is None, f"chromium ended with {process.returncode}"
        assert time.monotonic() < deadline, f"chromium did not start within {TIMEOUT_START_S} s"
        try:
            return int((profile / "DevToolsActivePort").read_text().split()[0])
        except (OSError, IndexError, ValueError):
            time.sleep(POLL_S)


class Browser:
    """A running browser."""

    def __init__(self, session: ClientSession, port: int) -> None:
        """Talk to the browser that listens on this port."""
        self._session = session
        self._base = f"http://127.0.0.1:{port}"

    @asynccontextmanager
    async def page(self, *, width: int = 1400, height: int = 900) -> AsyncIterator["Page"]:
        """Give the page to a test, blank; after a test that failed, or with none left, a new one."""
        async with self._session.get(f"{self._base}/json/version") as response:
            address = (await response.json())["webSocketDebuggerUrl"]
        async with self._session.ws_connect(address, max_msg_size=0) as socket:
            root = _Wire(socket)
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(root.read(), name="devtools")
                try:
                    page = await _attach(root, await _blank_target(root), width, height)
                    try:
                        yield page
                    except BaseException:
                        await page.close()
                        raise

                    await page.forget()
                finally:
                    reading.cancel()


async def _blank_target(wire: "_Wire") -> str:
    """Find the page that the test before left blank, or open one."""
    for target in (await wire.call("Target.getTargets"))["targetInfos"]:
        if (target["type"], target["url"]) == ("page", BLANK):
            return str(target["targetId"])
    return await _new_target(wire)


async def _new_target(wire: "_Wire") -> str:
    return str((await wire.call("Target.createTarget", url=BLANK))["targetId"])


async def _attach(wire: "_Wire", target: str, width: int, height: int) -> "Page":
    attached = await wire.call("Target.attachToTarget", targetId=target, flatten=True)
    page = Page(wire, attached["sessionId"], target)
    await page.prepare(width, height)
    return page


class _Wire:
    """Commands and answers over one WebSocket; events go to who listens for their session."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.listeners: dict[str, Any] = {}

    async def call(
        self, method: str, session: str | None = None, **parameters: Any
    ) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._number += 1
        message = {
            "id": self._number,
            "method": method,
            "params": parameters,
            **({"sessionId": session} if session else {}),
        }
        future = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_str(json.dumps(message))
        async with asyncio.timeout(TIMEOUT_S):
            answer = await future
        assert "error" not in answer, (method, answer["error"])
        return dict(answer["result"])

    async def read(self) -> None:
        """File what comes."""
        async for frame in self._socket:
            message = json.loads(frame.data)
            if "id" in message:
                future = self._answers.pop(message["id"])
                if not future.done():
                    future.set_result(message)
            elif listener := self.listeners.get(message.get("sessionId", "")):
                listener(message["method"], message["params"])


class Page:
    """One page."""

    def __init__(self, wire: _Wire, session: str, target: str) -> None:
        """Belong to this session of the browser, and be this target."""
        self._wire = wire
        self._session = session
        self._target = target
        self._origins: set[str] = set()
        self.problems: list[str] = []
        """Errors of the console, exceptions, violations of the content security policy."""
        self.requests: list[str] = []
        """Paths with query that were asked for."""
        self._asked: dict[str, str] = {}

    @asynccontextmanager
    async def sibling(self) -> AsyncIterator["Page"]:
        """Open another tab of the same browser: cookies, storage and channels are shared."""
        other = await _attach(self._wire, await _new_target(self._wire), 1400, 900)
        try:
            yield other
        finally:
            await other.close()

    async def close(self) -> None:
        """Close it for good."""
        await self._wire.call("Target.closeTarget", targetId=self._target)

    async def leave(self) -> None:
        """Go to a blank page: nothing is asked for or heard of any more."""
        await self.open(BLANK)
        await self.until(f"location.href === '{BLANK}' && document.readyState === 'complete'")

    async def forget(self) -> None:
        """Become blank, without cookies, without what was stored for the addresses it was at, and
        without history.
        """
        await self.leave()
        await self.call("Network.clearBrowserCookies")
        for origin in self._origins:
            await self.call("Storage.clearDataForOrigin", origin=origin, storageTypes="all")
        await self.call("Page.resetNavigationHistory")

    async def prepare(self, width: int, height: int) -> None:
        """Listen to everything, and take a size."""
        self._wire.listeners[self._session] = self._note
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")
        await self.resize(width, height)
        script = (
            "addEventListener('securitypolicyviolation',"
            " (e) => console.error('CSP', e.violatedDirective, e.blockedURI))"
        )
        await self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    async def resize(self, width: int, height: int) -> None:
        """Take a size in CSS pixels."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    async def prefer(self, scheme: str) -> None:
        """Be a system that prefers `light` or `dark`."""
        await self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol."""
        return await self._wire.call(method, self._session, **parameters)

    def _note(self, method: str, event: dict[str, Any]) -> None:
        if method == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning", "assert"):
            self.problems.append(
                " ".join(str(part.get("value", part.get("description"))) for part in event["args"])
            )
        elif method == "Runtime.exceptionThrown":
            details = event["exceptionDetails"]
            self.problems.append(
                str(details.get("exception", {}).get("description", details["text"]))
            )
        elif method == "Log.entryAdded" and event["entry"]["level"] == "error":
            self.problems.append(f"{event['entry']['text']} {event['entry'].get('url', '')}")
        elif method == "Page.javascriptDialogOpening":
            self.problems.append(f"dialog: {event['message']}")
        elif method == "Network.requestWillBeSent":
            path = event["request"]["url"].split("/", 3)[-1]
            self.requests.append(path)
            self._asked[event["requestId"]] = path
        elif method == "Page.frameNavigated" and "parentId" not in event["frame"]:
            self._asked.clear()  # the browser does not say how requests of the page before ended
        elif method in ("Network.loadingFinished", "Network.loadingFailed"):
            self._asked.pop(event["requestId"], None)

    async def open(self, url: str) -> None:
        """Go to an address."""
        if url != BLANK:
            self._origins.add("/".join(url.split("/")[:3]))
        await self.call("Page.navigate", url=url)

    async def evaluate(self, expression: str) -> Any:
        """Run a script in the page; promises are awaited."""
        answer = await self.call(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str, timeout_s: float = TIMEOUT_S) -> Any:
        """Wait until a script gives something true; returns it."""
        value = None
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        value = await self.evaluate(WAITING.replace("EXPRESSION", expression))
                    except AssertionError as error:
                        value = error  # the page may be on its way to the next one

                    if value and not isinstance(value, AssertionError):
                        return value
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            text = await self.evaluate(
                "((text) => `${text.slice(0, 1000)} … "
                "${text.slice(-1000)}`)(document.body.innerText)"
            )
            raise AssertionError(
                f"did not come true: {expression}: {value!r}; {self.problems}\n{text}"
            ) from None

    async def quiet(self, for_s: float = 0.5) -> None:
        """Wait until nothing is asked for any more; an event stream that is open does not count."""
        before = -1
        since = time.monotonic()
        async with asyncio.timeout(3 * TIMEOUT_S):
            while time.monotonic() - since < for_s:
                pending = [path for path in self._asked.values() if "/stream?" not in path]
                if pending or len(self.requests) != before:
                    before = len(self.requests)
                    since = time.monotonic()
                await asyncio.sleep(POLL_S)

    async def wait_for(self, selector: str, text: str = "") -> Any:
        """Wait until an element is shown, with this text in it; returns its text."""
        wanted = json.dumps(selector)
        words = json.dumps(text)
        return await self.until(
            f"[...document.querySelectorAll({wanted})].filter((e) => e.getClientRects().length"
            f" && (e.innerText + ' ').includes({words})).map((e) => e.innerText + ' ')[0]"
        )

    async def click(self, selector: str, text: str = "") -> None:
        """Click the middle of the first shown element with this text."""
        await self.wait_for(selector, text)
        wanted = json.dumps(selector)
        words = json.dumps(text)
        x, y = await self.evaluate(
            f"(() => {{ const e = [...document.querySelectorAll({wanted})].find((e) => e.getClientRects().length"
            f" && (e.innerText + ' ').includes({words})); e.scrollIntoView({{ block: 'nearest' }});"
            " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / "
            "2]; })()"
        )

        # Nothing of ours comes between them: what is drawn anew after the press takes no click.
        async with asyncio.TaskGroup() as both:
            for kind in ("mousePressed", "mouseReleased"):
                event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
                both.create_task(self.call("Input.dispatchMouseEvent", **event), name=kind)

    async def drag(self, selector: str, start: float, end: float) -> None:
        """Drag over an element, from one share of its width to another."""
        box = await self.evaluate(
            f"(() => {{ const r = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [r.x, r.y, r.width, r.height]; })()"
        )
        y = box[1] + box[3] / 2
        await self.call(
            "Input.dispatchMouseEvent",
            type="mousePressed",
            x=box[0] + start * box[2],
            y=y,
            button="left",
            clickCount=1,
        )

        for share in (start + (end - start) / 2, end):
            await self.call(
                "Input.dispatchMouseEvent",
                type="mouseMoved",
                x=box[0] + share * box[2],
                y=y,
                button="left",
            )

        await self.call(
            "Input.dispatchMouseEvent",
            type="mouseReleased",
            x=box[0] + end * box[2],
            y=y,
            button="left",
            clickCount=1,
        )

    async def type(self, text: str) -> None:
        """Insert text where the focus is."""
        await self.call("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        """Press and release a key."""
        code, text = KEYS.get(key, (ord(key.upper()) if len(key) == 1 else 0, key))
        parameters = {"key": key, "windowsVirtualKeyCode": code, **({"text": text} if text else {})}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **parameters)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    async def screenshot(self, path: Path) -> None:
        """Save what is seen as PNG."""
        answer = await self.call("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(answer["data"]))
