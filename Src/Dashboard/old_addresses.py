"""Addresses of pages that are no more: what people have kept, or sent to others, leads to what it meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from Src.Library.selection.grammar import quoted

_DAY = re.compile(r"\d{4}-\d\d(-\d\d)?(?![\d-])")
_KINDS = {"Photos": "photo", "Raw photos": "raw", "Videos": "video"}
_ONLY = {
    "Favourites": "is:favourite", "With a location": "has:position", "With errors": "is:damaged",
    "Guessed dates": "date:guessed", "Hidden": "is:hidden",
}  # fmt: skip


def in_the_gallery(asked: QueryParams) -> str:
    """The gallery's address, relative to itself, for what the page Library was asked for."""
    order = "added" if asked.get("order") == "Recently added" else ""
    at = _DAY.match(asked.get("at", ""))
    about = {
        "order": order,
        "q": " ".join(() if order else _terms(asked)),  # what came in last had no filters
        "at": at[0] if at and not order else "",
        "photo": asked.get("photo", ""),
    }
    written = urlencode({name: value for name, value in about.items() if value})
    return f"gallery?{written}" if written else "gallery"


def _terms(asked: QueryParams) -> Iterator[str]:
    if name := re.sub(r"[^\w.*?-]", "?", asked.get("name", "").strip()):
        yield f"name:*{name}*"
    if kind := asked.get("kind"):
        yield f"kind:{quoted(_KINDS.get(kind, kind))}"
    if camera := asked.get("camera"):
        yield "-has:camera" if camera == "unknown" else f"camera:{quoted(camera)}"
    if year := asked.get("year"):
        yield f"year:{quoted(year)}"
    for only in asked.getlist("only"):
        if only in _ONLY:
            yield _ONLY[only]


async def _moved(request: Request) -> RedirectResponse:
    """Relative, for a proxy may serve all of this below a path that it takes off."""
    return RedirectResponse(f"./{in_the_gallery(request.query_params)}", 302)


OLD_ADDRESSES = Route("/library", _moved)
