"""What browsers ask for besides the pages. It is behind the same login as they are.

But where people log in with OpenID Connect, only Streamlit's pages know who has: so what tells of photos has an address
that only those know who were shown a page.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from Src.Dashboard.data import library
from Src.Dashboard.gallery_route import GALLERY_ROUTES
from Src.Dashboard.ledger import TooSlow
from Src.Dashboard.old_addresses import OLD_ADDRESSES
from Src.Dashboard.original_route import ORIGINALS
from Src.Dashboard.picture_route import PICTURES
from Src.Dashboard.secret_addresses import PLACES
from Src.Shared.database import LedgerUnavailable


async def _places(_request: Request) -> Response:
    """For the map."""
    try:
        found = await asyncio.to_thread(library.places)
    except (LedgerUnavailable, TooSlow):
        return Response(status_code=503)
    return Response(found, media_type="application/json", headers={"Cache-Control": "private, max-age=30"})


ROUTES = [
    PICTURES,
    ORIGINALS,
    *GALLERY_ROUTES,
    OLD_ADDRESSES,
    Route(f"/{PLACES}", _places),
    Mount("/assets", StaticFiles(directory=Path(__file__).parent / "assets")),
]
