"""The pages and their addresses: what somebody looks at is in the address, so it survives a reload, Back and a login.

Each page is a module of `views/` with a function `show`. What a page shows is in the part of the address behind `?`;
the widgets of a page put themselves there (`bind="query-params"`, their key is the name), the rest goes through here.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import streamlit as st
from streamlit.navigation.page import Page

PAGES = {
    "overview": ("Overview", ":material/speed:"),
    "gallery": ("Gallery", ":material/gallery_thumbnail:"),
    "map": ("Map", ":material/map:"),
    "albums": ("Albums", ":material/photo_album:"),
    "activity": ("Activity", ":material/history:"),
    "operations": ("Operations", ":material/pending_actions:"),
    "trash": ("Trash", ":material/delete:"),
    "problems": ("Problems", ":material/error_outline:"),
    "services": ("Services", ":material/dns:"),
    "phone": ("Phone", ":material/smartphone:"),
    "logins": ("Logins", ":material/key:"),
}


def page(name: str) -> Page:
    """A page, by the name of its module, which is its address too."""
    title, icon = PAGES[name]
    is_first = name == "overview"
    return st.Page(_view(name).show, title=title, icon=icon, url_path=None if is_first else name, default=is_first)


def import_all() -> None:
    """Imports all pages: what is imported already, no viewer waits for."""
    for name in PAGES:
        _view(name)


def _view(name: str) -> ModuleType:
    return import_module(f"Src.Dashboard.views.{name}")  # pages lead to one another: no import at the top can


def link(label: str, to: str, *, icon: str | None = None, **asked: str) -> None:
    """A link to a page, and to what of it is asked for. The label is Markdown of our own."""
    st.page_link(page(to), label=label, icon=icon, query_params=asked or None)


def asked(name: str) -> str | None:
    """What the address asks for under a name. It comes from outside: a person may have typed it."""
    return st.query_params.get(name) or None


def ask(name: str, value: str | None) -> None:
    """Puts something into the address, or takes it out; Back returns to what was there before."""
    if value is None:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != value:
        st.query_params[name] = value
