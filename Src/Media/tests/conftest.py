"""Fixtures of Media's tests."""

from __future__ import annotations

from Src.Testing.both_readers import both_readers as both_readers
from Src.Testing.exiftool import limit_only_for as limit_only_for
from Src.Testing.plain_exiftool import plain_exiftool as plain_exiftool
