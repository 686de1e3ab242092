"""ExifTool asked in batches, against one process a file with the same question."""

from __future__ import annotations

import subprocess
import time
from statistics import median

from benchmarks.bench import Bench
from benchmarks.case import Amount, Case, Goal, Measured
from Src.Media.readers.exiftool_reader import ASKED, OPTIONS, ExifToolReader
from Src.Media.readers.stay_open import CONFIG

_BATCH = 16  # as many as a reader is given at once


def batches(bench: Bench, amount: Amount) -> Measured:
    paths = [str(path) for path in bench.photos(amount.files, amount.size)]
    question = ["exiftool", "-config", CONFIG, *OPTIONS, *(f"-{tag}" for tag in ASKED)]
    batched, single = [], []
    with ExifToolReader() as reader:
        reader.read(paths[:1])  # it is up
        for _ in range(amount.rounds):
            began = time.perf_counter()
            answers = [answer for at in range(0, len(paths), _BATCH) for answer in reader.read(paths[at : at + _BATCH])]
            batched.append((time.perf_counter() - began) / len(paths))
            assert all(answer.tags and not answer.error for answer in answers)
            began = time.perf_counter()
            for path in paths[:_BATCH]:
                subprocess.run([*question, path], capture_output=True, check=True)
            single.append((time.perf_counter() - began) / _BATCH)
    return Measured(
        [[alone / together for alone, together in zip(single, batched, strict=True)]],
        {"in batches, ms a file": 1000 * median(batched), "one process a file, ms": 1000 * median(single)},
    )


EXIFTOOL = Case(
    "exiftool",
    f"ExifTool in batches of {_BATCH} against one process a file",
    (Goal("one process a file / in batches", 10, at_least=True),),
    Amount(files=512, size=100_000, rounds=5),
    Amount(files=32, size=100_000, rounds=1),
    batches,
)
