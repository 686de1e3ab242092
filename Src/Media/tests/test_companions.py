"""Which file belongs to which."""

from pathlib import Path

from Src.Media.companions import find_sidecar


def test_the_sidecar_of_this_very_file_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    assert find_sidecar(str(path)) is None
    (tmp_path / "x.xmp").touch()
    assert find_sidecar(str(path)) == str(tmp_path / "x.xmp")
    (tmp_path / "x.jpg.XMP").touch()
    assert find_sidecar(str(path)) == str(tmp_path / "x.jpg.XMP")
