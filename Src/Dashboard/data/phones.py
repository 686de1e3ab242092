"""Syncthing, as the page Phone shows it."""

from __future__ import annotations

from contextlib import closing

import streamlit as st

from Src.Dashboard.resources import settings
from Src.Shared.syncthing import devices
from Src.Shared.syncthing.connecting import connect
from Src.Shared.syncthing.devices import Accepted
from Src.Shared.syncthing.overview import Overview
from Src.Shared.syncthing.overview import overview as ask


@st.cache_data(ttl=3, show_spinner=False)
def overview() -> Overview:
    """Raises SyncthingError."""
    with closing(connect(settings())) as client:
        return ask(client, settings().inbox)


def accept(device: str) -> Accepted:
    """Lets a device in that asks to connect. Raises SyncthingError."""
    with closing(connect(settings())) as client:
        accepted = devices.accept(client, device, settings().inbox)
    overview.clear()
    return accepted
