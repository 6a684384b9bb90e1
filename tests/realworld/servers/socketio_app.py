"""A socket.io server that sends back what it gets: `uvicorn socketio_app:app`."""

import socketio

server = socketio.AsyncServer(async_mode="asgi")
app = socketio.ASGIApp(server)


@server.event
async def connect(session: str, environ: dict[str, object]) -> None:
    """Greet."""
    await server.emit("greeting", {"hello": "world"}, to=session)


@server.event
async def echo(session: str, data: object) -> object:
    """Send it as an event too, and acknowledge with it."""
    await server.emit("echoed", data, to=session)
    return data
