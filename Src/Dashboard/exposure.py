"""Who may reach the dashboard: beyond this machine only those who must log in."""

from __future__ import annotations

import ipaddress
import tomllib

from Src.Shared.settings import PROJECT_ROOT, Settings

SECRETS = PROJECT_ROOT / ".streamlit" / "secrets.toml"  # where Streamlit's OIDC is configured, in its table [auth]


def refusal(settings: Settings) -> str | None:
    """Why the dashboard must not be served as the settings say, in one line; None if it may."""
    if settings.dashboard_password or has_oidc() or is_loopback(settings.dashboard_address):
        return None
    return (
        f"DASHBOARD_ADDRESS={settings.dashboard_address}: others could see all photos; "
        "set DASHBOARD_PASSWORD, or leave the address at 127.0.0.1"
    )


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
