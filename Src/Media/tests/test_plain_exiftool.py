"""The ExifTool that tests ask in one process: a call that fails is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from Src.Shared.settings import PROJECT_ROOT
from Src.Testing.both_readers import needs_exiftool
from Src.Testing.plain_exiftool import PlainExifTool

SAMPLE = PROJECT_ROOT / "Src" / "Librarian" / "tests" / "samples" / "Canon_40D.jpg"


@needs_exiftool
def test_a_call_that_ends_with_an_error_fails_the_test_and_the_next_one_is_answered(
    plain_exiftool: PlainExifTool, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="File not found"):
        plain_exiftool.run("-Model", tmp_path / "none.jpg")
    assert plain_exiftool.run("-s3", "-Model", SAMPLE) == "Canon EOS 40D\n"
    assert plain_exiftool.run("-s3", "-q", "-Software", SAMPLE).strip() != "Canon EOS 40D"
