"""What a person decided about a photo, written into an XMP sidecar, or into a new one.

Only these properties change: `xmp:Rating`, `exif:DateTimeOriginal` with `photoshop:DateCreated`, `exif:GPSLatitude` and
`GPSLongitude` (with their Ref, where another program wrote one), `dc:title`, `dc:description`, `dc:subject`. No other
byte of the file does, and none at all where it says the same already. So what other programs keep in forms of their own
stays as it was, even where it says the same thing once more: `MicrosoftPhoto:Rating`, `lr:hierarchicalSubject`,
`digiKam:TagsList`, `xmp:MetadataDate`.

Of a title and a description the default language's text is set; without one the property goes, in all its languages.

A character that XML cannot hold (control letters, half of a surrogate pair) is refused, not dropped: what is read back
must be what was written. A property whose value has qualifiers, or is a structure where a text belongs, is refused too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Final

from Src.Media.capture_date import Stamp, parse_stamp
from Src.Media.metadata import rating_in
from Src.Media.places import NOWHERE, Place
from Src.Media.xmp_document import (
    ABOUT,
    BLOCK,
    CONTAINERS,
    LI,
    RDF,
    Attribute,
    Document,
    Edit,
    Element,
    Name,
    NotXmp,
    Property,
    applied,
    canonical,
    check_text,
    escaped,
    items,
    parse,
    quoted,
    simple_text,
    without,
)
from Src.Media.xmp_sidecar import (
    COORDINATES,
    DATES,
    DC,
    DEFAULT_LANGUAGE,
    DESCRIPTION,
    EXIF,
    OURS,
    PHOTOSHOP,
    RATING,
    REFS,
    SUBJECT,
    TITLE,
    XMP,
    coordinate_texts,
    date_text,
    found,
    language_of,
    language_text,
    place_of,
    tags_of,
)

_PREFIXES = {DC: "dc", EXIF: "exif", PHOTOSHOP: "photoshop", XMP: "xmp", RDF: "rdf"}
_NEARLY = 1e-7  # degrees, a centimetre: what another program rounded is the same place
_EMPTY = """<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x='adobe:ns:meta/'>
 <rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end='w'?>
