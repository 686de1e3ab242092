"""ExifTool's own tables of tags: what it may find where."""

from __future__ import annotations

import subprocess

import pytest

# Each table loads its own module: to load all that there are takes seven times as long, and gives the same.
_TABLES = """
    foreach my $name (@ARGV) {
        my $table = Image::ExifTool::GetTagTable("Image::ExifTool::$name");
        foreach my $id (Image::ExifTool::TagTableKeys($table)) {
            foreach my $tag (Image::ExifTool::GetTagInfoList($table, $id)) {
                print join("\t", $name, $id, $$tag{Name}, $$tag{SubDirectory} ? 1 : 0), "\n" if ref $tag eq "HASH";
            }
        }
    }
"""


def table(*names: str) -> list[tuple[str, str, bool]]:
    """Number or name, ExifTool's name, and whether it leads to more: of each tag of these tables."""
    done = subprocess.run(
        ["perl", "-MImage::ExifTool", "-e", _TABLES, *names], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("ExifTool's modules are not where perl looks for them")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert {line[0] for line in lines} == set(names)
    return [(identifier, name, leads_on == "1") for _, identifier, name, leads_on in lines]
