"""What the gallery asks for over HTTP: `gallery/SECRET/…`, for who was shown the page.

`days` has the whole shape of what is looked at, `piece` a few days of it, `where` the place of one photo in it; `facts`
is what is known of one, `choices` what can be searched for, `zip` hands several originals out.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from Src.Dashboard.components import length, shown_name
from Src.Dashboard.data import gallery, known, library
from Src.Dashboard.ledger import TooSlow
from Src.Dashboard.original_route import PLAYED, SHOWN
from Src.Dashboard.photo_facts import facts_of, story_of
from Src.Dashboard.picture_route import token_of
from Src.Dashboard.plain import plain
from Src.Dashboard.resources import settings
from Src.Dashboard.secret_addresses import GALLERY
from Src.Dashboard.viewer_style import written_for
from Src.Library.gallery.feed import MOST_AT_ONCE, Item, Position
from Src.Library.gallery.handing_out import as_zip
from Src.Library.gallery.order import Order
from Src.Library.selection.fields import FAVOURITE
from Src.Library.selection.grammar import SelectionError
from Src.Media.kinds import KINDS
from Src.Shared.database import LedgerUnavailable

MOST_TAKEN = 5000  # originals of one zip archive
_BODY_LIMIT = 40 * MOST_TAKEN + 100  # bytes

_Answer = Callable[[Request], Any]


def _answering(answer: _Answer) -> Callable[[Request], Any]:
    """A route: what it answers is JSON, or a text that is JSON already, and made in a thread."""

    async def route(request: Request) -> Response:
        try:
            found, status = await asyncio.to_thread(answer, request), 200
        except SelectionError as error:
            found, status = {"error": error.reason, "at": error.position}, 400
        except (LedgerUnavailable, TooSlow) as error:
            slow = isinstance(error, TooSlow)
            found = {"error": "This takes too long." if slow else "The database is away."}
            status = 503
        except (KeyError, ValueError, OverflowError):
            found, status = {"error": "There is no such thing."}, 404
        body = found if isinstance(found, str) else _as_json(found)
        return Response(body, status, media_type="application/json", headers={"Cache-Control": "no-store"})

    return route


def _as_json(found: Any) -> str:
    return json.dumps(found, separators=(",", ":"))


def _days(request: Request) -> str:
    """The days; with `limit`, the first photos too, so that a viewer who begins at the top waits for one answer."""
    looked, limit = _looked(request), _limit(request, 0)
    days = gallery.days(*looked)
    if not limit:
        return f'{{"days":{days}}}'
    first, left = [], limit
    for day, originals in json.loads(days):
        if left <= 0:
            break
        first.append(date.fromisoformat(day))
        left -= originals
    items = gallery.piece(*looked, first[-1], first[0], limit=limit, within=first) if first else []
    return f'{{"days":{days},"items":{_as_json([_cell(item) for item in items])}}}'


def _piece(request: Request) -> Any:
    asked = request.query_params
    after = asked.get("after")
    moment, _, photo = (after or "").partition("_")
    items = gallery.piece(
        *_looked(request),
        date.fromisoformat(asked["first"]),
        date.fromisoformat(asked["last"]),
        limit=_limit(request, MOST_AT_ONCE),
        after=Position(datetime.fromisoformat(moment), uuid.UUID(photo)) if after else None,
        skip=max(int(asked.get("skip", 0)), 0),
        within=[date.fromisoformat(day) for day in asked.get("days", "").split(",")[:MOST_AT_ONCE] if day],
    )
    return {"items": [_cell(item) for item in items]}


def _where(request: Request) -> Any:
    photo = uuid.UUID(request.query_params["photo"])
    found = gallery.place(*_looked(request), photo)
    if found is None:
        if known.is_in_trash(photo):
            return {"trash": True}
        other = library.one(photo)
        return {} if other is None else {"elsewhere": "hidden" if other.is_hidden else "taken"}
    return {"day": found.day.isoformat(), "before": found.before}


def _facts(request: Request) -> Any:
    photo = uuid.UUID(request.query_params["photo"])
    found = known.of(photo)
    if found is None:
        return {"trash": True} if known.is_in_trash(photo) else {}
    row = found.row
    with written_for(request.query_params.get("locale")):
        facts, story = ([[name, plain(value)] for name, value in part] for part in (facts_of(found), story_of(found)))
    wrong = plain(row["error_message"] or "No reason is known.") if row["has_errors"] else None
    now = {"rating": row["rating"] or 0, "hidden": row["is_hidden"], "turned": row["rotation"]}
    edit = {
        "description": row["description"] or "",
        "tags": found.tags,
        "albums": found.albums,
        "date": row["captured_at"].isoformat(" ", "seconds"),
        "place": "{lat}, {lon}".format_map(row["location"]) if row["location"] else "",
    }
    return {
        "facts": facts, "story": story, "place": row["location"], "title": row["title"] or "", "edit": edit, "now": now,
        "wrong": wrong,
    }  # fmt: skip


def _choices(_request: Request) -> Any:
    found, named = library.choices(), gallery.named()
    return {
        "cameras": [plain(camera) for camera, _ in found.cameras if camera],
        "kinds": [kind for kind, _ in found.kinds],
        "years": list(found.years),
        "tags": [plain(tag) for tag in named.tags],
        "albums": [plain(album.name) for album in named.albums],
    }


def _count(_request: Request) -> Any:
    return {"originals": library.originals()}


async def _zip(request: Request) -> Response:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_LIMIT:
            return Response(f"Up to {MOST_TAKEN:,} photos at once.", 413, media_type="text/plain")
    try:
        photos = [uuid.UUID(one) for one in parse_qs(body.decode("ascii"))["photos"][0].split(",")]
    except (KeyError, ValueError):
        return Response(status_code=404)
    try:
        wanted = await asyncio.to_thread(gallery.wanted, photos)
    except (LedgerUnavailable, TooSlow):
        return Response("The database is away. Try again later.", 503, media_type="text/plain")
    if not wanted:
        return Response("These photos are no longer in the library.", 404, media_type="text/plain")
    name = f"Photos {datetime.now(settings().zone):%Y-%m-%d %H.%M}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(as_zip(settings().storage, wanted), media_type="application/zip", headers=headers)


def _limit(request: Request, otherwise: int) -> int:
    return min(max(int(request.query_params.get("limit", otherwise)), 0), MOST_AT_ONCE)


def _looked(request: Request) -> tuple[Order, str]:
    return Order(request.query_params.get("order", Order.TAKEN.value)), request.query_params.get("q", "")


def _cell(item: Item) -> dict[str, Any]:
    """An original for the gallery's script; what is left out is not so."""
    kind = item.original.media_kind
    cell: dict[str, Any] = {
        "id": str(item.id),
        "token": token_of(item.original),
        "name": shown_name(item.name),
        "day": item.day.isoformat(),
        "taken": item.captured_at.date().isoformat(),
        "after": f"{item.moment.isoformat()}_{item.id}",
    }
    if item.width and item.height:
        cell |= {"width": item.width, "height": item.height}
    if kind in KINDS and KINDS[kind].is_video:
        cell |= {"video": True, "plays": kind in PLAYED}
        if item.duration_seconds:
            cell["length"] = length(item.duration_seconds)
    elif kind in SHOWN:
        cell["shows"] = True
    if item.rating:
        cell["rating"] = item.rating
    if item.rotation:
        cell["turned"] = item.rotation
    if item.film is not None:
        cell["film"] = token_of(item.film)
    flags = {"favourite": item.rating == FAVOURITE, "hidden": item.is_hidden, "wrong": item.has_errors}
    return cell | {name: True for name, is_so in flags.items() if is_so}


GALLERY_ROUTES = [
    *(
        Route(f"/{GALLERY}{name}", _answering(answer))
        for name, answer in {
            "days": _days, "piece": _piece, "where": _where, "facts": _facts, "choices": _choices, "count": _count,
        }.items()
    ),
    Route(f"/{GALLERY}zip", _zip, methods=["POST"]),
]  # fmt: skip
