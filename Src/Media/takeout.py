"""What Google Takeout says of a photo, in the JSON file that it lays beside it, and of an album, in the folder's.

The name of a photo's JSON file has been written in several ways, and is cut to a length that Google's file system
bears: `IMG.jpg.json`, `IMG.jpg.supplemental-metadata.json`, `IMG.jpg.suppl.json`, `IMG.jpg(1).json` for `IMG(1).jpg`. A
photo that was edited there has none but the first one's.
"""

from __future__ import annotations

import json
import math
import os
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, NoReturn

from Src.Media.places import NOWHERE, Place
from Src.Shared.disk.files import NotARegularFile, open_regular

_LONGEST = 46  # characters of a name before ".json"
_LONGEST_PHOTO = 47  # ... of a photo's before its ending
_SUPPLEMENT = ".supplemental-metadata"
MOST_BYTES = 256 * 1024
_MOST_DEPTH = 64  # brackets within each other; Google's has four
_MOST_PEOPLE = 500
_LONGEST_NAME = 500  # characters of a title or of a person's name
_LONGEST_TEXT = 20_000  # ... of a description
_NUMBERED = re.compile(r"(.+)(\(\d{1,4}\))(\.[^.]+)\Z", re.DOTALL)
_NUMBER_AT_END = re.compile(r"(.+)(\(\d{1,4}\))\Z", re.DOTALL)
_MOMENT = re.compile(r"-?\d{1,15}", re.ASCII)
# What Google Photos appends to the name of an edited copy, in the language of its user, whatever the capitals ...
_EDITED_WORDS = (
    "edited", "edit", "bearbeitet", "modifié", "modifie", "editado", "editada", "editat", "modificato",
    "bewerkt", "redigeret", "redigerad", "redigert", "muokattu", "edytowane", "upraveno", "upravené",
    "redaguotas", "urejeno", "uređeno", "diedit", "επεξεργασμένο", "відредаговано", "редактирано",
    "szerkesztett", "düzenlendi", "изменено", "отредактировано", "編集済み", "已编辑", "已編輯", "已修改",
    "수정됨", "편집됨", "แก้ไขแล้ว", "נערך",
)  # fmt: skip
_EDITED_PHRASES = ("ha editado", "đã chỉnh sửa", "تم التعديل")
# ... and of what it has made itself: in capitals only, for people call their own photos "me-smile.jpg".
_MADE = ("EFFECTS", "SMILE", "MIX")
EDITED = (*_EDITED_WORDS, *_EDITED_PHRASES, *_MADE)
AN_EDIT = rf"-(?:(?i:{'|'.join((*_EDITED_WORDS, *_EDITED_PHRASES))})|{'|'.join(_MADE)})"
_EDITED = re.compile(rf"(.+){AN_EDIT}((?:\(\d{{1,4}}\))?\.[^.]+)\Z", re.DOTALL)
_ALBUM_NAMES = re.compile(
    r"(?:metadata|metadaten|métadonnées|metadatos|metadati|metadados|metagegevens|metadane|metadades"
    r"|metatiedot|metaadatok|metadate|metadáta|metapodaci|metapodatki|meta veriler|metaveriler|siêu dữ liệu"
    r"|метаданные|метадані|метаданни|μεταδεδομένα|メタデータ|元数据|元資料|中繼資料|詮釋資料|메타데이터|ข้อมูลเมตา)"
    r"(?:\(\d{1,4}\))?\.json",
    re.IGNORECASE,
)

# The folders of whole years are nobody's albums.
_PHOTOS = (
    r"photos?|foto[sn]?|foto's|bilder|billeder|kuvat|zdjęcia|fotky|fotografie|fotografii|fotografije|poze|fényképek"
    r"|fotoğraflar[ıi]?|ảnh|фото|фотографии|фотографії|снимки|φωτογραφίες|写真|照片|相片|사진"
)
_OF_YEAR = (
    r"from|von|aus|de|del|da|dal|uit|van|från|fra|vuodelta|z|roku|din|dari|từ|năm|za|iz|yılından|évi|за|год|г\.?|рік|р\.?"
    r"|от|από|το|年の|年的|년의|년"
)
_YEAR = re.compile(
    rf"(?:{_PHOTOS}) (?:(?:{_OF_YEAR}) ?)+(?:19|20)\d\d(?: (?:{_OF_YEAR}))?"
    rf"|(?:19|20)\d\d\.? ?(?:{_OF_YEAR}) ?(?:{_PHOTOS})",
    re.IGNORECASE,
)
_EXPORTED = re.compile(r"takeout-\d{8}T\d{6}Z", re.IGNORECASE)
_PART = re.compile(r"[-_ ]?\d{1,5}(?: ?\(\d{1,3}\))?\.zip\Z", re.IGNORECASE)


