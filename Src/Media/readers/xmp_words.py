"""What an XMP packet says in words, where its reading equals ExifTool's: title, description, tags; and of a burst.

Only properties at the top count, in the namespace that they belong to; another property of the same name elsewhere has
another name for ExifTool.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from Src.Media.readers.fast_answer import Unusual
from Src.Media.tags import BETWEEN, Tags

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_LISTS = {
    f"{_DC}subject": "XMP:Subject",
    "{http://www.digikam.org/ns/1.0/}TagsList": "XMP:TagsList",
    "{http://ns.adobe.com/lightroom/1.0/}hierarchicalSubject": "XMP:HierarchicalSubject",
}
_IN_LANGUAGES = {f"{_DC}title": "XMP:Title", f"{_DC}description": "XMP:Description"}
_CAMERA = "{http://ns.google.com/photos/1.0/camera/}"
_SIMPLE = {
    f"{_CAMERA}BurstID": "XMP:BurstID",
    f"{_CAMERA}MicroVideo": "XMP:MicroVideo",
    f"{_CAMERA}MotionPhoto": "XMP:MotionPhoto",
}
# Of a name that is not one of these, but nearly, it is not known what ExifTool makes.
_NAMES = frozenset(name.rpartition("}")[2].lower() for name in (*_LISTS, *_SIMPLE))
_NAMES_ANYWHERE = _NAMES - {"subject"}
_NAMES_IN_DC = frozenset({"subject", "title", "description"})
_TAGS = {**_LISTS, **_IN_LANGUAGES, **_SIMPLE}
_CONTAINERS = frozenset(f"{_RDF}{name}" for name in ("Bag", "Seq", "Alt"))
_ITEM = f"{_RDF}li"
_MOST_INSTRUCTIONS = 3  # the packet's begin and end, and XML's; another one would part a text

# What stands in a packet that may hold any of these. (All begin with what is written in one way only.)
_SIGNS = (b"/dc/elements", b"dc:", b"agsList", b"ierarchicalSubject", b"urstID", b"icroVideo", b"otionPhoto")


def has_words(packet: bytes) -> bool:
    """Whether anything of these may stand in a packet."""
    return any(sign in packet for sign in _SIGNS)


def read_words(packet: bytes, tops: Sequence[Element], tags: Tags) -> None:
    """Adds the tags of what stands in the descriptions of a packet. Raises Unusual."""
    if packet.count(b"<?") > _MOST_INSTRUCTIONS:
        raise Unusual("XMP of odd form")
    said: Tags = {}
    for top in tops:
        for name, text in top.attrib.items():
            if name in _TAGS:
                _add(said, name, _simple(name, text))
            else:
                _refuse_what_is_nearly_ours(name)
        for one in top:
            if one.tag in _TAGS:
                _add(said, one.tag, _value(one))
            else:
                _refuse_what_is_nearly_ours(one.tag)
    tags.update(said)


def _refuse_what_is_nearly_ours(name: str) -> None:
    namespace, _, local = name.rpartition("}")
    local = local.lower()
    if local in _NAMES_ANYWHERE or (local in _NAMES_IN_DC and "/dc/elements" in namespace):
        raise Unusual("XMP words of odd form")


def _add(said: Tags, name: str, value: str | None) -> None:
    tag = _TAGS[name]
    if tag in said:
        raise Unusual("XMP words twice")
    if value is not None:
        said[tag] = value


def _simple(name: str, text: str) -> str | None:
    if name in _LISTS or name in _IN_LANGUAGES or (name in _SIMPLE and not text):
        raise Unusual("XMP words of odd form")
    return _as_printed(text)


def _value(one: Element) -> str | None:
    """What ExifTool says of a property. None: nothing, or it is none of ours."""
    if one.tag in _SIMPLE:
        if one.attrib or len(one) or not one.text:
            raise Unusual("XMP words of odd form")
        return _as_printed(one.text)
    if one.tag in _LISTS:
        items = _items(one)
        if any(item.attrib for item in items):
            raise Unusual("XMP words of odd form")
        return BETWEEN.join(_as_printed(item.text or "") for item in items) if items else None
    if one.tag in _IN_LANGUAGES:
        texts: dict[str, str] = {}
        for item in _items(one):
            language = item.attrib.get(_LANGUAGE)
            if language is None or len(item.attrib) != 1 or language.lower() in texts:
                raise Unusual("XMP words of odd form")
            texts[language.lower()] = item.text or ""
        default = texts.get("x-default")
        return None if default is None else _as_printed(default)
    return None


def _items(one: Element) -> list[Element]:
    """The items of a list."""
    containers = list(one)
    if one.attrib or len(containers) > 1 or (not containers and (one.text or "").strip()):
        raise Unusual("XMP words of odd form")
    for container in containers:
        if container.tag not in _CONTAINERS or container.attrib:
            raise Unusual("XMP words of odd form")
        if any(item.tag != _ITEM or len(item) for item in container):
            raise Unusual("XMP words of odd form")
        return list(container)
    return []


def _as_printed(text: str) -> str:
    """As ExifTool's JSON has it: such a text is a truth value there."""
    return text.lower() if text.lower() in ("true", "false") else text
