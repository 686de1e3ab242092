"""`python -m Src.Librarian`: files away what comes into the inbox until a signal stops it.

A package's `__main__` is not imported by the readers, so they load nothing of what only the service needs.
"""

from __future__ import annotations

import contextlib

from Src.Shared.loading import loaded

if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        raise SystemExit(loaded("Src.Librarian.service:main")())
