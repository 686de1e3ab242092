"""The gallery without a browser: what its page is given, what its routes answer, and what its acts come to."""

from __future__ import annotations

import io
import json
import socket
import threading
import uuid
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import requests
import streamlit as st
import uvicorn
from sqlalchemy import select, text
from starlette.applications import Starlette
from streamlit.testing.v1 import AppTest

from Src.Dashboard import act_bar, gallery_acts, photo_facts
from Src.Dashboard.data import acts
from Src.Dashboard.data.acts import NotDone
from Src.Dashboard.data.standing import Standing, Submitted
from Src.Dashboard.gallery_route import GALLERY_ROUTES, MOST_TAKEN
from Src.Dashboard.original_route import ORIGINALS
from Src.Dashboard.secret_addresses import GALLERY
from Src.Dashboard.tests.acting import Librarian
from Src.Dashboard.tests.conftest import PAGE_LIMIT, Show, texts
from Src.Dashboard.tests.gallery_library import Shot
from Src.Library.overlay.history import Decided
from Src.Shared.database import Database
from Src.Shared.models import Act, Album, AlbumItem, AssetRelation, AssetTag, Companion, MediaAsset, TrashItem
from Src.Shared.settings import Settings
from Src.Testing.patience import PATIENCE

Ask = Callable[..., Any]


class Client:
    """Asks the routes, which are served from here."""

    def __init__(self, port: int) -> None:
        self._home = f"http://127.0.0.1:{port}"

    def get(self, path: str, **more: Any) -> requests.Response:
        return requests.get(f"{self._home}{path}", timeout=PATIENCE, **more)

    def post(self, path: str, **more: Any) -> requests.Response:
        return requests.post(f"{self._home}{path}", timeout=PATIENCE, **more)


@pytest.fixture
def client(dashboard: Settings) -> Iterator[Client]:
    app = Starlette(routes=[*GALLERY_ROUTES, ORIGINALS])
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield Client(listening.getsockname()[1])
        server.should_exit = True
        thread.join()


@pytest.fixture
def ask(client: Client) -> Ask:
    def asked(what: str, status: int = 200, **about: object) -> Any:
        answer = client.get(f"/{GALLERY}{what}", params={name: str(value) for name, value in about.items()})
        assert answer.status_code == status, answer.text
        return answer.json()

    return asked


def test_an_empty_gallery_says_so(show: Show) -> None:
    assert "yet" in texts(show("gallery"))


def test_the_page_is_given_addresses_and_no_photo(show: Show, album: list[Shot]) -> None:
    (data,) = (
        found
        for element in show("gallery").get("bidi_component")
        if "feed" in (found := json.loads(element.proto.json or "{}"))
    )
    assert data["feed"] == GALLERY and data["acts"] is True and data["outcome"] is None
    assert "IMG_" not in json.dumps(data)


def test_the_feed_is_all_that_can_be_seen(ask: Ask, album: list[Shot]) -> None:
    seen = sorted((shot for shot in album if not shot.hidden), key=lambda shot: shot.taken, reverse=True)
    days = ask("days")["days"]
    assert days[0] == ["2024-05-03", 2] and sum(number for _, number in days) == len(seen)
    items = ask("piece", first=days[-1][0], last=days[0][0], limit=500)["items"]
    assert [item["name"] for item in items] == [shot.name for shot in seen]
    by_name = {item["name"]: item for item in items}
    assert by_name["party.webm"]["plays"] and not by_name["old.avi"]["plays"]
    assert "film" in by_name["live.jpg"] and by_name["DSCN0010.jpg"]["favourite"]
    more = ask("piece", first=days[-1][0], last=days[0][0], limit=500, after=items[9]["after"])["items"]
    assert more == items[10:]
    assert ask("days", limit=4) == {"days": days, "items": items[:4]}
    named = ",".join(day.replace("-", "") for day, _ in days)
    assert ask("piece", first=days[-1][0], last=days[0][0], limit=500, q="*", days=named)["items"] == items
    found = ask("where", photo=items[20]["id"])
    assert found["day"] == items[20]["day"]
    named = ask("choices")
    assert named["albums"] == ['Summer "23"'] and named["tags"] == ["sea"] and 2024 in named["years"]
    facts = dict(ask("facts", photo=by_name["live.jpg"]["id"], locale="en-US")["facts"])
    assert facts["Taken"] == "Saturday, Dec 24, 2022, 7:57:00 PM"


