"""Long operations as the ledger has them, and what may be asked of them from here: to end, or to be forgotten.

The dashboard writes no row of an operation; the ledger's function `ask_of_operation` does that for it. To resume one is
to run its command again, on the machine whose folders it reads: that is not done here.
"""

from __future__ import annotations

import uuid

import streamlit as st
from sqlalchemy import text

from Src.Dashboard.ledger import TooSlow
from Src.Dashboard.resources import ledger, settings
from Src.Library.operation import UNDER_WAY, Operation, OperationProblem, short
from Src.Library.operations import Operations

_ASK = text("SELECT ask_of_operation(:id, :status, :runs, :wish)")


@st.cache_data(ttl=1, show_spinner=False)
def listed() -> list[Operation]:
    """Those under way or stopped, and those that ended lately, the newest first. Raises LedgerUnavailable, TooSlow."""
    with ledger().session():  # is it there? what follows would wait for it
        pass
    return Operations(settings(), ledger().database).listed()


def cancel(id_: uuid.UUID) -> bool:
    """Ends it for good; what it has done stays done. True: it runs, and ends within seconds.

    Raises OperationProblem, LedgerUnavailable.
    """
    one = _one(id_)
    if one.is_stopped:
        discard(id_)
        return False
    if one.status not in UNDER_WAY:
        raise OperationProblem(f"operation {short(id_)} has ended meanwhile")
    _ask(one, "cancel")
    return True


def discard(id_: uuid.UUID) -> None:
    """It is not offered again. Raises OperationProblem where it runs, or has ended; LedgerUnavailable."""
    one = _one(id_)
    Operations.check_discard(one)
    _ask(one, "discard")


def _one(id_: uuid.UUID) -> Operation:
    listed.clear()
    try:
        found = next((one for one in listed() if one.id == id_), None)
    except TooSlow as error:
        raise OperationProblem(str(error)) from error
    if found is None:
        raise OperationProblem(f"there is no operation {short(id_)} any more")
    return found


def _ask(one: Operation, wish: str) -> None:
    values = {"id": one.id, "status": one.status, "runs": one.runs, "wish": wish}
    try:
        with ledger().session(writes=True) as session:
            done = session.execute(_ASK, values).scalar_one()
    except TooSlow as error:
        raise OperationProblem(f"{error}; nothing was changed") from error
    finally:
        listed.clear()
    if not done:
        raise OperationProblem(f"operation {short(one.id)} has gone on or ended meanwhile; look again")
