"""How the viewer's country writes numbers and dates, by the locale that the browser names: `de-CH`, `en-US`.

From the Unicode CLDR, as Babel 2.18 has it: by language, and by country where that differs. Babel takes 36 MB; these
are the differences that pages show. Words stay English, and so do names of months: pages are not translated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import streamlit as st

from Src.Shared.words import PLAIN, Style

_GAP = "\u00a0"  # no line ends there
# Decimal comma, and between thousands a dot or a gap; everybody else writes 1,234.5.
_DOTS = (
    "bs", "ca", "da", "de", "el", "es", "eu", "fo", "hr", "id", "is", "it", "lb", "mk", "nl", "pt", "ro", "sl", "sr",
    "tr", "vi",
)  # fmt: skip
_GAPS = (
    "be", "bg", "cs", "et", "fi", "fr", "gl", "hu", "hy", "ka", "kk", "lt", "lv", "nb", "nn", "no", "pl", "pt-PT",
    "ru", "sk", "sq", "sv", "uk", "uz",
)  # fmt: skip
# Of languages in the lists above: what some of their countries write otherwise.
_POINTS = (
    "es-419", "es-CU", "es-DO", "es-GT", "es-HN", "es-MX", "es-NI", "es-PA", "es-PE", "es-PR", "es-SV", "es-US",
)  # fmt: skip
_APOSTROPHES = ("de-CH", "de-LI", "it-CH")
_PERCENT_GAPS = (
    "be", "ca", "cs", "da", "de", "es", "fi", "fr", "gl", "hr", "lb", "lt", "mk", "nb", "nn", "no", "ro", "ru", "sk",
    "sl", "sv",
)  # fmt: skip
_NO_PERCENT_GAPS = [*_POINTS, *_APOSTROPHES]
_MONTH_FIRST = ("en-CA", "en-PH", "en-US")
_TWELVE_HOURS = (
    "am", "ar", "bn", "el", "en-AU", "en-CA", "en-IN", "en-MY", "en-NZ", "en-PH", "en-PK", "en-SG", "en-US", "es-CO",
    "es-DO", "es-MX", "es-US", "fil", "gu", "hi", "kn", "ko", "ml", "mr", "ms", "pa", "ta", "te", "ur",
)  # fmt: skip
_asked: ContextVar[Style | None] = ContextVar("_asked", default=None)  # where Streamlit runs no page
_LOCALE = re.compile(r"([A-Za-z]{2,3})(?:[-_][A-Za-z]{4})?(?:[-_]([A-Za-z]{2}|\d{3}))?(?:[-_].*)?")


def style_of(locale: str | None) -> Style:
    """The style of a locale as browsers name it; the plain one where it is none or not known."""
    parts = _LOCALE.fullmatch(locale or "")
    if parts is None:
        return PLAIN
    language, country = parts[1].lower(), (parts[2] or "").upper()
    names = {language, f"{language}-{country}"}
    point, thousands = ".", ","
    if names.intersection(_APOSTROPHES):
        thousands = "’"
    elif names.intersection(_GAPS):
        point, thousands = ",", _GAP
    elif names.intersection(_DOTS) and not names.intersection(_POINTS):
        point, thousands = ",", "."
    has_gap = names.intersection(_PERCENT_GAPS) and not names.intersection(_NO_PERCENT_GAPS)
    return Style(
        point,
        thousands,
        percent=f"{_GAP}%" if has_gap else "%",
        month_first=bool(names.intersection(_MONTH_FIRST)),
        twelve_hours=bool(names.intersection(_TWELVE_HOURS)),
    )


def viewer() -> Style:
    """The style of the viewer for whom Streamlit runs the page now, or of `written_for`."""
    return _asked.get() or style_of(st.context.locale)


@contextmanager
def written_for(locale: str | None) -> Iterator[None]:
    """Numbers and dates are written for this locale meanwhile: a route has no page of Streamlit."""
    token = _asked.set(style_of(locale))
    try:
        yield
    finally:
        _asked.reset(token)