@pytest.mark.parametrize(
    ("what", "about", "status"),
    [
        ("days", {"order": "no such"}, 404),
        ("days", {"q": "kolour:red"}, 400),
        ("days", {"q": "(" * 200}, 400),
        ("piece", {}, 404),
        ("piece", {"first": "2024-05-03", "last": "x"}, 404),
        ("piece", {"first": "2024-05-03", "last": "2024-05-03", "days": "20240503,x"}, 404),
        ("days", {"limit": "x"}, 404),
        ("piece", {"first": "2024-05-03", "last": "9999-12-31"}, 404),
        ("piece", {"first": "2024-05-03", "last": "2024-05-03", "after": "x_y"}, 404),
        ("where", {"photo": "x"}, 404),
        ("facts", {"photo": str(uuid.UUID(int=1))}, 200),
    ],
)
def test_what_means_nothing_is_refused(ask: Ask, what: str, about: dict[str, str], status: int) -> None:
    answer = ask(what, status, **about)
    assert "error" in answer or answer == {}


def test_an_error_names_its_letter(ask: Ask) -> None:
    assert ask("days", 400, q="tag:sea kolour:red")["at"] == 8


def test_originals_come_whole_or_in_parts(client: Client, ask: Ask, album: list[Shot]) -> None:
    content = {shot.name: shot.content for shot in album}
    items = {item["name"]: item for item in _items(ask)}
    film = f"/originals/{items['party.webm']['token']}"
    whole = client.get(film)
    assert whole.content == content["party.webm"] and whole.headers["content-type"] == "video/webm"
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert whole.headers["content-disposition"].startswith("inline")
    part = client.get(film, headers={"Range": "bytes=100-199"})
    assert part.status_code == 206 and part.content == content["party.webm"][100:200]
    assert client.get(film, headers={"Range": f"bytes={10**9}-"}).status_code == 416
    token = items["an iPhone's.heic"]["token"]
    heic = client.get(f"/originals/{token}")
    assert heic.headers["content-disposition"].startswith("attachment")
    assert heic.headers["content-type"] == "application/octet-stream"
    hostile = next(item for name, item in items.items() if "onerror" in name)
    taken = client.get(f"/originals/{hostile['token']}?download")
    disposition = taken.headers["content-disposition"]
    assert disposition.startswith("attachment") and "<" not in disposition and "/" not in disposition.split("''")[-1]


def test_an_original_that_was_moved_is_found(
    client: Client,
    ask: Ask,
    album: list[Shot],
    database: Database,
    dashboard: Settings,
) -> None:
    item = next(item for item in _items(ask) if item["name"] == "large.jpg")
    shot = next(shot for shot in album if shot.name == "large.jpg")
    (dashboard.storage / "Originals/2020/2020-01-01").mkdir(parents=True)
    moved = "Originals/2020/2020-01-01/large.jpg"
    (dashboard.storage / shot.path).rename(dashboard.storage / moved)
    assert client.get(f"/originals/{item['token']}").status_code == 404
    with database.session() as session:
        session.execute(
            text("UPDATE media_assets SET final_path = :to WHERE id = :id"), {"to": moved, "id": item["id"]}
        )
    assert client.get(f"/originals/{item['token']}").content == shot.content
    (dashboard.storage / moved).unlink()
    (dashboard.storage / moved).symlink_to(dashboard.storage / album[0].path)
    assert client.get(f"/originals/{item['token']}").status_code == 404


def test_several_come_as_an_archive(client: Client, ask: Ask, album: list[Shot]) -> None:
    content = {shot.name: shot.content for shot in album}
    items = _items(ask)[:5]
    answer = client.post(f"/{GALLERY}zip", data={"photos": ",".join(item["id"] for item in items)})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            item["name"]: content[item["name"]] for item in items
        }
    for body, status in (
        ("x", 404),
        ("photos=x", 404),
        (f"photos={uuid.uuid4()}", 404),
        ("photos=" + "0" * 50 * MOST_TAKEN, 413),
    ):
        assert client.post(f"/{GALLERY}zip", data=body).status_code == status


