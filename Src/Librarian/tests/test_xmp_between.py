"""Between two batches, XMP files are written and looked at; what fails in one of these keeps the other from nothing."""

from __future__ import annotations

from typing import Any

import pytest

from Src.Librarian.xmp_between import XmpBetween
from Src.Library.overlay import changes
from Src.Library.tests.xmp_bench import XmpBench, rewrite
from Src.Library.vault_trouble import VaultTrouble
from Src.Media.xmp_writing import Changes, written
from Src.Shared.database import Database
from Src.Shared.settings import Settings


@pytest.mark.parametrize("trouble", [VaultTrouble("the disk is full"), RuntimeError("a defect")])
def test_a_write_that_fails_keeps_nothing_from_being_taken_over(
    factory_settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    bench = XmpBench(factory_settings, database)
    bench.decide(changes.rate(1))
    bench.write()
    rewrite(bench.xmp(1), written(bench.xmp(1).read_bytes(), Changes(title="theirs")), seconds_ago=10)
    bench.decide(changes.rate(2), "name:IMG_0000*")
    at = 0.0
    between = XmpBetween(bench.files, bench.look, lambda: at, writes=True)
    tries = 0

    def fails(*_: Any) -> Any:
        nonlocal tries
        tries += 1
        raise trouble

    with monkeypatch.context() as patch:
        patch.setattr(bench.files, "write", fails)
        between.step()
        assert (tries, bench.of(1, "title")) == (1, "theirs")
        between.step()
        assert tries == 1, "it is tried again later"
    at = 31.0
    between.step()
    assert bench.said(0).rating == 2
