"""`python -m Src.Dashboard`: serves the dashboard until a signal stops it."""

from __future__ import annotations

from Src.Shared.loading import loaded

if __name__ == "__main__":
    raise SystemExit(loaded("Src.Dashboard.server:main")())
