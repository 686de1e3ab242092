"""The way to Syncthing: by the settings or, where they hold no API key, as this user's own Syncthing says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from Src.Shared.settings import Settings
from Src.Shared.syncthing.client import TIMEOUT, Syncthing, SyncthingError


def connect(settings: Settings, timeout: float = TIMEOUT) -> Syncthing:
    """The Syncthing of this factory; nothing is asked of it yet.

    Raises SyncthingError where there is no API key to be had.
    """
    if settings.syncthing_api_key is not None:
        return Syncthing(settings.syncthing_url, settings.syncthing_api_key, timeout)
    for path in _configurations():
        found = _gui_of(path)
        if found is not None:
            return Syncthing(*found, timeout)
    raise SyncthingError(
        "SYNCTHING_API_KEY is not set, and this user has no Syncthing; "
        "install it, or copy the key from its GUI (Actions, Settings, API Key) into .env"
    )


def _configurations() -> Iterator[Path]:
    home = Path.home()
    for folder in (
        Path(os.environ.get("XDG_STATE_HOME") or home / ".local" / "state") / "syncthing",
        Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "syncthing",
        home / "Library" / "Application Support" / "Syncthing",
    ):
        yield folder / "config.xml"


def _gui_of(path: Path) -> tuple[str, str] | None:
    """URL and API key from Syncthing's own configuration; None where it has none that can be used."""
    try:
        gui = ElementTree.parse(path).getroot().find("gui")
    except FileNotFoundError:
        return None
    except (OSError, ElementTree.ParseError) as error:
        raise SyncthingError(f"{path} cannot be read ({error}); set SYNCTHING_API_KEY in .env") from error
    if gui is None:
        return None
    address, key = gui.findtext("address", ""), gui.findtext("apikey", "")
    if not key or ":" not in address or address.startswith("/"):
        return None
    host, _, port = address.rpartition(":")
    if host in ("", "0.0.0.0", "[::]"):
        host = "127.0.0.1"
    scheme = "https" if gui.get("tls") == "true" else "http"
    return f"{scheme}://{host}:{port}", key
