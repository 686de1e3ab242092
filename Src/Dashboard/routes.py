"""What browsers ask for besides the pages: `pictures/small/…` and `pictures/large/…`, the map's places, our files.

A picture's address is signed with a secret of this process and tells all that is needed, so only who was shown a page can ask
for its pictures, and the ledger is not asked again. A browser loads them as they come into view, and keeps them.
"""

from __future__ import annotations

import asyncio
import secrets
from functools import lru_cache
from pathlib import Path

from itsdangerous import BadSignature, URLSafeSerializer
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from Src.Dashboard.data import library
from Src.Dashboard.ledger import TooSlow
from Src.Dashboard.thumbnails import Original, Size, Thumbnails
from Src.Shared.database import LedgerUnavailable
from Src.Shared.settings import load_settings

_signer = URLSafeSerializer(secrets.token_bytes(32))
_KEEP = {"Cache-Control": "private, max-age=86400, immutable", "X-Content-Type-Options": "nosniff"}
_KEEP_BRIEFLY = {"Cache-Control": "private, max-age=60", "X-Content-Type-Options": "nosniff"}
# Instead of a picture that cannot be made: a frame with a bend in it, in a grey that suits both themes.
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96" fill="none" stroke="#8a8f98" stroke-width="3">'
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
    data = await asyncio.wrap_future(_thumbnails().picture(original, size))
    if data is None:
        return Response(_ICON, media_type="image/svg+xml", headers=_KEEP_BRIEFLY)
    return Response(data, media_type="image/jpeg", headers=_KEEP)


async def _places(_request: Request) -> Response:
    """For the map: latitude and longitude in thousandths of a degree and a number of photos, again and again."""
    try:
        found = await asyncio.to_thread(library.places)
    except (LedgerUnavailable, TooSlow):
        return Response(status_code=503)
    numbers = ",".join(f"{lat},{lon},{count}" for lat, lon, count in sorted(found))
    return Response(f"[{numbers}]", media_type="application/json", headers={"Cache-Control": "private, max-age=30"})


ROUTES = [
    Route("/pictures/{size}/{token}", _picture),
    Route("/places.json", _places),
    Mount("/assets", StaticFiles(directory=Path(__file__).parent / "assets")),
]