def _items(ask: Ask) -> list[dict[str, Any]]:
    days = ask("days")["days"]
    found: list[dict[str, Any]] = ask("piece", first=days[-1][0], last=days[0][0], limit=500)["items"]
    return found


def test_facts_leave_nothing_out_that_people_have_decided(
    ask: Ask, ids: list[uuid.UUID], database: Database, librarian: Librarian
) -> None:
    photo = ids[0]
    with database.session() as session:
        row = session.get_one(MediaAsset, photo)
        other = session.get_one(MediaAsset, ids[1])
        session.add(
            Companion(
                original_hash=row.file_hash, kind="aae", path_id=uuid.uuid4(), original_path="phone/IMG_0000.AAE",
                companion_hash="a" * 64, companion_size=7,
            )
        )  # fmt: skip
        session.add(AssetRelation(kind="raw_jpeg", from_hash=other.file_hash, to_hash=row.file_hash))
    for act in (
        partial(acts.title, [photo], "<b>A walk</b>"), partial(acts.tag, [photo], ["sea", "\u202eliame"]),
        partial(acts.add_to_album, [photo], "Summer"), partial(acts.rate, [photo], 4), partial(acts.hide, [photo]),
        partial(acts.rotate, [photo], 90), partial(acts.place, [photo], -33.8568, 151.2153),
        partial(acts.redate_to, [photo], "2019-07-04 12:30"),
    ):  # fmt: skip
        last = act()
    librarian()
    assert last.id is not None
    acts.undo(last.id)
    librarian()
    found = ask("facts", photo=photo)
    names = [name for name, _ in found["facts"]]
    order = ["Title", "Taken", "Date known from", "Location", "Album", "Tags", "Rating", "Hidden", "Turned", "Name"]
    assert [name for name in names if name in order] == order
    facts = dict(found["facts"])
    assert facts["Album"] == "Summer" and "sea" in facts["Tags"] and "\u202e" not in facts["Tags"]
    assert facts["Rating"] == "4 stars" and "90°" in facts["Turned"]
    assert facts["Belongs to it"] == "the camera's picture of it: IMG_0001.jpg"
    assert facts["File beside it"] == "Apple's edits (AAE): phone/IMG_0000.AAE (not filed yet)"
    story = [what for _, what in found["story"]]
    assert story == [
        'title "<b>A walk</b>", on the dashboard', 'tag "sea", on the dashboard', story[2],
        'into the album "Summer", on the dashboard', "rated with 4 stars, on the dashboard", "hidden, on the dashboard",
        "turned, now by 90°, on the dashboard", "place -33.85680, 151.21530, on the dashboard",
        "date 4 Jul 2019, 12:30:00, before 1 Jul 2024, 09:00:00, on the dashboard",
        "date 1 Jul 2024, 09:00:00, before 4 Jul 2019, 12:30:00, taken back, on the dashboard",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("exif:DateTimeOriginal", "the file itself (exif:DateTimeOriginal)"),
        ("sidecar:xmp:DateCreated", "the XMP file beside it (sidecar:xmp:DateCreated)"),
        ("takeout:photoTakenTime", "Google Takeout's file beside it"),
    ],
)
def test_where_a_date_is_known_from(source: str, words: str) -> None:
    assert photo_facts.date_known_from(source) == words


@pytest.mark.parametrize(
    ("field", "before", "after"),
    [("captured_at", None, "no date"), ("album", None, {}), ("location", None, {"lat": "x"}), ("rating", 1, "many")],
)
def test_a_decision_that_another_program_wrote_oddly_is_shown(field: str, before: object, after: object) -> None:
    one = Decided(
        uuid.uuid4(), uuid.uuid4(), datetime(2024, 5, 1, tzinfo=UTC), "digiKam", "rate", field, before, after, "done"
    )
    assert photo_facts.decided_words(one).endswith("by digiKam")


def test_what_is_in_the_trash_is_said_to_be_there(ask: Ask, ids: list[uuid.UUID], librarian: Librarian) -> None:
    acts.remove(ids[:1])
    librarian()
    assert ask("facts", photo=ids[0]) == ask("where", photo=ids[0]) == {"trash": True}
    assert ask("where", photo=uuid.UUID(int=1)) == {}


