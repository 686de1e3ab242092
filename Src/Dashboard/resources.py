"""What lives as long as the process, and is the same for all viewers."""

from __future__ import annotations

import streamlit as st

from Src.Dashboard.ledger import Ledger
from Src.Shared.database import Database
from Src.Shared.settings import Settings, load_settings

SERVICE_NAME = "dashboard"
ANSWER_LIMIT = 5.0  # seconds that one question to the ledger may take


@st.cache_resource(show_spinner=False)
def settings() -> Settings:
    return load_settings()


@st.cache_resource(show_spinner=False)
def ledger() -> Ledger:
    return Ledger(Database(settings(), service=SERVICE_NAME, answer_limit=ANSWER_LIMIT))
