"""An XMP file as XML (ISO 16684-1), with the place of each part, so that one part changes and no other byte does.

A library that writes the whole tree anew would lose how other programs have laid it out: quotes, line breaks, comments,
the packet's padding. Expat reads; what is written is spliced into the bytes that were there.

Sidecars come from strangers. A DTD (and with it every entity of its own) is refused before Expat reads it, and so is
what is too large, too deep or in pieces too many.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from xml.parsers import expat

from Src.Media.companions import ENCODINGS, MOST_BYTES

MOST_PARTS = 200_000  # elements and attributes: a long history of darktable has some 10,000
MOST_DEPTH = 100
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XML = "http://www.w3.org/XML/1998/namespace"
_WRAPPERS = ("adobe:ns:meta/", "adobe:ns:meta")
_START = re.compile(rb"<[^\s/>]+")
_ATTRIBUTE = re.compile(rb"""\s+[^\s/>=]+\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_END = re.compile(rb"\s*(/?)>")
_DECLARED = re.compile(r"""\s*<\?xml\s[^>]*?encoding\s*=\s*["']([^"']*)["']""")
# XML 1.0, production 2: what no document can hold, not even as a reference.
_NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class NotXmp(Exception):
    """A file is no XMP that we read, or cannot hold what is to be written. The message is one line: why."""


class Name(NamedTuple):
    """A name with its namespace, whatever prefix stands for that."""

    space: str
    local: str


_NO_NAME = Name("", "")
BLOCK, LI = Name(RDF, "Description"), Name(RDF, "li")
ABOUT, LANGUAGE = Name(RDF, "about"), Name(XML, "lang")
CONTAINERS = (Name(RDF, "Bag"), Name(RDF, "Seq"), Name(RDF, "Alt"))


@dataclass(slots=True, eq=False)
class Attribute:
    name: Name
    text: str
    start: int  # with the space before it
    end: int  # behind its quotation mark


@dataclass(slots=True, eq=False)
class Element:
    qname: str
    parent: Element | None
    start: int
    inner_start: int
    is_empty: bool  # written as <name/>
    name: Name = _NO_NAME
    inner_end: int = 0
    end: int = 0
    text: str = ""  # its own, without that of its children
    attributes: list[Attribute] = field(default_factory=list)  # without declarations of namespaces
    children: list[Element] = field(default_factory=list)
    declared: dict[str, str] | None = None  # prefix: namespace

    def space_of(self, prefix: str) -> str | None:
        """What a prefix stands for here."""
        if prefix == "xml":
            return XML
        element: Element | None = self
        while element is not None:
            if element.declared is not None and prefix in element.declared:
                return element.declared[prefix]
            element = element.parent
        return "" if not prefix else None

    def prefix_of(self, space: str) -> str | None:
        """A prefix that stands for a namespace here, other than the empty one, which attributes cannot use."""
        element: Element | None = self
        while element is not None:
            for prefix, known in (element.declared or {}).items():
                if known == space and prefix and self.space_of(prefix) == space:
                    return prefix
            element = element.parent
        return None


Property = Attribute | Element


class Document(NamedTuple):
    """A file, as UTF-8 in `body`; positions count its bytes."""

    body: bytes
    mark: bytes  # the byte order mark before it
    codec: str  # how it is written
    tail: str  # NULs behind it
    rdf: Element

    @property
    def descriptions(self) -> list[Element]:
        return [one for one in self.rdf.children if one.name == BLOCK]

    def properties(self) -> Iterator[Property]:
        """Those at the top, in the order of the file."""
        for description in self.descriptions:
            yield from (one for one in description.attributes if one.name.space not in (RDF, XML))
            yield from description.children

    def encoded(self, body: bytes) -> bytes:
        """Another body, as a file like this one."""
        return self.mark + (body.decode("utf-8") + self.tail).encode(self.codec)


