"""What people decide about one photo, on its view: stars, hidden, turned, words, albums, date, place, trash."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import streamlit as st

from Src.Dashboard import act_bar
from Src.Dashboard.data import acts, decided
from Src.Dashboard.data.acts import NotDone
from Src.Dashboard.data.decided import OfPhoto
from Src.Dashboard.data.standing import Submitted
from Src.Dashboard.look import asking_ledger
from Src.Dashboard.plain import plain
from Src.Library.overlay.changes import LONGEST_DESCRIPTION
from Src.Media.words import LONGEST_TITLE

FAVOURITE = 5  # stars


def show(row: Mapping[str, Any]) -> None:
    """The part of a photo's view by which it is changed; `row` is the original's."""
    act_bar.show("photo")
    if not act_bar.may_act():
        return
    photo: uuid.UUID = row["id"]
    with asking_ledger("What was decided about it"):
        of_it = decided.of_photo(photo)
        _at_hand(row)
        with st.expander("Edit", icon=":material/edit:", key=f"edit-{photo}"):
            _words(row, of_it)
            _albums(photo, of_it)
            _date(row)
            _place(row)


def _at_hand(row: Mapping[str, Any]) -> None:
    """One click each."""
    photo = row["id"]
    stars = row["rating"] or 0
    is_favourite, is_hidden = stars == FAVOURITE, row["is_hidden"]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="photo-acts"):
        with st.container(horizontal=True, gap=None, width="content", key="photo-stars"):
            for number in range(1, FAVOURITE + 1):
                st.button(
                    f"{number}{'★' if number <= stars else '☆'}", type="tertiary", key=f"star-{number}-{photo}",
                    on_click=_rate, args=(photo, 0 if number == stars else number),
                )  # fmt: skip
        _button(
            "No favourite" if is_favourite else "Favourite",
            ":material/heart_minus:" if is_favourite else ":material/favorite:",
            partial(acts.favourite, [photo], off=is_favourite),
            "No favourite any more" if is_favourite else "A favourite",
        )
        _button("Turn", ":material/rotate_90_degrees_cw:", partial(acts.rotate, [photo], 90), "Turned")
        _button(
            "Show again" if is_hidden else "Hide",
            ":material/visibility:" if is_hidden else ":material/visibility_off:",
            partial(acts.hide, [photo], off=is_hidden),
            "Shown again" if is_hidden else "Hidden",
        )
        _button("Move to trash", ":material/delete:", partial(acts.remove, [photo]), "To the trash")
    if is_hidden:
        st.caption("It is hidden: **Gallery** and **Library** show it under **Hidden** only.")


def _button(label: str, icon: str, act: Callable[[], Submitted], said: str) -> None:
    st.button(label, icon=icon, on_click=act_bar.do, args=(act, said))


def _rate(photo: uuid.UUID, stars: int) -> None:
    act_bar.do(partial(acts.rate, [photo], stars), f"{stars} of 5 stars")


# An act needs a click on its own button: a browser may send what a field had before it was shown anew, and that would
# be an act that nobody has wanted. What is typed comes back under its field's key. No key comes twice: it has what is
# so, which another browser may change, and how many acts there were here.


def _typed(key: str) -> str:
    return str(st.session_state.get(key) or "")


def _form(
    name: str, row: Mapping[str, Any], act: Callable[[Mapping[str, str]], Submitted], said: str, **fields: Any
) -> None:
    """Some texts and a button that does something with them; `fields`: by name, a label and what is so now."""
    so = (hash(tuple(str(now) for _, now, *_ in fields.values())), act_bar.count())
    keys = {field: f"{name}-{field}-{row['id']}-{so}" for field in fields}

    def submit() -> None:
        act_bar.do(lambda: act({field: _typed(key) for field, key in keys.items()}), said)

    with st.form(f"{name}-{row['id']}", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        for field, (label, now, *more) in fields.items():
            options = more[0] if more else {}
            widget = st.text_area if options.pop("long", False) else st.text_input
            widget(label, value=now, key=keys[field], **options)
        st.form_submit_button("Save", on_click=submit, key=f"save-{name}-{row['id']}")


def _words(row: Mapping[str, Any], of_it: OfPhoto) -> None:
    photo = row["id"]
    _form(
        "title", row, lambda typed: acts.title([photo], typed["title"]), "Title",
        title=("Title", row["title"] or "", {"max_chars": LONGEST_TITLE}),
    )  # fmt: skip
    _form(
        "description", row, lambda typed: acts.describe([photo], typed["description"]), "Description",
        description=(
            "Description", row["description"] or "", {"max_chars": LONGEST_DESCRIPTION, "long": True, "height": 90}
        ),
    )  # fmt: skip
    _some("Tags", photo, of_it.tags, decided.words(), _tags)


def _albums(photo: uuid.UUID, of_it: OfPhoto) -> None:
    _some("Albums", photo, of_it.albums, [one.name for one in decided.albums()], _in_albums)


def _some(
    label: str,
    photo: uuid.UUID,
    has: tuple[str, ...],
    there: Any,
    act: Callable[[uuid.UUID, str, tuple[str, ...]], None],
) -> None:
    """Several of what there is, or of new names."""
    key = f"{label}-{photo}-{hash(has)}-{act_bar.count()}"
    with st.form(f"{label}-{photo}", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.multiselect(
            label, options=list(dict.fromkeys([*has, *there])), default=list(has), format_func=plain, key=key,
            accept_new_options=True, placeholder="Choose, or type a new one",
        )  # fmt: skip
        st.form_submit_button("Save", on_click=act, args=(photo, key, has), key=f"save-{label.lower()}-{photo}")


def _tags(photo: uuid.UUID, key: str, has: tuple[str, ...]) -> None:
    added, gone = _differences(key, has)
    if added:
        act_bar.do(partial(acts.tag, [photo], added), f"Tag {plain(', '.join(added), 60)}")
    if gone:
        act_bar.do(partial(acts.tag, [photo], gone, remove=True), f"Without the tag {plain(', '.join(gone), 60)}")


def _in_albums(photo: uuid.UUID, key: str, has: tuple[str, ...]) -> None:
    added, gone = _differences(key, has)
    for name in added:
        act_bar.do(partial(acts.add_to_album, [photo], name), f"Into the album {plain(name, 60)}")
    for name in gone:
        act_bar.do(partial(acts.remove_from_album, [photo], name), f"Out of the album {plain(name, 60)}")


def _differences(key: str, has: tuple[str, ...]) -> tuple[list[str], list[str]]:
    chosen = [str(one) for one in st.session_state.get(key) or ()]
    return [one for one in chosen if one not in has], [one for one in has if one not in chosen]


def _date(row: Mapping[str, Any]) -> None:
    photo = row["id"]
    now = f"{row['captured_at']:%Y-%m-%d %H:%M:%S}"
    _form(
        "date", row, lambda typed: acts.redate_to([photo], typed["date"]), "Date",
        date=("Date: 2019, 2019-07-04 or with the time of day", now),
    )  # fmt: skip
    _form(
        "shift", row, lambda typed: acts.redate_by([photo], typed["shift"]), "Date moved",
        shift=("Move the date by hours and minutes, as -7:12", ""),
    )  # fmt: skip
    st.caption("A corrected date moves the file to the folder of its day. The photo's own bytes are never changed.")


def _place(row: Mapping[str, Any]) -> None:
    photo, location = row["id"], row["location"]
    now = f"{location['lat']}, {location['lon']}" if location else ""
    _form(
        "place", row, lambda typed: acts.place([photo], *read_place(typed["place"])), "Place",
        place=("Place: latitude, longitude, as -33.8568, 151.2153", now),
    )  # fmt: skip


def read_place(said: str) -> tuple[float, float]:
    """Latitude and longitude. Raises NotDone."""
    latitude, _, longitude = said.partition(",")
    try:
        return float(latitude), float(longitude)
    except ValueError:
        raise NotDone(f'"{plain(said, 40)}" is no place: write latitude and longitude, as -33.8568, 151.2153') from None
