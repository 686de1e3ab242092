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

from Src.Dashboard.turned import turned
from Src.Library.original import Original
from Src.Library.pictures import Size, Thumbnails
from Src.Shared.settings import load_settings

_signer = URLSafeSerializer(secrets.token_bytes(32))
_TURNS = ("90", "180", "270")
_KEEP = {"Cache-Control": "private, max-age=86400, immutable", "X-Content-Type-Options": "nosniff"}
_KEEP_BRIEFLY = {"Cache-Control": "private, max-age=60", "X-Content-Type-Options": "nosniff"}
# Instead of a picture that cannot be made: a frame with a bend in it, in a grey that suits both themes.
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96" fill="none" stroke="#8a8f98" stroke-width="2">'
    '<rect x="28" y="30" width="40" height="36" rx="4"/><circle cx="40" cy="42" r="4"/>'
    '<path d="m30 62 13-12 8 7 7-9 9 10M24 74 72 22"/></svg>'
)


def picture_url(original: Original, size: Size, rotation: int = 0) -> str:
    """The address of a picture, relative to the pages. `rotation`: as a person has turned it, in degrees."""
    turn = f"?turned={rotation}" if rotation else ""
    return f"pictures/{size.name.lower()}/{token_of(original)}{turn}"


def token_of(original: Original) -> str:
    """The signed part of the addresses of an original and its pictures."""
    token: str = _signer.dumps([original.file_hash, original.final_path, original.media_kind])
    return token


def read_token(token: str) -> Original:
    """The original that a signed part names. Raises BadSignature."""
    return Original(*_signer.loads(token))


@lru_cache(maxsize=1)
def _thumbnails() -> Thumbnails:
    settings = load_settings()
    return Thumbnails(settings.storage, group=settings.group, trust_any_exiftool=settings.exiftool_unsafe)


async def _picture(request: Request) -> Response:
    try:
        size = Size[request.path_params["size"].upper()]
        original = read_token(request.path_params["token"])
    except (KeyError, BadSignature):
        return Response(status_code=404)
    # What is kept does not wait behind what is made; and who goes away takes nothing from others who wait.
    data = await asyncio.to_thread(_thumbnails().kept, original.file_hash, size)
    if data is None:
        data = await asyncio.shield(asyncio.wrap_future(_thumbnails().picture(original, size)))
    if data is None:
        return Response(_ICON, media_type="image/svg+xml", headers=_KEEP_BRIEFLY)
    turn = request.query_params.get("turned", "")
    return Response(turned(data, int(turn) if turn in _TURNS else 0), media_type="image/jpeg", headers=_KEEP)


PICTURES = Route("/pictures/{size}/{token}", _picture)
