"""The picture process on a machine that may be slow: `python -m` this."""

from __future__ import annotations

from Src.Media.pictures import worker

if __name__ == "__main__":
    worker.MOST_SECONDS = 600.0
    worker.main()