class TakeoutNote(NamedTuple):
    """What Google's library knows of a photo."""

    taken: datetime | None
    """Naive, UTC."""
    place: Place
    title: str | None = None
    """The photo's name there, which is not cut."""
    description: str | None = None
    is_favourite: bool = False
    people: tuple[str, ...] = ()
    is_archived: bool = False
    is_trashed: bool = False


class Album(NamedTuple):
    """An album: the photos of the folder in which its file is."""

    title: str
    description: str | None = None


class Refused(NamedTuple):
    """A file that says nothing that can be used."""

    reason: str


# Names


def find_takeout(path: str, folder: int | None = None) -> str | None:
    """The JSON file of Takeout that may belong to the photo at `path`; `folder`: the open folder that a name is in."""
    head, name = os.path.split(path)
    for candidate in note_names(name):
        beside = os.path.join(head, candidate)
        if os.access(beside, os.F_OK, dir_fd=folder):
            return beside
    return None


def note_names(name: str) -> Iterator[str]:
    """How the JSON file of a photo of that name is mostly called, the likeliest first; `note_rank` knows all ways."""
    yield from _spellings(name, "")
    numbered = _NUMBERED.fullmatch(name) if name.find("(") > 0 else None
    if numbered is not None:
        yield from _spellings(numbered[1] + numbered[3], numbered[2])
    edited = _EDITED.fullmatch(name) if name.find("-") > 0 else None
    if edited is not None:
        yield from note_names(edited[1] + edited[2])


def _spellings(name: str, number: str) -> Iterator[str]:
    for supplement in (_SUPPLEMENT, ""):
        yield f"{(name + supplement)[:_LONGEST]}{number}.json"
    # Takeout has cut the supplement at lengths of its own, too.
    if len(name) < _LONGEST - 5:
        yield f"{name}.suppl{number}.json"
        yield f"{name}.supplemental-meta{number}.json"


def note_rank(note: str, photo: str) -> int | None:
    """How well the name of a JSON file fits that of a photo, 0 the best; None: it is not that photo's."""
    stem, ending = os.path.splitext(unicodedata.normalize("NFC", note))
    if ending.lower() != ".json" or is_album_name(note):
        return None
    photo = unicodedata.normalize("NFC", photo)
    if _is_note_of(stem, photo, ""):
        return 0
    numbered, at_end = _NUMBERED.fullmatch(photo), _NUMBER_AT_END.fullmatch(stem)
    if (
        numbered is not None
        and at_end is not None
        and numbered[2] == at_end[2]
        and _is_note_of(at_end[1], numbered[1] + numbered[3], at_end[2])
    ):
        return 1
    ranks = [rank for first in _before_edit(photo) if (rank := note_rank(note, first)) is not None]
    return 10 + min(ranks) if ranks else None


