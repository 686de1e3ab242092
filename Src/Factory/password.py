"""`./factory password` without Docker: which password the dashboard asks for."""

from __future__ import annotations

from Src.Factory import report
from Src.Factory.problems import Problem
from Src.Shared.dashboard_exposure import password_file, url
from Src.Shared.settings import Settings


def run_password(settings: Settings, *, log_out_all: bool, as_json: bool) -> None:
    """Shows the password, or logs every device out of the dashboard. Raises Problem."""
    if log_out_all:
        from Src.Accounts.__main__ import log_everybody_out  # the ledger is needed only here

        log_everybody_out(settings, as_json=as_json)
    else:
        show_password(settings, as_json=as_json)


def show_password(settings: Settings, *, as_json: bool) -> None:
    """Shows the password of the dashboard that runs here without Docker. Raises Problem where there is none."""
    password, file = settings.dashboard_password, password_file(settings)
    if password is None:
        try:
            password = file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            raise Problem(
                "password: none is set or made. In Docker, `docker compose up -d` makes one; without Docker, only this "
                "machine can reach the dashboard unless DASHBOARD_ADDRESS says otherwise, and then one is made"
            ) from None
        except OSError as error:
            raise Problem(f"password: {file}: cannot be read: {error.strerror}") from error
    if as_json:
        report.print_json({"dashboard": {"address": f"{url(settings)}/", "user": None, "password": password}})
    else:
        report.line("dashboard", f"{url(settings)}/, password {password}")
