"""One row a kind, and pages that name them all."""

from __future__ import annotations

import pickle
import re

import pytest

from Src.Media.kinds import KINDS
from Src.Shared.settings import PROJECT_ROOT


@pytest.mark.parametrize("page", ["README.md", "docs/MEDIA.md"])
def test_the_pages_name_every_kind(page: str) -> None:
    path = PROJECT_ROOT / page
    if not path.exists():
        pytest.skip("not part of an image")
    words = set(re.findall(r"[A-Z0-9]{2,}", path.read_text().upper()))
    assert {name for name in KINDS if name not in words} <= {"JXL"}  # which is called JPEG XL there


def test_a_kind_travels_by_its_name() -> None:
    for kind in KINDS.values():
        assert pickle.loads(pickle.dumps(kind)) is kind


def test_a_kind_has_one_way_to_be_shown() -> None:
    for kind in KINDS.values():
        assert kind.is_raw + bool(kind.pillow) + (kind.av is not None) <= 1
        assert kind.is_video <= kind.moves
