"""Between two batches the lists of days are written: soon, for a moment, and whatever fails keeps no photo waiting."""

from __future__ import annotations

from typing import cast

import pytest

from Src.Librarian.manifests_between import ManifestsBetween
from Src.Library.custody.manifests.store import BeingWritten
from Src.Library.custody.manifests.writing import Manifests, Written
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import LedgerUnavailable


class Fake:
    """So many days are out of date, and each writing of some takes its time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.behind = 0
        self.fails: Exception | None = None
        self.trouble: str | None = None
        self.takes = 0.4
        self.each: float | None = None  # day

    def are_behind(self) -> bool:
        return self.behind > 0

    def write(self, limit: int) -> Written:
        if self.fails is not None:
            raise self.fails
        done = min(limit, self.behind)
        self.now += self.takes if self.each is None else done * self.each
        self.behind -= done
        return Written(done)

    def try_all_again(self) -> None:
        self.trouble = None

    def take_up(self) -> None:
        pass

    def between(self) -> ManifestsBetween:
        return ManifestsBetween(cast(Manifests, self), lambda: self.now)


def test_what_comes_is_written_within_a_minute() -> None:
    fake = Fake()
    between = fake.between()
    between.step()
    fake.behind = 1
    while fake.behind:
        fake.now += 1
        between.step()
    assert fake.now < 60


def test_many_days_leave_the_inbox_most_of_the_time() -> None:
    fake = Fake()
    fake.behind = 10_000
    between, worked = fake.between(), 0.0
    for _ in range(1000):
        before = fake.now
        between.step()
        assert fake.now - before < 2
        worked += fake.now - before
        fake.now += 1
    assert worked < fake.now / 4
    assert fake.behind == 0


@pytest.mark.parametrize("failure", [VaultTrouble("the disk is full"), RuntimeError("a defect")])
def test_what_fails_is_said_and_tried_again(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    fake = Fake()
    between = fake.between()
    fake.behind, fake.fails = 1, failure
    between.step()
    assert str(failure) in str(between.trouble)
    assert len(caplog.records) == 1
    fake.fails = None
    fake.now += 600
    between.step()
    assert fake.behind == 0
    assert between.trouble is None


def test_that_another_writes_them_is_no_trouble() -> None:
    fake = Fake()
    fake.behind, fake.fails = 1, BeingWritten("another is at it")
    between = fake.between()
    between.step()
    assert between.trouble is None
    fake.fails = None
    fake.now += 30
    between.step()
    assert fake.behind == 0


def test_what_takes_long_is_followed_by_its_pause() -> None:
    fake = Fake()
    between = fake.between()
    fake.behind, fake.takes = 3, 100
    between.step()
    fake.now += 400
    between.step()
    assert fake.behind == 1
    fake.now += 101
    between.step()
    assert fake.behind == 0


def test_as_many_days_at_once_as_a_second_allows() -> None:
    """A day of thousands of files on a slow disk, and then small ones."""
    fake = Fake()
    fake.behind, fake.each = 100, 0.9
    between = fake.between()
    for _ in range(20):
        before = fake.now
        between.step()
        assert fake.now - before < 3
        fake.now += 20
    fake.behind, fake.each = 10_000, 0.001
    before = fake.now
    for _ in range(300):
        between.step()
        fake.now += 5
    assert fake.behind == 0


def test_a_database_that_is_away_is_said_elsewhere() -> None:
    fake = Fake()
    fake.behind, fake.fails = 1, LedgerUnavailable("away")
    between = fake.between()
    between.step()
    assert between.trouble is None


def test_what_a_person_must_move_away_is_looked_at_again() -> None:
    fake = Fake()
    between = fake.between()
    fake.trouble = "move it away"
    between.step()
    assert between.trouble == "move it away"
    fake.now += 700
    between.step()
    assert between.trouble is None
