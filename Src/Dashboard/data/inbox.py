"""The inbox: what waits, what stays and why."""

from __future__ import annotations

import fnmatch
import time
from dataclasses import dataclass

import streamlit as st
from sqlalchemy import text

from Src.Dashboard import words
from Src.Dashboard.resources import ledger, settings
from Src.Library.inbox import walk_files
from Src.Library.leaving import Leaving, leaving_now

MOST_FILES, MOST_SECONDS = 20_000, 0.2  # that are looked at in one walk


@dataclass(frozen=True, slots=True)
class Held:
    failing: int
    dead_letters: int
    not_media: int


@dataclass(frozen=True, slots=True)
class Found:
    files: int
    complete: bool  # all were counted


@st.cache_data(ttl=3, show_spinner=False)
def held() -> Held:
    with ledger().session() as session:
        rows = session.execute(text("SELECT state, count(*) FROM inbox_files GROUP BY state")).all()
    counts: dict[str, int] = dict(rows)
    not_media = sum(counts.get(state, 0) for state in ("not_media", "companion", "sidecar"))
    return Held(counts.get("failing", 0), counts.get("dead_letter", 0), not_media)


@st.cache_data(ttl=3, show_spinner=False)
def found() -> Found | None:
    """Files in the inbox now, as far as a short look shows; None: there is no inbox."""
    inbox = settings().inbox
    if not inbox.is_dir():
        return None
    files, end = 0, time.monotonic() + MOST_SECONDS
    for _ in walk_files(str(inbox)):
        files += 1
        if files >= MOST_FILES or time.monotonic() > end:
            return Found(files, complete=False)
    return Found(files, complete=True)


@st.cache_data(ttl=3, show_spinner=False)
def leaving() -> Leaving:
    """Files that are filed, and kept aside for a while before they go for good."""
    return leaving_now(settings().state, settings().inbox)


def waiting(files: Found, known: Held | None) -> str:
    """How many wait to be filed, as text: those that are there and not known to stay."""
    if known is not None:
        files = Found(max(0, files.files - known.failing - known.dead_letters - known.not_media), files.complete)
    shown = words.number(files.files)
    return shown if files.complete else f"{shown}+"


def named(name: str, most: int = 20) -> list[str]:
    """Files in the inbox now whose name holds the text, as far as a short look shows; paths below the inbox."""
    inbox, end = str(settings().inbox), time.monotonic() + MOST_SECONDS
    text = name.casefold()
    pattern = text if "*" in text or "?" in text else f"*{text}*"
    pattern = pattern.replace("[", "[[]")
    paths: list[str] = []
    for path, _ in walk_files(inbox) if settings().inbox.is_dir() else ():
        if fnmatch.fnmatchcase(path.rpartition("/")[2].casefold(), pattern):
            paths.append(path[len(inbox) + 1 :])
        if len(paths) >= most or time.monotonic() > end:
            break
    return paths
