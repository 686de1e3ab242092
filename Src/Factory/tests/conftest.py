"""Fixtures of the commands' tests."""

from __future__ import annotations

from Src.Factory.tests.bare_checkout import bare_checkout as bare_checkout
