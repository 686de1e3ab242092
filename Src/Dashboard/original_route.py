"""Originals over HTTP, as they are: `originals/…`, by the signed address that their pictures have.

A film is played from here, so a browser may ask for any part of it.
"""

from __future__ import annotations

import asyncio
import os

from itsdangerous import BadSignature
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from Src.Dashboard.ledger import TooSlow
from Src.Dashboard.picture_route import read_token
from Src.Dashboard.resources import ledger, settings
from Src.Library.gallery.handing_out import name_of
from Src.Library.original import Original, open_original
from Src.Media.kinds import KINDS
from Src.Shared.database import LedgerUnavailable
from Src.Shared.models import MediaAsset

# What browsers show, by its kind. The films of the MP4 family differ in what they call themselves only.
SHOWN = {name: KINDS[name].mime_type for name in ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP")}
PLAYED = dict.fromkeys(("MP4", "M4V", "MOV", "3GP"), "video/mp4") | {
    name: KINDS[name].mime_type for name in ("WEBM", "OGV", "MKV")
}
_HEADERS = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}


class _OpenFile(FileResponse):
    """A file that is open already, whole or in parts. It is closed at the end, whatever happens."""

    def __init__(self, fd: int, *, media_type: str, headers: dict[str, str], filename: str, inline: bool) -> None:
        self._fd = fd
        super().__init__(
            f"/proc/self/fd/{fd}",  # that very file, whatever stands at its path by now
            stat_result=os.fstat(fd),
            media_type=media_type,
            headers=headers,
            filename=filename,
            content_disposition_type="inline" if inline else "attachment",
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._fd)


async def _original(request: Request) -> Response:
    try:
        original = read_token(request.path_params["token"])
    except BadSignature:
        return Response(status_code=404)
    try:
        fd = await asyncio.to_thread(_opened, original)
    except (FileNotFoundError, PermissionError):
        return Response("This photo is not where the library knows it.", 404, media_type="text/plain")
    except (OSError, LedgerUnavailable, TooSlow):
        return Response("This photo cannot be opened now.", 503, media_type="text/plain")
    kind = original.media_kind
    known = SHOWN.get(kind) or PLAYED.get(kind)
    inline = known is not None and "download" not in request.query_params
    return _OpenFile(
        fd,
        media_type=known or "application/octet-stream",
        headers={**_HEADERS, "ETag": f'"{original.file_hash}"'},
        filename=name_of(original),
        inline=inline,
    )


def _opened(original: Original) -> int:
    try:
        return open_original(settings().storage, original.final_path)
    except FileNotFoundError:
        path = _path_now(original)
        if path is None or path == original.final_path:
            raise
        return open_original(settings().storage, path)


def _path_now(original: Original) -> str | None:
    """Where it stands by now: its date may have been corrected since the page was shown."""
    with ledger().session() as session:
        return session.scalar(select(MediaAsset.final_path).where(MediaAsset.file_hash == original.file_hash))


ORIGINALS = Route("/originals/{token}", _original)
