"""Addresses that only those know who were shown a page: where people log in with OpenID Connect, only Streamlit's pages
know who has. They are relative to the pages, and change with each start of this process."""

from __future__ import annotations

import secrets

PLACES = f"places/{secrets.token_urlsafe(16)}.json"  # for the map
GALLERY = f"gallery/{secrets.token_urlsafe(16)}/"  # what the gallery asks for stands behind it
