"""`album`: shows one, or changes what is in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select

from Src.Factory import report
from Src.Factory.decide import decide, deciding
from Src.Factory.problems import Problem
from Src.Library.overlay import albums
from Src.Library.overlay.albums import album_named
from Src.Library.overlay.changes import Decision
from Src.Shared.errors import ExitCode
from Src.Shared.models import Album, AlbumItem, MediaAsset
from Src.Shared.settings import Settings
from Src.Shared.words import counted

_OF_ONE_THAT_IS_THERE: Mapping[str, Callable[[Album], Decision]] = {
    "remove": albums.remove,
    "cover": albums.cover,
    "first": lambda found: albums.move(found, "first"),
    "last": lambda found: albums.move(found, "last"),
}


def album(
    settings: Settings, *, name: str | None, action: str | None, selection: str | None, as_json: bool, dry_run: bool
) -> int:
    """FOUND: there is no such album, none at all, or the selection means nothing."""
    if name is None:
        return _show_all(settings, as_json=as_json)
    if action not in (None, "add", *_OF_ONE_THAT_IS_THERE):
        can = ", ".join(("add", *_OF_ONE_THAT_IS_THERE))
        raise Problem(f"album: {action!r} is nothing that can be done; write one of {can}, and a selection")
    if action is not None and selection is None:
        raise Problem(f"album: say which originals {action} is about, as a selection")
    if action == "add":
        return decide(settings, albums.add(name), selection or "", as_json=as_json, dry_run=dry_run)
    with deciding(settings, dry_run=True) as database, database.session() as session:
        found = album_named(session, name)
        there = [one.name for one in albums.albums(session)]
        shown = None if found is None else _shown(found, session)
    if found is None:
        if as_json:
            report.print_json({"album": None, "albums": there})
        else:
            names = f"The albums are: {', '.join(there)}." if there else "There are no albums yet."
            report.say(f"There is no album {name}. {names}")
        return ExitCode.FOUND
    if action is not None:
        decision = _OF_ONE_THAT_IS_THERE[action](found)
        return decide(settings, decision, selection or "", as_json=as_json, dry_run=dry_run)
    assert shown is not None
    if as_json:
        report.print_json(shown)
    else:
        report.heading(f"{shown['album']}: {counted(len(shown['originals']), 'original')}")
        cover = shown["cover"]
        rows = ((one["path"], "cover" if one["hash"] == cover else "") for one in shown["originals"])
        report.table(("path", ""), rows)
    return ExitCode.WELL


def _show_all(settings: Settings, *, as_json: bool) -> int:
    with deciding(settings, dry_run=True) as database, database.session() as session:
        found = [{"album": one.name, "originals": one.originals} for one in albums.albums(session)]
    if as_json:
        report.print_json({"albums": found})
    elif found:
        report.table(("album", "originals"), ([one["album"], f"{one['originals']:,}"] for one in found))
    else:
        report.say("There are no albums yet.")
    return ExitCode.WELL if found else ExitCode.FOUND


def _shown(found: Album, session: Any) -> dict[str, Any]:
    asked = (
        select(MediaAsset.final_path, MediaAsset.file_hash)
        .join(AlbumItem, AlbumItem.asset_id == MediaAsset.id)
        .where(AlbumItem.album_id == found.id)
        .order_by(AlbumItem.position, MediaAsset.id)
    )
    originals = [{"path": path, "hash": sha256} for path, sha256 in session.execute(asked)]
    return {"album": found.name, "cover": found.cover_hash, "made_at": found.made_at, "originals": originals}