def test_what_is_in_the_library_is_not_looked_for_in_the_trash(
    ask: Ask, ids: list[uuid.UUID], database: Database
) -> None:
    """To find a photo there by its id, all of the trash is read."""
    with database.session() as session:
        session.add(
            TrashItem(
                file_hash="0" * 64, file_size=1, original_name="x", trash_path="Trash/2024/2024-05-01/x",
                removed_by="x", act_id=uuid.uuid4(), asset={"id": str(ids[0])}, belongings={}, companions={},
            )
        )  # fmt: skip
    assert ask("where", photo=ids[0], order="hidden") == {"elsewhere": "taken"}


def test_a_photo_that_is_not_among_these_is_said_to_be_elsewhere(ask: Ask, ids: list[uuid.UUID]) -> None:
    acts.hide(ids[:1])
    assert ask("where", photo=ids[0]) == {"elsewhere": "hidden"}
    assert "day" in ask("where", photo=ids[0], order="hidden")
    assert ask("where", photo=ids[1], q="tag:sea") == {"elsewhere": "taken"}


def test_a_film_of_no_known_length_has_none_and_no_film_has_no_length(
    ask: Ask, album: list[Shot], database: Database
) -> None:
    with database.session() as session:
        for name, seconds in (("party.webm", None), ("old.avi", 0.2)):
            session.execute(
                text("UPDATE media_assets SET duration_seconds = :seconds WHERE original_name = :name"),
                {"seconds": seconds, "name": name},
            )
    items = {item["name"]: item for item in _items(ask)}
    assert "length" not in items["party.webm"] and items["old.avi"]["length"] == "0:01"


def test_an_act_is_taken_back_and_done_again(ids: list[uuid.UUID], database: Database) -> None:
    script = f"""
from Src.Dashboard import act_bar, gallery_acts
import streamlit as st
gallery_acts.do("rate", [{str(ids[0])!r}], "4")
for _ in range(3):
    found = act_bar.outcome()
    st.text(f"{{found.said}} {{found.undo_label}}")
    gallery_acts.do("undo", [found.undo], "")
gallery_acts.do("undo", [{str(uuid.uuid4())!r}], "")
found = act_bar.outcome()
st.text(f"{{found.said}} {{found.undo}}")
"""
    app = AppTest.from_string(script, default_timeout=PAGE_LIMIT).run()
    assert not app.exception, [one.message for one in app.exception]
    assert texts(app).splitlines() == [
        "4 of 5 stars: done. Undo", "Taken back: 4 of 5 stars: done. Do it again", "4 of 5 stars: done. Undo",
        "Taken back: there is no such act any more. None",
    ]  # fmt: skip
    with database.session() as session:
        assert session.get_one(MediaAsset, ids[0]).rating is None


def test_what_waited_and_is_taken_back_is_said_once(ids: list[uuid.UUID]) -> None:
    script = f"""
from Src.Dashboard import act_bar, gallery_acts
import streamlit as st
gallery_acts.do("remove", [{str(ids[0])!r}], "")
gallery_acts.do("undo", [act_bar.outcome().undo], "")
st.text(act_bar.outcome().said)
act_bar.show()
"""
    app = AppTest.from_string(script, default_timeout=PAGE_LIMIT).run()
    assert not app.exception, [one.message for one in app.exception]
    assert texts(app).splitlines()[0] == "To the trash: taken back."
    assert "Taken back: To the trash" not in texts(app)


def test_an_undo_that_is_withdrawn_leaves_the_act_as_it_was() -> None:
    undo = Standing(
        uuid.uuid4(),
        "undo",
        "remove",
        "x",
        datetime(2024, 5, 1, tzinfo=UTC),
        "undone",
        1,
        0,
        "taken back",
        uuid.uuid4(),
    )
    for said in ("To the trash", "Taken back: To the trash"):
        assert act_bar._taken_back(undo, said) == ("To the trash", "no longer taken back")


