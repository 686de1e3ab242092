from __future__ import annotations

from Src.Factory.declaration import Command, Group, OnHost

PSQL = Command(
    name="psql",
    group=Group.LOOK_AFTER,
    help="Open psql on the database; arguments are psql's own.",
    here="Src.Factory.psql:run_psql",
    stack=OnHost("Src.Factory.stack.ledger:run_psql"),
    passes_on=True,
)
