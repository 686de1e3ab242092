"""`python -m Src.Dashboard` with limits that a machine does not reach which stands still for a while.

With LOGIN_CLOCK=FILE the time by which guessing is slowed down is what that file says, in seconds.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from Src.Dashboard.server import SCRIPT, hush_caches_declared_early, main
from Src.Shared.limits import Limits

PATIENCE = 120.0  # seconds


def _be_patient() -> None:
    hush_caches_declared_early()

    from Src.Dashboard import ledger, login
    from Src.Dashboard.data import activity
    from Src.Library import pictures
    from Src.Shared import heartbeat_service

    ledger.FIRST_WAIT = ledger.ANSWER_LIMIT = PATIENCE
    activity.SEARCH_LIMIT = PATIENCE
    heartbeat_service.STOP_LIMIT = PATIENCE
    pictures.PictureProcess = partial(pictures.PictureProcess, PATIENCE)  # type: ignore[assignment, attr-defined]
    clock = os.environ.get("LOGIN_CLOCK")
    if clock:
        login.Gate = partial(login.Gate, clock=lambda: float(Path(clock).read_text()))  # type: ignore[assignment, misc]


if __name__ == "__main__":
    sys.argv[0] = str(SCRIPT)  # beside which Streamlit looks for its colours, and what else people see
    _be_patient()
    raise SystemExit(main(Limits(connect=PATIENCE)))