@pytest.mark.parametrize(("what", "value"), [("rate", "6"), ("rate", "x"), ("turn", "45"), ("turn", ""), ("undo", "")])
def test_an_act_of_no_such_value_is_none(ids: list[uuid.UUID], database: Database, what: str, value: str) -> None:
    _do(what, ["x"] if what == "undo" else [str(ids[0])], value)
    with database.session() as session:
        assert session.scalars(select(Act)).all() == []


def _do(what: object, photos: object, value: object = "") -> AppTest:
    asked = f"gallery_acts.do({what!r}, {photos!r}, {value!r})"
    script = f"from Src.Dashboard import act_bar, gallery_acts\n{asked}\nact_bar.show()"
    app = AppTest.from_string(script, default_timeout=PAGE_LIMIT).run()
    assert not app.exception, [one.message for one in app.exception]
    return app


def test_acts_on_many(
    ids: list[uuid.UUID],
    database: Database,
    librarian: Librarian,
    dashboard: Settings,
) -> None:
    some = [str(photo) for photo in ids[:2]]
    assert "2 photos" in texts(_do("favourite", some))
    _do("tag", some, " sea ")
    _do("album", some, "Summer")
    _do("cover", some[:1], "Summer")
    _do("untag", some[1:], "SEA")
    _do("out-of-album", some[1:], "summer")
    _do("describe", some, "Two lines,\nand <b>")
    _do("place", some[:1], "-33.8568, 151.2153")
    _do("hide", some)
    _do("unhide", some[:1])
    with database.session() as session:
        rows = [session.get_one(MediaAsset, photo) for photo in ids[:3]]
        assert [row.rating for row in rows] == [5, 5, None]
        assert [row.is_hidden for row in rows] == [False, True, False]
        assert set(session.scalars(select(AssetTag.asset_id))) == set(session.scalars(select(AlbumItem.asset_id)))
        assert session.scalars(select(AssetTag.asset_id)).all() == ids[:1]
        assert [row.description for row in rows] == ["Two lines,\nand <b>"] * 2 + [None]
        assert session.scalars(select(Album.cover_hash)).all() == [rows[0].file_hash]
        assert rows[0].location == {"lat": -33.8568, "lon": 151.2153}
    assert "Date" in texts(_do("redate", some[:1], "no date at all"))
    _do("remove", some[:1])
    librarian()
    with database.session() as session:
        assert session.scalar(select(TrashItem.file_hash)) is not None
        assert session.get(MediaAsset, ids[0]) is None


