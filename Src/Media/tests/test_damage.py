"""Which of ExifTool's warnings mean a broken file."""

import pytest

from Src.Media.damage import damage_in


@pytest.mark.parametrize(
    ("warning", "damage"),
    [
        ("Truncated 'mdat' data (missing 123 bytes)", True),
        ("Corrupted PNG image", True),
        ("Error reading RIFF file (corrupted?)", True),
        ("Invalid atom size", True),
        ("Bad IFD0 directory", True),
        ("[minor] Possibly corrupt RAF information", False),
        ("Error reading MakerNotes", False),
        ("Invalid CanonAFInfo data", False),
        ("IPTCDigest is not current. XMP may be out of sync", False),
        ("XMP format error (no closing tag for x)", False),
        ("Error reading PreviewImage from file", False),
        ("[minor] Adjusted MakerNotes base by -54", False),
    ],
)
def test_which_warnings_mean_that_a_file_is_damaged(warning: str, damage: bool) -> None:
    assert (damage_in(["[minor] x", warning]) == warning) is damage
