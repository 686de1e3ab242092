"""Another program looks at the originals (`docs/BESIDE.md`): by a read-only bind mount, as a user of FACTORY_GROUP."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from Stack.tests.real_factory import LIMIT, SAMPLES, Factory

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts, and runs as other users")

NOBODY, GROUP = 65534, 54321
# What such a program does: it walks, it reads. And what it must not be able to do.
_LOOK = """
mount --bind "$1" "$2" && mount -o remount,bind,ro "$2" && cd "$2" &&
exec setpriv --reuid 65534 --regid 54321 --clear-groups sh -c '
    find . -type f -not -name ".*" -exec sha256sum {} + &&
    find . -name ".*" -not -name . | sed "s/^/hidden /" &&
    one=$(find . -type f -not -name ".*" | head -n 1) &&
    for act in "touch new.xmp" "rm -f $one" "truncate -s +1 $one" "mv $one $one.old"; do
        $act 2>&1 && echo "done: $act"
    done; true'
"""


def looked(factory: Factory, folder: Path) -> list[str]:
    """The lines that the other program finds."""
    folder.mkdir(exist_ok=True)
    command = ["unshare", "--mount", "sh", "-c", _LOOK, "sh", str(factory.originals), str(folder)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()


def test_it_reads_every_original_and_changes_none(factory: Factory, tmp_path: Path) -> None:
    factory.environment["FACTORY_GROUP"] = str(GROUP)
    factory.inbox.mkdir(parents=True)
    photos = [SAMPLES / "Canon_40D.jpg", SAMPLES / "DSCN0010.jpg"]
    for photo in photos:
        shutil.copy(photo, factory.inbox)
        (factory.inbox / photo.name).chmod(0o644)
    assert factory.run("ingest").code == 0
    lines = looked(factory, tmp_path / "seen")
    sums = sorted(line.partition("  ")[0] for line in lines if "  ./" in line)
    assert sums == sorted(hashlib.sha256(photo.read_bytes()).hexdigest() for photo in photos)
    assert [line for line in lines if line.startswith("hidden ")] == ["hidden ./.photo-factory-vault"]
    assert not [line for line in lines if line.startswith("done: ")]
    refused = [line for line in lines if line.endswith(("Read-only file system", "Permission denied"))]
    assert len(refused) == 4, lines