@pytest.mark.parametrize(
    ("what", "value", "says"),
    [
        ("place", "Sydney", "is no place"), ("place", "", "is no place"), ("place", "91, 0", "latitude"),
        ("redate", "-soon", "write"), ("redate", "2999", "to come"), ("out-of-album", "<b>", "no such album"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_said_and_nothing_changes(
    ids: list[uuid.UUID], database: Database, what: str, value: str, says: str
) -> None:
    app = _do(what, [str(ids[0])], value)
    assert [says in one.value.replace("\\", "") for one in app.error] == [True], texts(app)
    with database.session() as session:
        assert session.scalars(select(Act)).all() == []


def test_what_is_so_can_be_written_anew(ask: Ask, ids: list[uuid.UUID]) -> None:
    assert ask("facts", photo=ids[0])["edit"] == {
        "description": "", "tags": [], "albums": [], "date": "2024-07-01 09:00:00", "place": "",
    }  # fmt: skip
    acts.tag(ids[:1], ["sea", "\u202eliame"])
    acts.add_to_album(ids[:1], "Summer")
    acts.describe(ids[:1], "One\ntwo")
    acts.place(ids[:1], -33.8568, 151.2153)
    edit = ask("facts", photo=ids[0])["edit"]
    assert edit == {
        "description": "One\ntwo", "tags": edit["tags"], "albums": ["Summer"], "date": "2024-07-01 09:00:00",
        "place": "-33.8568, 151.2153",
    }  # fmt: skip
    assert len(edit["tags"]) == 2
    _do("untag", [str(ids[0])], edit["tags"][0])  # whatever is in its name
    _do("untag", [str(ids[0])], edit["tags"][1])
    assert ask("facts", photo=ids[0])["edit"]["tags"] == []


def test_what_is_sent_again_is_done_once_and_what_is_refused_is_told(ids: list[uuid.UUID], database: Database) -> None:
    first = {"number": 7, "what": "redate", "photos": [str(ids[0])], "value": "+1:00"}
    sent = [
        first,
        {"number": 8, "what": "favourite", "photos": [str(ids[1])], "value": ""},
        {"number": 9, "what": "redate", "photos": [str(ids[2])], "value": "no date at all"},
        {"number": 10, "what": "no such act", "photos": [], "value": ""},
        "nothing", {"number": "11"},
    ]  # fmt: skip
    script = (
        "import streamlit as st\nfrom Src.Dashboard import gallery_acts\n"
        f"gallery_acts.do_all({[first]!r})\ngallery_acts.do_all({sent!r})\ngallery_acts.do_all({sent!r})\n"
        "found = gallery_acts.answered()\nst.text(f'{found.done} {found.refused}')"
    )
    app = AppTest.from_string(script, default_timeout=PAGE_LIMIT).run()
    assert not app.exception, [one.message for one in app.exception]
    assert texts(app) == "10 [9]"
    with database.session() as session:
        assert session.scalars(select(Act.kind).order_by(Act.happened_at)).all() == ["redate", "favourite"]


def test_what_ended_before_it_was_written_is_not_answered_yet(
    ids: list[uuid.UUID], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streamlit ends a run where it touches the session."""
    known = gallery_acts.Answered()
    sent = [{"number": 7, "what": "favourite", "photos": [str(ids[0])], "value": ""}]

    def ends_before(*_: object) -> None:
        raise RuntimeError("another click")

    def ends_behind(act: Callable[[], object], _said: str) -> None:
        act()
        raise RuntimeError("another click")

    monkeypatch.setattr(gallery_acts, "answered", lambda: known)
    for ends, done in ((ends_before, 0), (ends_behind, 7)):
        monkeypatch.setattr(act_bar, "do", ends)
        with pytest.raises(RuntimeError):
            gallery_acts.do_all(sent)
        assert known.done == done
        with database.session() as session:
            assert session.get_one(MediaAsset, ids[0]).rating == (5 if done else None)


class Session(dict[str, object]):
    """Streamlit's, where another click has come after an act: whatever touches the session then ends the run."""

    clicked = False

    def __setitem__(self, name: str, value: object) -> None:
        assert not self.clicked, "the run ends here"
        super().__setitem__(name, value)

    def setdefault(self, name: str, value: object = None) -> object:
        assert not self.clicked, "the run ends here"
        return super().setdefault(name, value)


@pytest.mark.parametrize("refused", [None, NotDone("no such photo")])
def test_what_was_done_is_said_though_another_click_came_meanwhile(
    monkeypatch: pytest.MonkeyPatch, refused: NotDone | None
) -> None:
    session = Session()
    monkeypatch.setattr(st, "session_state", session)

    def act() -> Submitted:
        session.clicked = True
        if refused is not None:
            raise refused
        return Submitted(None, 1, 0)

    act_bar.do(act, "Favourite")
    session.clicked = False
    outcome = act_bar.outcome()
    assert outcome is not None
    assert outcome.said == ("Favourite: no such photo." if refused else "Favourite: it is so already.")


def test_who_looks_at_a_photo_in_the_gallery_sees_what_came_of_an_act(ids: list[uuid.UUID]) -> None:
    script = (
        "from Src.Dashboard import act_bar, gallery_acts\n"
        f"gallery_acts.do('favourite', ['{ids[0]}'], '')\nact_bar.show()"
    )
    app = AppTest.from_string(script, default_timeout=PAGE_LIMIT)
    app.query_params["photo"] = str(ids[0])
    assert "Favourite" in texts(app.run())


@pytest.mark.parametrize(
    ("what", "photos", "value"),
    [
        ("no such act", ["x"], ""),
        ("hide", "x", ""),
        ("hide", ["x"], ""),
        ("hide", [], ""),
        ("tag", [1], 5),
        ([], [], ""),
    ],
)
def test_what_no_gallery_sends_does_nothing(dashboard: Settings, what: object, photos: object, value: object) -> None:
    assert texts(_do(what, photos, value)) == ""
