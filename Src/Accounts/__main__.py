"""`python -m Src.Accounts`: logs every device out. `./factory password --log-out-all` runs it beside the dashboard."""

from __future__ import annotations

import json
import sys
from contextlib import closing

from Src.Accounts.sessions import BELIEVED_FOR, end_all
from Src.Shared.database import Database, LedgerTooNew, LedgerUnavailable
from Src.Shared.settings import Settings, SettingsError, load_settings


def log_everybody_out(settings: Settings, *, as_json: bool) -> None:
    """Ends all sessions and says how many there were. Raises LedgerUnavailable and LedgerTooNew."""
    with closing(Database(settings, service="accounts")) as database:
        database.ensure_ready()
        count = end_all(database.session)
    if as_json:
        print(json.dumps({"logged_out": count}))
    else:
        devices = "1 device was" if count == 1 else f"{count} devices were"
        print(
            f"{devices} logged out. A page that is open there asks for the password within {BELIEVED_FOR:.0f} seconds."
        )


def main() -> int:
    """The exit code."""
    try:
        log_everybody_out(load_settings(), as_json="--json" in sys.argv[1:])
    except (SettingsError, LedgerUnavailable, LedgerTooNew) as error:
        print(f"factory: password: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
