"""Pictures over HTTP: `pictures/small/…` and `pictures/large/…`, beside the pages.

An address is signed with a secret of this process and tells all that is needed, so only who was shown a page can ask
for its pictures, and the ledger is not asked again. A browser loads them as they come into view, and keeps them.
"""

from __future__ import annotations

import asyncio
import secrets
from functools import lru_cache

from itsdangerous import BadSignature, URLSafeSerializer
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from Src.Dashboard.thumbnails import Original, Size, Thumbnails
from Src.Shared.settings import load_settings

_signer = URLSafeSerializer(secrets.token_bytes(32))
_KEEP = {"Cache-Control": "private, max-age=86400, immutable", "X-Content-Type-Options": "nosniff"}
_KEEP_BRIEFLY = {"Cache-Control": "private, max-age=60", "X-Content-Type-Options": "nosniff"}
# Instead of a picture that cannot be made: a frame with a bend in it, in a grey that suits both themes.
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96" fill="none" stroke="#8a8f98" stroke-width="2">'
    '<rect x="28" y="30" width="40" height="36" rx="4"/><circle cx="40" cy="42" r="4"/>'
    '<path d="m30 62 13-12 8 7 7-9 9 10M24 74 72 22"/></svg>'
)


def picture_url(original: Original, size: Size) -> str:
    """The address of a picture, relative to the pages."""
    return (
        f"pictures/{size.name.lower()}/{_signer.dumps([original.file_hash, original.final_path, original.media_kind])}"
    )


@lru_cache(maxsize=1)
def _thumbnails() -> Thumbnails:
    return Thumbnails(load_settings().storage)


async def _picture(request: Request) -> Response:
    try:
        size = Size[request.path_params["size"].upper()]
        original = Original(*_signer.loads(request.path_params["token"]))
    except (KeyError, BadSignature):
        return Response(status_code=404)
    # What is kept does not wait behind what is made; and who goes away takes nothing from others who wait.
    data = await asyncio.to_thread(_thumbnails().kept, original.file_hash, size)
    if data is None:
        data = await asyncio.shield(asyncio.wrap_future(_thumbnails().picture(original, size)))
    if data is None:
        return Response(_ICON, media_type="image/svg+xml", headers=_KEEP_BRIEFLY)
    return Response(data, media_type="image/jpeg", headers=_KEEP)


PICTURES = Route("/pictures/{size}/{token}", _picture)
