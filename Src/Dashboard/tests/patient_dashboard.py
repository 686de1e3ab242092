"""`python -m Src.Dashboard` with limits that a machine does not reach which stands still for a while.

With LOGIN_CLOCK=FILE the time by which guessing is slowed down is what that file says, in seconds.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path

logging.getLogger("streamlit.runtime.caching").setLevel(logging.ERROR)  # as `server.py` does, before it imports these

from Src.Dashboard import ledger, login, resources, thumbnails  # noqa: E402
from Src.Dashboard.data import activity, library  # noqa: E402
from Src.Dashboard.server import main  # noqa: E402
from Src.Shared import database, heartbeat_service  # noqa: E402

PATIENCE = 120.0  # seconds


def _be_patient() -> None:
    ledger.FIRST_WAIT = resources.ANSWER_LIMIT = database.CONNECT_LIMIT = PATIENCE
    activity.SEARCH_LIMIT = library.SEARCH_LIMIT = PATIENCE
    heartbeat_service.STOP_LIMIT = PATIENCE
    thumbnails.PictureProcess = partial(thumbnails.PictureProcess, PATIENCE)  # type: ignore[assignment, attr-defined]
    clock = os.environ.get("LOGIN_CLOCK")
    if clock:
        login.Gate = partial(login.Gate, clock=lambda: float(Path(clock).read_text()))  # type: ignore[assignment, misc]


if __name__ == "__main__":
    _be_patient()
    raise SystemExit(main())
