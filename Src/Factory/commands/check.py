from __future__ import annotations

from Src.Factory.declaration import Command, Group

CHECK = Command(
    name="check",
    group=Group.DEVELOP,
    help="Check the code without running it: lint, format, which room imports which, types.",
    here="Src.Factory.development:run_checks",
    stack=None,
    reads_settings=False,
)
