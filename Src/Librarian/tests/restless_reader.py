"""A reader that is at rest after a moment without work: `python -m` this instead of `reader`."""

from __future__ import annotations

from Src.Librarian.read import reader

if __name__ == "__main__":
    reader.REST_AFTER = 0.5  # type: ignore[attr-defined]
    reader.main()
