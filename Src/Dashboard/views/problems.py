"""Problems."""

from __future__ import annotations

import streamlit as st


def show() -> None:
    """The page."""
    st.title("Problems")
