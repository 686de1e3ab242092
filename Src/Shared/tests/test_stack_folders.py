"""The folders that Docker mounts: no link is followed, and a folder that is not the right one is noticed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from Src.Shared.stack_folders import FOLDERS, PLATE, FolderRefused, make_folders

ROOT = Path(__file__).parents[3]
ME = (os.geteuid(), os.getegid())
ID = "the-id-of-this-checkout"
KEY, COVER = "Storage/.factory/manifests", "Storage/.factory/manifests/.nothing"
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give folders away")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """FACTORY_DATA as `init` leaves it."""
    data = tmp_path / "data"
    data.mkdir()
    make_folders(data, ME, ID)
    return data


def look(data: Path, *options: str, plate_id: str = ID) -> subprocess.CompletedProcess[str]:
    """The start of a service; the command says that it ran."""
    file = data.parent / "plate_id"
    file.write_text(plate_id)
    places = (f"--data={data}", f"--id={file}")
    return subprocess.run(
        [sys.executable, "-m", "Src.Shared.stack_folders", *places, *options, "--", "echo", "started"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def starts(data: Path, *options: str, plate_id: str = ID) -> bool:
    done = look(data, *options, plate_id=plate_id)
    assert (done.returncode, done.stdout) in ((0, "started\n"), (2, ""))
    return done.returncode == 0


@pytest.mark.parametrize("relative", [*FOLDERS, "Storage/Originals", "Storage/.factory", KEY, COVER])
def test_init_and_services_refuse_a_link(tmp_path: Path, data: Path, relative: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    folder = data / relative
    if folder.exists():
        folder.rename(elsewhere)
    else:
        elsewhere.mkdir()
    folder.symlink_to(elsewhere)
    before = sorted(os.listdir(elsewhere))
    with pytest.raises(FolderRefused, match=f"FACTORY_DATA/{relative} is a link"):
        make_folders(data, ME, "another-id")
    done = look(data, "--no-links")
    assert done.returncode == 2
    assert "is a link" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(os.listdir(elsewhere)) == before


def test_what_covers_the_key_is_there_empty_and_private(data: Path) -> None:
    """The dashboard's container gets it in the place of the folder with the key of the signed lists."""
    (data / KEY / "minisign.key").write_bytes(b"secret")
    make_folders(data, ME, ID)
    assert os.listdir(data / COVER) == []
    assert {(data / one).stat().st_mode & 0o777 for one in (KEY, COVER)} == {0o700}


@AS_ROOT
def test_root_gives_nothing_away_behind_a_link(tmp_path: Path) -> None:
    """As another user would plant it before the first start."""
    victim, data = tmp_path / "victim", tmp_path / "data"
    victim.mkdir()
    data.mkdir()
    os.chown(data, 4321, 4321)
    (data / "Storage").symlink_to(victim)
    with pytest.raises(FolderRefused):
        make_folders(data, (4321, 4321), ID)
    assert victim.stat().st_uid == 0
    assert not list(victim.iterdir())


@AS_ROOT
def test_a_link_in_the_plates_place_leads_nowhere(tmp_path: Path) -> None:
    victim, data = tmp_path / "victim", tmp_path / "data"
    victim.mkdir()
    (data / ".run").mkdir(parents=True)
    (data / ".run" / PLATE).symlink_to(victim)
    with pytest.raises(FolderRefused):
        make_folders(data, (4321, 4321), ID)
    assert victim.stat().st_uid == 0
    assert not list(victim.iterdir())


def test_the_folders_as_they_were_made_are_taken(data: Path) -> None:
    assert starts(data, "--no-links", *(f"--plate={relative}" for relative in FOLDERS))
    make_folders(data, ME, ID)
    assert starts(data, *(f"--plate={relative}" for relative in FOLDERS))


def test_a_part_of_a_folder_is_known_by_its_plate(data: Path, tmp_path: Path) -> None:
    """The monitor has only the plate's own folder, mounted in the folder's place."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    (data / "Storage" / PLATE).rename(mounted / "Storage")
    assert starts(mounted, "--plate=Storage")


def test_another_folder_is_refused(data: Path) -> None:
    """Another one of this factory, one of another checkout, and one without a plate."""
    plate = data / "Photos_Inbox" / PLATE / "nameplate"
    plate.write_text((data / "Storage" / PLATE / "nameplate").read_text())
    assert not starts(data, "--plate=Photos_Inbox")
    assert starts(data, "--plate=Storage")
    assert not starts(data, "--plate=Storage", plate_id="another")
    plate.unlink()
    assert not starts(data, "--plate=Photos_Inbox")
    assert not starts(data, "--plate=Photos_Inbox", "--go-on"), "it is not empty"


@AS_ROOT
def test_a_disk_that_is_not_mounted(data: Path) -> None:
    """Docker makes an empty folder of root's. Syncthing must not receive photos into it; the monitor goes on."""
    mounted = data.parent / "mounted"
    (mounted / ".run").mkdir(parents=True)
    assert not starts(mounted, "--plate=.run")
    done = look(mounted, "--plate=.run", "--go-on")
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert "its disk is not mounted" in done.stderr
    os.chown(mounted / ".run", 4321, 4321)
    assert not starts(mounted, "--plate=.run", "--go-on"), "somebody may write there"


def test_plates_that_were_tidied_away_come_back_where_the_vault_is(data: Path) -> None:
    plate = data / "Photos_Inbox" / PLATE / "nameplate"
    plate.unlink()
    plate.parent.rmdir()
    assert starts(data, "--no-links", "--hang")
    assert not plate.exists(), "without the vault its disk may be missing"
    (data / "Storage" / "Originals").mkdir()
    (data / "Storage" / "Originals" / ".photo-factory-vault").touch()
    assert starts(data, "--no-links", "--hang")
    assert starts(data, "--plate=Photos_Inbox")
