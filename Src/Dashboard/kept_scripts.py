"""Streamlit's scripts and styles, packed once and kept.

A browser that opens the dashboard for the first time asks for some seventy of them. Streamlit reads each anew for
everybody, and sends it as it is. Their names have a hash of what is in them, so nothing becomes old.
"""

from __future__ import annotations

import asyncio
import gzip
from mimetypes import guess_type
from pathlib import Path

import streamlit
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

_FOLDER = Path(streamlit.__file__).parent / "static"
_PACKED = (".js", ".css")
_LEAST = 500  # bytes; less is not worth it
_MOST = 1_000_000  # bytes; pages of ours need none of what is larger
_LEVEL = 6
_KEEP = {"Cache-Control": "public, immutable, max-age=31536000", "Vary": "Accept-Encoding"}


class KeptScripts:
    """Answers for them where a browser takes what is packed; all else goes on to Streamlit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: dict[Path, bytes] = {}
        # Only what is here is served: an address leads nowhere else.
        self._files = {
            f"/{path.relative_to(_FOLDER).as_posix()}": path
            for path in (_FOLDER / "static").rglob("*")
            if path.suffix in _PACKED and _LEAST <= path.stat().st_size <= _MOST
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = self._files.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if path is None or "gzip" not in Headers(scope=scope).get("accept-encoding", ""):
            return await self._app(scope, receive, send)
        if path not in self._kept:
            self._kept[path] = await asyncio.to_thread(_packed, path)
        media_type = guess_type(path.name)[0]
        headers = {**_KEEP, "Content-Encoding": "gzip"}
        return await Response(self._kept[path], media_type=media_type, headers=headers)(scope, receive, send)


def _packed(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), _LEVEL, mtime=0)
