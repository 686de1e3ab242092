"""`python -m Src.Dashboard`: serves the dashboard until it is told to stop."""

from __future__ import annotations

from Src.Dashboard.server import main

if __name__ == "__main__":
    raise SystemExit(main())
