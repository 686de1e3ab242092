"""What lives as long as the process, and is the same for all viewers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st
from sqlalchemy.orm import Session

from Src.Accounts.sessions import Sessions
from Src.Dashboard import ledger as ledger_module
from Src.Dashboard.ledger import Ledger, TooSlow
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.services import DASHBOARD
from Src.Shared.settings import Settings, load_settings

# Both are set by `server.py` before anything is served. Without it (`streamlit run`) the pages connect for themselves.
database: Database | None = None
sessions: Sessions | None = None  # of those who log in by password


@st.cache_resource(show_spinner=False)
def settings() -> Settings:
    return load_settings()


@st.cache_resource(show_spinner=False)
def ledger() -> Ledger:
    return Ledger(database or Database(settings(), service=DASHBOARD, answer_limit=ledger_module.ANSWER_LIMIT))


@contextmanager
def connect_to_write() -> Iterator[Session]:
    """A session on the ledger that may write. Raises LedgerUnavailable, also where the ledger is too slow."""
    try:
        with ledger().session(writes=True) as session:
            yield session
    except TooSlow as error:
        raise LedgerUnavailable(str(error)) from error
