"""From drop to committed row, of files that come one by one."""

from __future__ import annotations

import random
import time
from contextlib import closing
from statistics import median, quantiles

import psycopg2

from benchmarks.bench import Bench, librarian
from benchmarks.case import Amount, Case, Goal, Measured
from Stack.tests.real_factory import Factory

_STABILITY = 1.0
_PAUSES = (0.05, 0.25)  # seconds: so that no drop keeps step with the librarian
_LIMIT = 60.0  # seconds
_WAYS = ("copied", "renamed")


def latency(bench: Bench, amount: Amount) -> Measured:
    """Seconds until another connection sees the row; a look every 5 ms."""
    photos = bench.photos(2 * amount.files, amount.size)
    chance = random.Random(1)
    dropped: dict[str, float] = {}
    taken: dict[str, list[float]] = {way: [] for way in _WAYS}
    way_of = {photo.name: _WAYS[number % 2] for number, photo in enumerate(photos)}
    with bench.factory({"STABILITY_DELAY": str(_STABILITY), "MIN_FILE_AGE": "0.5"}) as factory:
        beside = factory.data / "beside"  # a folder on the inbox's filesystem
        beside.mkdir()

        def up() -> bool:
            return bool(factory.asked("SELECT 1 FROM system_status WHERE service_name = 'librarian'"))

        with librarian(factory, up), closing(connect(factory)) as connection, connection.cursor() as cursor:
            left = iter(photos)
            following, next_drop = next(left, None), time.perf_counter()
            while following or dropped:
                if following and time.perf_counter() >= next_drop:
                    content = following.read_bytes()
                    target = factory.inbox / following.name
                    if way_of[following.name] == "copied":
                        target.write_bytes(content)
                    else:
                        (beside / following.name).write_bytes(content)
                        (beside / following.name).rename(target)
                    dropped[following.name] = time.perf_counter()
                    next_drop = time.perf_counter() + chance.uniform(*_PAUSES)
                    following = next(left, None)
                cursor.execute("SELECT original_name FROM media_assets WHERE original_name = ANY(%s)", (list(dropped),))
                now = time.perf_counter()
                for (name,) in cursor.fetchall():
                    taken[way_of[name]].append(now - dropped.pop(name))
                assert all(now - at < _LIMIT for at in dropped.values()), f"not filed within {_LIMIT:g} s: {dropped}"
                time.sleep(0.005)
    beyond = [seconds - _STABILITY for seconds in taken["copied"]]
    return Measured(
        [[p95(beyond)], [p95(taken["renamed"])]],
        {"copied in, median s": median(beyond), "renamed in, median s": median(taken["renamed"])},
    )


def connect(factory: Factory) -> psycopg2.extensions.connection:
    """To the embedded server, which runs."""
    socket = (factory.cluster / "postmaster.pid").read_text().splitlines()[4]
    connection = psycopg2.connect(host=socket, user="photo_factory", dbname="photo_factory")
    connection.autocommit = True
    return connection


def p95(values: list[float]) -> float:
    return quantiles(values, n=20)[-1]


LATENCY = Case(
    "latency",
    "{files} files copied in and {files} renamed in, one by one",
    (
        Goal("copied in, p95 beyond the stability delay", 1.0, "s"),
        Goal("renamed in, p95", 1.0, "s"),
    ),
    Amount(files=200, size=200_000, rounds=1),
    Amount(files=10, size=50_000, rounds=1),
    latency,
)
