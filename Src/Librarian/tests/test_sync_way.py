"""Which way a batch becomes durable: the one that costs less here and now."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from Src.Librarian.place.sync_way import SyncWay


class Disk:
    """A clock that a batch moves on by what the disk of that moment takes for it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.by_syncfs = self.by_file = 0.0  # seconds, for a batch and for a file
        self.way = SyncWay(lambda: self.now)
        self.spent = 0.0

    def batch(self, files: int = 100) -> bool:
        """Whether it was synced by `syncfs`."""
        by_syncfs = self.way.is_syncfs(files)
        seconds = self.by_syncfs if by_syncfs else self.by_file * files
        for part in (0.25, 0.75):  # before and after it has names
            with self.way.waits():
                self.now += seconds * part
            self.now += 0.01
        self.way.done(files, by_syncfs=by_syncfs)
        self.spent += seconds
        return by_syncfs


def test_on_a_disk_of_ones_own_it_is_always_syncfs() -> None:
    disk = Disk()
    disk.by_syncfs, disk.by_file = 0.05, 0.001
    assert all(disk.batch() for _ in range(1000))


def test_where_others_write_much_the_batchs_own_files_are_synced() -> None:
    disk = Disk()
    disk.by_syncfs, disk.by_file = 5.0, 0.001
    assert [disk.batch() for _ in range(10)] == [True, *[False] * 9]


def test_where_files_cost_more_than_the_wait_it_stays_at_syncfs() -> None:
    disk = Disk()
    disk.by_syncfs, disk.by_file = 0.5, 0.05
    assert [disk.batch() for _ in range(10)] == [True, False, *[True] * 8]


def test_a_single_file_does_not_wait_for_what_others_write() -> None:
    disk = Disk()
    disk.by_syncfs, disk.by_file = 0.5, 0.05
    disk.batch(), disk.batch()
    assert not disk.batch(files=1) and disk.batch(files=100)


def test_when_the_others_have_ended_it_is_syncfs_again() -> None:
    disk = Disk()
    disk.by_syncfs, disk.by_file = 5.0, 0.001
    disk.batch(), disk.batch()
    disk.by_syncfs = 0.05
    disk.now += 61
    assert all(disk.batch() for _ in range(10))


@given(
    by_syncfs=st.floats(0, 20),
    by_file=st.floats(0, 0.2),
    sizes=st.lists(st.integers(1, 512), min_size=50, max_size=200),
)
def test_it_never_costs_much_more_than_the_better_way(by_syncfs: float, by_file: float, sizes: list[int]) -> None:
    disk = Disk()
    disk.by_syncfs, disk.by_file = by_syncfs, by_file
    for files in sizes:
        disk.batch(files)
    best = sum(min(by_syncfs, by_file * files) for files in sizes)
    tried = 2 + disk.now // 60  # each way once, and again each minute
    assert disk.spent <= best + 0.25 * len(sizes) + tried * max(by_syncfs, by_file * 512)
