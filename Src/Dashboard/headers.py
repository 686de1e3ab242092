"""What browsers are told with every answer: no other host is asked (but for map tiles, if set); none may frame us."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnected

_POLICY = (
    "default-src 'self'",
    # Vega makes functions of its expressions; Streamlit loads the scripts of components as blobs.
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
    "style-src 'self' 'unsafe-inline'",
    "font-src 'self' data:",
    "connect-src 'self'",
    "worker-src 'self' blob:",
    "frame-src 'self' blob:",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
)
_HEADERS = {
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class SecurityHeaders:
    """Adds the headers; and refuses WebSockets that other hosts' pages open.

    Streamlit would ask a host on the internet for our address first, and then refuse them too.
    """

    def __init__(self, app: ASGIApp, tiles: str | None = None) -> None:
        """`tiles`: where the map's tiles are, if anywhere: from there, and only pictures."""
        self._app = app
        images = "img-src 'self' data: blob:"
        if tiles is not None:
            parts = urlsplit(tiles)
            images += f" {parts.scheme}://{parts.netloc.replace('{s}', '*')}"
        self._headers = {**_HEADERS, "Content-Security-Policy": "; ".join((*_POLICY, images))}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        if scope["type"] != "websocket":
            await self._app(scope, receive, send_with_headers)
        elif _is_foreign(Headers(scope=scope)):
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            with suppress(WebSocketDisconnected):  # Streamlit closes also what the browser has closed
                await self._app(scope, receive, send)


def _is_foreign(headers: Headers) -> bool:
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")