def parse(content: bytes) -> Document:
    """Reads an XMP file. Raises NotXmp."""
    if len(content) > MOST_BYTES:
        raise NotXmp(f"it has more than {MOST_BYTES // 2**20} MB")
    mark, codec = _encoding_of(content)
    try:
        text = content[len(mark) :].decode(codec)
    except UnicodeDecodeError as error:
        raise NotXmp(f"it is no text in {codec.upper()}") from error
    declared = _DECLARED.match(text[:300])
    if declared is not None and not codec.startswith(re.sub(r"-?[lb]e$", "", declared[1].lower())):
        raise NotXmp(f"it states the encoding {declared[1][:20]!r}, and is read as {codec.upper()}")
    stripped = text.rstrip("\0")
    body = stripped.encode("utf-8")
    return Document(body, mark, codec, text[len(stripped) :], _rdf_of(_Parsing(body).root()))


def struct_fields(element: Property | None) -> dict[Name, Property]:
    """The fields of a structure, in each form that RDF has for one."""
    if not isinstance(element, Element):
        return {}
    holders = [element]
    if len(element.children) == 1 and element.children[0].name == BLOCK:
        holders = [element, element.children[0]]
    found: dict[Name, Property] = {}
    for holder in holders:
        parts: list[Property] = [*holder.attributes, *(one for one in holder.children if one.name != BLOCK)]
        for one in parts:
            if one.name.space not in (RDF, XML):
                found.setdefault(one.name, one)
    return found


def items(element: Property | None) -> list[Element]:
    """The items of a list that is a property's value."""
    for container in element.children if isinstance(element, Element) else ():
        if container.name in CONTAINERS:
            return [one for one in container.children if one.name == LI]
    return []


def simple_text(one: Property) -> str | None:
    """The text of a simple value; None where it is a structure, a list, or has qualifiers."""
    if isinstance(one, Attribute):
        return one.text
    if one.children or any(attribute.name.space != XML for attribute in one.attributes):
        return None
    return one.text


def canonical(one: Property) -> object:
    """What a property says, however it is laid out: to compare what must stay the same."""
    if isinstance(one, Attribute):
        return one.name, one.text
    attributes = sorted((attribute.name, attribute.text) for attribute in one.attributes)
    text = "" if one.children else one.text
    return one.name, tuple(attributes), text, tuple(canonical(child) for child in one.children)


def check_text(text: str) -> str:
    """The text itself, which XML can hold. Raises NotXmp."""
    odd = _NO_CHARACTER.search(text)
    if odd is not None:
        raise NotXmp(f"XML cannot hold the character U+{ord(odd[0]):04X} of {text[:40]!r}")
    return text


def sayable(text: str) -> str:
    """The text without what XML cannot hold: blanks of old printers (U+000B) become blanks, the rest goes."""
    return _NO_CHARACTER.sub(lambda odd: " " if odd[0].isspace() else "", text)


def escaped(text: str) -> bytes:
    """Text between tags. A carriage return would come back as a line feed."""
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#xD;")):
        text = text.replace(sign, entity)
    return text.encode("utf-8")


def quoted(text: str, mark: str = '"') -> bytes:
    """Text as the value of an attribute, in these quotation marks."""
    inner = escaped(text).decode("utf-8").replace(mark, "&quot;" if mark == '"' else "&apos;")
    for sign, entity in (("\n", "&#xA;"), ("\t", "&#x9;")):
        inner = inner.replace(sign, entity)
    return f"{mark}{inner}{mark}".encode()


class Edit(NamedTuple):
    """Bytes in the place of others."""

    start: int
    end: int
    bytes: bytes = b""


def applied(body: bytes, edits: Iterable[Edit]) -> bytes:
    """The body with edits that do not overlap."""
    pieces, place = [], 0
    for edit in sorted(edits, key=lambda edit: edit[:2]):
        pieces += [body[place : edit.start], edit.bytes]
        place = edit.end
    return b"".join([*pieces, body[place:]])


def without(body: bytes, one: Property) -> Edit:
    """Takes a property out, with the space before it."""
    start = one.start
    if isinstance(one, Element):
        start = len(body[:start].rstrip(b" \t\r\n"))
    return Edit(start, one.end)


