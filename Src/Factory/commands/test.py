from __future__ import annotations

from Src.Factory.declaration import Command, Group

TEST = Command(
    name="test",
    group=Group.DEVELOP,
    help="Run the tests; arguments are pytest's. --quick: those without database and browser; --stack: the stack's; "
    "--cov: with each room's coverage.",
    here="Src.Factory.development:run_tests",
    stack=None,
    passes_on=True,
    reads_settings=False,
)