def _is_note_of(stem: str, photo: str, number: str) -> bool:
    """Whether it is the photo's name with any part of the supplement, or that name cut where Google cuts."""
    whole = photo + _SUPPLEMENT
    if len(stem) < 2 or not whole.startswith(stem):
        return False
    if len(stem) >= len(photo):
        return True
    # (a number counts in some exports; and some count bytes)
    lengths = {len(stem), len(stem.encode(errors="surrogatepass")), len(stem.encode("utf-16-le", "surrogatepass")) // 2}
    return bool(lengths & {_LONGEST, _LONGEST - len(number)})


def _before_edit(photo: str) -> Iterator[str]:
    """What a photo may have been called before it was edited."""
    if "-" not in photo:
        return
    edited = _EDITED.fullmatch(photo)
    if edited is not None:
        yield edited[1] + edited[2]
        return
    stem, ending = os.path.splitext(photo)
    if len(stem) != _LONGEST_PHOTO:
        return
    for word in (*_EDITED_WORDS, *_EDITED_PHRASES):  # the word itself was cut
        for length in range(len(word), 0, -1):
            if stem.lower().endswith(f"-{word[:length]}"):
                yield stem[: -length - 1] + ending
                break


def before_edit(photo: str) -> str | None:
    """The name of the photo of which one of that name is an edited copy, by Google's suffixes in all languages."""
    return next(_before_edit(unicodedata.normalize("NFC", photo)), None)


def is_album_name(name: str) -> bool:
    """Whether a file of that name describes the folder that it is in."""
    return _ALBUM_NAMES.fullmatch(unicodedata.normalize("NFC", name)) is not None


def set_of(archive: str) -> str:
    """The set to which an archive at that path belongs, of which each has photos and JSON files of the others.

    Takeout names them `takeout-20240503T110203Z-001.zip` or `takeout-20240503T110203Z-3-001.zip`: one moment is one
    set, wherever its parts lie. Other names are of one set in one folder, where only a number at the end differs.
    """
    folder, name = os.path.split(archive)
    exported = _EXPORTED.match(name)
    return exported[0].lower() if exported is not None else os.path.join(folder, _PART.sub("", name).lower())


# Contents


def read_takeout(path: str, folder: int | None = None) -> TakeoutNote | None:
    """What the file says of a photo; None where it is none of Takeout's."""
    try:
        with open(open_regular(path, folder), "rb") as file:
            said = parse(file.read(MOST_BYTES + 1))
    except (OSError, NotARegularFile):
        return None
    return said if isinstance(said, TakeoutNote) else None


def read_album(folder: int) -> str | None:
    """The title of the album that an open folder is; None: it is none. Of several files that say so, the first."""
    try:
        listed = os.open(
            ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder
        )  # it may be open as a path only
        try:
            names = sorted(name for name in os.listdir(listed) if is_album_name(name))
        finally:
            os.close(listed)
    except OSError:
        return None
    for name in names:
        try:
            with open(open_regular(name, folder), "rb") as file:
                said = parse(file.read(MOST_BYTES + 1))
        except (OSError, NotARegularFile):
            continue
        if isinstance(said, Album) and _YEAR.fullmatch(said.title) is None:
            return said.title
    return None


def parse(data: bytes) -> TakeoutNote | Album | Refused:
    """What a JSON file says, whoever made it. Never raises."""
    if len(data) > MOST_BYTES:
        return Refused(f"it is larger than {MOST_BYTES // 1024} KiB")
    if _is_deep(data):
        return Refused(f"it has more than {_MOST_DEPTH} brackets within each other")
    try:
        said = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return Refused("it is no JSON")
    if not isinstance(said, dict):
        return Refused("it is no JSON object")
    if isinstance(said.get("photoTakenTime"), dict):
        return TakeoutNote(
            taken=_moment(said["photoTakenTime"].get("timestamp")),
            place=_place(said),
            title=_text(said.get("title"), _LONGEST_NAME),
            description=_text(said.get("description"), _LONGEST_TEXT),
            is_favourite=said.get("favorited") is True,
            people=_people(said.get("people")),
            is_archived=said.get("archived") is True,
            is_trashed=said.get("trashed") is True,
        )
    album = said.get("albumData") if isinstance(said.get("albumData"), dict) else said
    assert isinstance(album, dict)
    title = _text(album.get("title"), _LONGEST_NAME)
    if title is not None and ("date" in album or "access" in album or "albumData" in said):
        return Album(title, _text(album.get("description"), _LONGEST_TEXT))
    return Refused("it has no photoTakenTime, and describes no album")


def _refuse(_name: str) -> NoReturn:
    raise ValueError  # NaN, Infinity


def _is_deep(data: bytes) -> bool:
    """Counts brackets, those in texts too: a parser that recurses must not see what is too deep for it."""
    depth = 0
    for one in re.finditer(rb"[\[{]+|[\]}]+", data):
        depth += len(one[0]) if one[0][0] in b"[{" else -len(one[0])
        if depth > _MOST_DEPTH:
            return True
        depth = max(depth, 0)
    return False


def _moment(timestamp: Any) -> datetime | None:
    text = str(timestamp) if isinstance(timestamp, str | int) and not isinstance(timestamp, bool) else ""
    if _MOMENT.fullmatch(text) is None:
        return None
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(text))).replace(tzinfo=None)
    except OverflowError:
        return None


def _place(said: dict[str, Any]) -> Place:
    for name in ("geoData", "geoDataExif"):
        data = said.get(name)
        if not isinstance(data, dict):
            continue
        latitude, longitude = _number(data.get("latitude")), _number(data.get("longitude"))
        if latitude is None or longitude is None or latitude == longitude == 0:
            continue
        if abs(latitude) <= 90 and abs(longitude) <= 180:
            return Place(latitude, longitude)
    return NOWHERE


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _people(said: object) -> tuple[str, ...]:
    if not isinstance(said, list):
        return ()
    names = (_text(one.get("name"), _LONGEST_NAME) for one in said[:_MOST_PEOPLE] if isinstance(one, dict))
    return tuple(dict.fromkeys(name for name in names if name is not None))


def _text(value: object, longest: int) -> str | None:
    """A text that any column and page takes; None where there is none."""
    if not isinstance(value, str):
        return None
    whole = value[:longest].encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\0", "").strip() or None
