"""Problems that are the commands' own."""

from __future__ import annotations

from Src.Shared.errors import FactoryError


class Problem(FactoryError):
    """Wrong usage or environment. The message is the line."""