def _encoding_of(content: bytes) -> tuple[bytes, str]:
    if content.startswith(codecs.BOM_UTF8):
        return codecs.BOM_UTF8, "utf-8"
    for mark, codec in ENCODINGS:
        if content.startswith(mark):
            if not codec[-1].isdigit():  # it begins with "<", without a mark
                return b"", codec
            is_little = mark in (codecs.BOM_UTF32_LE, codecs.BOM_UTF16_LE)
            return mark, f"{codec}-{'le' if is_little else 'be'}"
    return b"", "utf-8"


def _rdf_of(root: Element) -> Element:
    found = [root] if root.name == Name(RDF, "RDF") else []
    if root.name.space in _WRAPPERS:
        found = [one for one in root.children if one.name == Name(RDF, "RDF")]
    if len(found) != 1:
        raise NotXmp("it is no XMP: there is not one rdf:RDF in it")
    return found[0]


class _Parsing:
    """One document, read once."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._root: Element | None = None
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._parts = 0
        self._parser = expat.ParserCreate("utf-8")
        self._parser.ordered_attributes = True
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text

    def root(self) -> Element:
        try:
            self._parser.Parse(self._body, True)
        except expat.ExpatError as error:
            raise NotXmp(f"it is not well-formed XML: {error}") from error
        if self._root is None:  # Expat does not end well without one
            raise NotXmp("it is empty")
        return self._root

    def _refuse_doctype(self, *_: object) -> None:
        raise NotXmp("it has a DTD, which no XMP needs")

    def _start(self, qname: str, given: list[str]) -> None:
        self._parts += 1 + len(given) // 2
        if self._parts > MOST_PARTS:
            raise NotXmp(f"it has more than {MOST_PARTS:,} parts")
        if len(self._open) >= MOST_DEPTH:
            raise NotXmp(f"it is more than {MOST_DEPTH} elements deep")
        start: int = self._parser.CurrentByteIndex
        place = _matched(_START, self._body, start).end()
        spans = []
        for _ in range(0, len(given), 2):
            match = _matched(_ATTRIBUTE, self._body, place)
            spans.append(match.span())
            place = match.end()
        end = _matched(_END, self._body, place)
        parent = self._open[-1] if self._open else None
        element = Element(qname, parent, start, end.end(), bool(end[1]))
        plain: list[tuple[str, str, tuple[int, int]]] = []
        for name, value, span in zip(given[::2], given[1::2], spans, strict=True):
            if name == "xmlns" or name.startswith("xmlns:"):
                element.declared = element.declared or {}
                element.declared[name.partition(":")[2]] = value
            else:
                plain.append((name, value, span))
        element.name = _named(element, qname, is_attribute=False)
        element.attributes = [
            Attribute(_named(element, name, is_attribute=True), value, *s) for name, value, s in plain
        ]
        if parent is None:
            self._root = element
        else:
            parent.children.append(element)
        self._open.append(element)
        self._texts.append([])

    def _text(self, text: str) -> None:
        self._texts[-1].append(text)

    def _end(self, _qname: str) -> None:
        element = self._open.pop()
        element.text = "".join(self._texts.pop())
        if element.is_empty:
            element.inner_end = element.end = element.inner_start
        else:
            element.inner_end = self._parser.CurrentByteIndex
            element.end = self._body.index(b">", element.inner_end) + 1


def _matched(pattern: re.Pattern[bytes], body: bytes, place: int) -> re.Match[bytes]:
    match = pattern.match(body, place)
    if match is None:  # Expat has read it, so this is never so
        raise NotXmp(f"a tag of odd form at byte {place}")
    return match


def _named(element: Element, qname: str, *, is_attribute: bool) -> Name:
    prefix, colon, local = qname.rpartition(":")
    if is_attribute and not colon:
        return Name("", local)
    space = element.space_of(prefix)
    if space is None:
        raise NotXmp(f"nothing says what the prefix {prefix[:40]!r} stands for")
    return Name(space, local)