""".encode()


class Keep(Enum):
    """What stands there stays."""

    AS_IT_IS = 0


KEEP: Final = Keep.AS_IT_IS


@dataclass(frozen=True, slots=True)
class Changes:
    """What a sidecar is to say. None, an empty text, no tags: it says nothing of that any more."""

    rating: int | Keep | None = KEEP
    taken: Stamp | Keep | None = KEEP
    place: Place | Keep | None = KEEP
    title: str | Keep | None = KEEP
    description: str | Keep | None = KEEP
    tags: tuple[str, ...] | Keep = KEEP


def written(content: bytes | None, changes: Changes) -> bytes:
    """A sidecar (None: a new one) with these changes; the very same bytes where it says so already.

    Raises NotXmp where it is none, or cannot hold them; ValueError for what is no rating or no position.
    """
    content = _EMPTY if content is None else content
    before = document = parse(content)
    for one in fields(changes):
        value = getattr(changes, one.name)
        for step in [] if value is KEEP else _STEPS[one.name](value):
            edits = step(document)
            if edits:
                content = document.encoded(applied(document.body, edits))
                document = parse(content)
    _check_foreign(before, document)
    return content


def written_where_possible(content: bytes | None, changes: Changes) -> tuple[bytes, list[str]]:
    """As `written`, but each field that cannot be said is left as it is; and why. Raises NotXmp where it is none."""
    try:
        return written(content, changes), []
    except (NotXmp, ValueError):
        said, problems = written(content, Changes()), []
    for one in fields(changes):
        try:
            said = written(said, replace(Changes(), **{one.name: getattr(changes, one.name)}))
        except (NotXmp, ValueError) as problem:
            problems.append(str(problem))
    return said, problems


# A field is written in steps, each of which sees what the one before it has made.
_Step = Callable[[Document], list[Edit]]


def _rating_steps(rating: int | None) -> list[_Step]:
    if rating is not None and not -1 <= rating <= 5:
        raise ValueError(f"a rating is -1 to 5, not {rating}")
    wanted = None if rating is None else str(rating)
    return [lambda one: _set_simple(one, RATING, wanted, lambda text: rating_in({"XMP:Rating": text}, {}) == rating)]


def _taken_steps(taken: Stamp | None) -> list[_Step]:
    wanted = None if taken is None else date_text(taken)

    def step(name: Name) -> _Step:
        return lambda document: _set_simple(document, name, wanted, lambda text: parse_stamp(text) == taken)

    return [step(name) for name in DATES]


def _place_steps(place: Place | None) -> list[_Step]:
    latitude, longitude = place or NOWHERE

    def step(name: Name, text: str | None) -> _Step:
        def edits(document: Document) -> list[Edit]:
            is_there = text is not None and _are_near(place_of(document), Place(latitude, longitude))
            is_wanted = name not in REFS or text is None or found(document, name)
            return _set_simple(document, name, text) if is_wanted and not is_there else []

        return edits

    if latitude is None or longitude is None:
        return [step(name, None) for name in (*COORDINATES, *REFS)]
    texts = coordinate_texts(latitude, longitude)
    # The hemispheres first: until they are right, the numbers beside them are not the place yet.
    return [
        *(step(name, text[-1]) for name, text in zip(REFS, texts, strict=True)),
        *(step(name, text) for name, text in zip(COORDINATES, texts, strict=True)),
    ]


def _language_steps(name: Name) -> Callable[[str | None], list[_Step]]:
    def steps(text: str | None) -> list[_Step]:
        if not text:
            return [lambda document: _removed(document, name)]
        check_text(text)
        return [
            lambda document: [] if language_text(document, name) == text else _without_plain(document, name),
            lambda document: _set_language_text(document, name, text),
        ]

    return steps


def _tag_steps(tags: tuple[str, ...]) -> list[_Step]:
    wanted = list(dict.fromkeys(check_text(tag) for tag in tags if tag.strip()))
    if not wanted:
        return [lambda document: _removed(document, SUBJECT)]
    return [
        lambda document: [] if set(tags_of(document)) == set(wanted) else _without_plain(document, SUBJECT),
        lambda document: _set_tags(document, wanted),
    ]


_STEPS: dict[str, Callable[..., list[_Step]]] = {
    "rating": _rating_steps,
    "taken": _taken_steps,
    "place": _place_steps,
    "title": _language_steps(TITLE),
    "description": _language_steps(DESCRIPTION),
    "tags": _tag_steps,
}


def _are_near(one: Place | None, other: Place) -> bool:
    return one is not None and all(
        mine is not None and theirs is not None and abs(mine - theirs) < _NEARLY
        for mine, theirs in zip(one, other, strict=True)
    )


def _set_simple(
    document: Document, name: Name, text: str | None, says_it: Callable[[str], bool] | None = None
) -> list[Edit]:
    """The edits by which a property has this text, and once; None: is gone.

    `says_it`: whether another text means the same.
    """
    standing = found(document, name)
    if any(simple_text(one) is None for one in standing):
        raise _odd(name)
    if text is None:
        return _removed(document, name)
    if not standing:
        return [_inserted(document, name, lambda _: escaped(text))]
    first, *others = standing
    edits = [without(document.body, one) for one in others]
    said = (simple_text(first) or "").strip()
    return (
        edits
        if said == text or (says_it is not None and says_it(said))
        else [*edits, _with_text(document, first, text)]
    )


def _with_text(document: Document, one: Property, text: str) -> Edit:
    """A simple value in the place of another."""
    body = document.body
    if isinstance(one, Attribute):
        mark = body[one.end - 1 : one.end]
        return Edit(body.index(mark, body.index(b"=", one.start)), one.end, quoted(text, mark.decode()))
    if one.is_empty:
        return Edit(one.start, one.end, _opened(body, one) + escaped(text) + f"</{one.qname}>".encode())
    return Edit(one.inner_start, one.inner_end, escaped(text))


def _set_language_text(document: Document, name: Name, text: str) -> list[Edit]:
    if language_text(document, name) == text:
        return []
    given = _items(document, name)
    default = next((item for item in given if language_of(item) == DEFAULT_LANGUAGE), None)
    if default is not None:
        if simple_text(default) is None:
            raise _odd(name)
        return [_with_text(document, default, text)]

    def item(container: Element) -> bytes:
        return _element(container, LI, escaped(text), f' xml:lang="{DEFAULT_LANGUAGE}"')

    if given:  # the default language comes first
        first, container = given[0], given[0].parent
        assert container is not None
        return [Edit(first.start, first.start, item(container) + _line_before(document, first))]
    return [_inserted(document, name, lambda parent: _element(parent, Name(RDF, "Alt"), item(parent)))]


def _set_tags(document: Document, wanted: list[str]) -> list[Edit]:
    if set(tags_of(document)) == set(wanted):
        return []
    given = _items(document, SUBJECT)
    if not given:
        return [
            _inserted(document, SUBJECT, lambda parent: _element(parent, Name(RDF, "Bag"), _listed(parent, wanted)))
        ]
    texts = [simple_text(item) for item in given]
    if None in texts:
        raise _odd(SUBJECT)
    edits = [without(document.body, item) for item, text in zip(given, texts, strict=True) if text not in wanted]
    last, container = given[-1], given[0].parent
    assert container is not None
    new = [tag for tag in wanted if tag not in texts]
    return [*edits, Edit(last.end, last.end, _listed(container, new, _line_before(document, given[0])))]


def _listed(container: Element, texts: list[str], line: bytes = b"") -> bytes:
    return b"".join(line + _element(container, LI, escaped(text)) for text in texts)


def _items(document: Document, name: Name) -> list[Element]:
    return next((items(one) for one in found(document, name)), [])


def _removed(document: Document, name: Name) -> list[Edit]:
    return [without(document.body, one) for one in found(document, name)]


def _without_plain(document: Document, name: Name) -> list[Edit]:
    """Takes out a plain text, or an empty list, where a list with something in it belongs."""
    edits = []
    for one in found(document, name):
        if items(one):
            continue
        is_empty_list = isinstance(one, Element) and all(child.name in CONTAINERS for child in one.children)
        if simple_text(one) is None and not is_empty_list:
            raise _odd(name)
        edits.append(without(document.body, one))
    return edits


def _odd(name: Name) -> NotXmp:
    return NotXmp(f"{name.local} stands in a form that cannot be changed without losing a part of it")


def _inserted(document: Document, name: Name, content: Callable[[Element], bytes]) -> Edit:
    """A new property, in the first description that has a prefix for it; else in a description of its own.

    `content`: what is in it, by the element around it.
    """
    for description in document.descriptions:
        if description.prefix_of(name.space) is not None:
            children = description.children
            line = _line_before(document, children[0]) if children else _line_before(document, description, deeper=True)
            return _appended(document, description, line + _element(description, name, content(description)))
    rdf, others = document.rdf, document.descriptions
    declared = {prefix: space for space, usual in _PREFIXES.items() if space != RDF for prefix in [_free(rdf, usual)]}
    if rdf.prefix_of(RDF) is None:
        declared[_free(rdf, "rdf")] = RDF
    made = Element("", rdf, 0, 0, False, declared=declared)
    about = next((one.text for other in others for one in other.attributes if one.name == ABOUT), "")
    line = _line_before(document, others[0]) if others else b"\n  "
    starts = "".join(f' xmlns:{prefix}="{space}"' for prefix, space in declared.items())
    starts = f" {made.prefix_of(RDF)}:about={quoted(about).decode()}{starts}"
    inner = line + b" " * bool(line) + _element(made, name, content(made)) + line
    prefix = made.prefix_of(RDF)
    tag = f"{prefix}:{BLOCK.local}"
    return _appended(document, rdf, line + f"<{tag}{starts}>".encode() + inner + f"</{tag}>".encode())


def _appended(document: Document, parent: Element, new: bytes) -> Edit:
    """What comes behind an element's last child."""
    body = document.body
    if parent.is_empty:
        end = _line_before(document, parent) + f"</{parent.qname}>".encode()
        return Edit(parent.start, parent.end, _opened(body, parent) + new + end)
    place = parent.children[-1].end if parent.children else parent.inner_start
    return Edit(place, place, new)


