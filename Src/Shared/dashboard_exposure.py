"""Who may reach the dashboard: beyond this machine only those who must log in."""

from __future__ import annotations

import ipaddress
import secrets
import tomllib
from pathlib import Path

from Src.Shared.disk.whole_file import write_whole
from Src.Shared.settings import PROJECT_ROOT, Settings

SECRETS = PROJECT_ROOT / ".streamlit" / "secrets.toml"  # where Streamlit's OIDC is configured, in its table [auth]


def refusal(settings: Settings) -> str | None:
    """Why the dashboard must not be served as the settings say, in one line; None if it may."""
    if has_oidc() and not settings.dashboard_users:
        return (
            f"{SECRETS.relative_to(PROJECT_ROOT)}: everybody with an account at that login could see all photos; "
            "set DASHBOARD_USERS to the e-mail addresses of those who may"
        )
    return None


def password_of(settings: Settings) -> str | None:
    """The password of the dashboard; None where there is none, and only this machine may ask.

    Where others may reach it and the settings name no password, one is made and kept in `password_file`.
    Raises OSError where that cannot be written.
    """
    if settings.dashboard_password or has_oidc() or is_loopback(settings.dashboard_address):
        return settings.dashboard_password
    file = password_file(settings)
    try:
        kept = file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        kept = ""
    if not kept:
        kept = secrets.token_urlsafe(12)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, f"{kept}\n".encode(), mode=0o600)
    return kept


def password_file(settings: Settings) -> Path:
    """Where a password is kept that was made because the settings name none."""
    return settings.state / "dashboard_password"


def has_oidc() -> bool:
    """Whether Streamlit's own login (OpenID Connect) is configured."""
    try:
        return "auth" in tomllib.loads(SECRETS.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a file that is not there or not TOML configures nothing
        return False


def is_loopback(address: str) -> bool:
    """Whether only programs on this machine can reach this address."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def url(settings: Settings) -> str:
    """What to type into a browser on this machine."""
    address = settings.dashboard_address
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address, f"[{address}]" if ":" in address else address)
    return f"http://{host}:{settings.dashboard_port}"
