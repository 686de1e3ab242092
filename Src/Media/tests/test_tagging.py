"""What ExifTool writes into copies, and what the process that does it may."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from Src.Media import tagging
from Src.Media.capture_date import Stamp
from Src.Media.copy_tags import Known, exiftool_tags
from Src.Media.places import Place
from Src.Media.tagging import Tagger
from Src.Shared.confinement import parts_here
from Src.Shared.settings import PROJECT_ROOT

SAMPLE = PROJECT_ROOT / "Src" / "Librarian" / "tests" / "samples" / "Canon_40D.jpg"


@pytest.mark.parametrize(
    ("stamp", "exif"),
    [
        (Stamp(datetime(2019, 5, 4), None, "day"), None),
        (Stamp(datetime(2019, 1, 1), None, "year"), None),
        (Stamp(datetime(2019, 5, 4, 12, 0, 1), None), "2019:05:04 12:00:01"),
        (Stamp(datetime(1890, 5, 4, 12, 0, 1), None), "1890:05:04 12:00:01"),
    ],
)
def test_exif_gets_only_a_date_with_its_time(stamp: Stamp, exif: str | None) -> None:
    tags = exiftool_tags(Known(taken=stamp), "JPEG")
    assert tags.get("EXIF:DateTimeOriginal") == exif
    assert tags["XMP-photoshop:DateCreated"].startswith("2019" if stamp.when.year == 2019 else "1890")


@pytest.mark.parametrize(("rating", "percent"), [(-1, None), (0, 0), (1, 1), (2, 25), (3, 50), (4, 75), (5, 99)])
def test_stars_are_written_as_percent_too(rating: int, percent: int | None) -> None:
    tags = exiftool_tags(Known(rating=rating), "JPEG")
    assert (tags["XMP-xmp:Rating"], tags.get("IFD0:RatingPercent")) == (rating, percent)


def test_what_is_not_known_is_not_written() -> None:
    assert exiftool_tags(Known(), "JPEG") == {}
    assert exiftool_tags(Known(place=Place(None, None)), "MP4") == {}


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")
def test_what_failed_is_never_the_copy_before_it(tmp_path: Path) -> None:
    (tmp_path / "copy.jpeg").write_bytes(SAMPLE.read_bytes())
    with Tagger(tmp_path) as tagger:
        assert tagger.tag("copy.jpeg", "tagged.jpeg", Known(rating=3), "JPEG") is None
        assert (tmp_path / "tagged.jpeg").stat().st_size > SAMPLE.stat().st_size
        (tmp_path / "copy.jpeg").write_bytes(b"no photo")
        assert tagger.tag("copy.jpeg", "tagged.jpeg", Known(rating=3), "JPEG") is not None
    assert not (tmp_path / "tagged.jpeg").exists()


def test_where_no_exiftool_may_be_used_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "copy.jpeg").write_bytes(SAMPLE.read_bytes())
    with Tagger(tmp_path, is_used=False) as tagger:
        reason = tagger.tag("copy.jpeg", "tagged.jpeg", Known(rating=3), "JPEG")
    assert reason == "there is no ExifTool that may be used"


def test_the_process_reads_and_writes_in_its_folder_alone(tmp_path: Path) -> None:
    """Whatever a hostile file makes of ExifTool."""
    perl = shutil.which("perl")
    if perl is None or not parts_here().files:
        pytest.skip("needs Perl, and Landlock in the kernel")
    scratch, secret, target = tmp_path / "scratch", tmp_path / "secret", tmp_path / "target"
    scratch.mkdir()
    secret.write_text("secret")
    tries = "; ".join(
        f'print -e "" || open(my $f{number}, "{mode}", "{path}") ? 1 : 0'
        for number, (mode, path) in enumerate([(">", scratch / "made"), ("<", secret), (">", target)])
    )
    command = [sys.executable, "-m", tagging.MODULE, str(scratch), perl, "-e", tries]
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=dict(os.environ), capture_output=True, check=True)
    assert done.stdout == b"100"
    assert not target.exists()