def _opened(body: bytes, element: Element) -> bytes:
    """The tag of an element that was written as empty, for one that is not."""
    return body[element.start : element.end].removesuffix(b">").removesuffix(b"/").rstrip() + b">"


def _element(parent: Element, name: Name, inner: bytes, attributes: str = "") -> bytes:
    prefix, declared = parent.prefix_of(name.space), ""
    if prefix is None:
        prefix = _free(parent, _PREFIXES[name.space])
        declared = f' xmlns:{prefix}="{name.space}"'
    tag = f"{prefix}:{name.local}"
    return f"<{tag}{declared}{attributes}>".encode() + inner + f"</{tag}>".encode()


def _free(element: Element, usual: str) -> str:
    """The usual prefix, or one like it that stands for nothing here."""
    prefix, number = usual, 1
    while element.space_of(prefix) is not None:
        number += 1
        prefix = f"{usual}{number}"
    return prefix


def _line_before(document: Document, element: Element, *, deeper: bool = False) -> bytes:
    """The line break and indentation before an element; nothing where it stands behind another in its line."""
    body = document.body
    space = body[len(body[: element.start].rstrip(b" \t\r\n")) : element.start]
    start = max(space.rfind(b"\r\n"), -1) if b"\r\n" in space else space.rfind(b"\n")
    return space[start:] + b" " * deeper if start >= 0 else b""


def _check_foreign(before: Document, after: Document) -> None:
    """Raises NotXmp where what is not ours would change: a defect of ours must cost nobody's work."""
    old, new = (sorted(map(repr, map(canonical, _foreign(document)))) for document in (before, after))
    if old != new:
        raise NotXmp("what other programs wrote in it would change; it stays as it is")


def _foreign(document: Document) -> list[Property]:
    return [one for one in document.properties() if one.name not in OURS]
