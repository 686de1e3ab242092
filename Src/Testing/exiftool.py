"""Patience with ExifTool, for the tests of those who ask it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from Src.Media.readers.stay_open import StayOpen
from Src.Testing.patience import PATIENCE

LimitOnlyFor = Callable[[str], None]


@pytest.fixture
def limit_only_for(monkeypatch: pytest.MonkeyPatch) -> LimitOnlyFor:
    """ExifTool's time limit counts only for requests about files named so: its start, and any other file, may take
    what a busy machine needs."""
    ask = StayOpen.ask

    def only_for(name: str) -> None:
        def patient(self: StayOpen, arguments: Sequence[bytes]) -> bytes:
            limit = self.time_limit
            if not any(name.encode() in argument for argument in arguments):
                self.time_limit = PATIENCE
            try:
                return ask(self, arguments)
            finally:
                self.time_limit = limit

        monkeypatch.setattr(StayOpen, "ask", patient)

    return only_for
