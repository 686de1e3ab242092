"""How the dashboard looks, beyond what `.streamlit/config.toml` says."""

from __future__ import annotations

import streamlit as st


def set_up() -> None:
    """Once per run, before anything is shown."""
    st.set_page_config(page_title="Photo Factory", page_icon=":material/photo_camera:", layout="wide")
