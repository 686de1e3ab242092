"""Who is confined need not be anybody the machine knows: in the Docker stack the user is a number."""

from __future__ import annotations

import os

import pytest

from Src.Shared import confinement

NOBODY_KNOWN = 54_321


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_a_user_without_a_name_and_a_home() -> None:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.environ.pop("HOME", None)  # readers get no environment
            os.setresuid(NOBODY_KNOWN, NOBODY_KNOWN, NOBODY_KNOWN)
            code = 0 if confinement._programs() else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
