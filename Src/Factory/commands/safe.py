from __future__ import annotations

from Src.Factory.declaration import JSON_LINES, Argument, Command, Flag, Group, HostPath, InContainer, Option

WITHIN = Option("--within", "DAYS", "How long ago the vault's bytes may have been read back. Usually 90.", "within")
READ = Flag("--read", "Read the vault's bytes back now, where that was not done or is longer ago.", "read")

SAFE = Command(
    name="safe",
    group=Group.LOOK_AFTER,
    help="May this be deleted? Compares each file with the vault, byte for byte. Exit code 1: not all is safe.",
    here="Src.Factory.receipts:run_safe",
    stack=InContainer("librarian"),
    takes=(
        Argument("source", "SRC|LIST", "A folder, a file, a zip archive, or a list of files.", path=HostPath()),
        READ,
        WITHIN,
        Option("--copies", "M", "Copies elsewhere that each file must have, read back as lately. Usually 0.", "copies"),
        Option("--receipt", "FILE", "Write a receipt as text.", "receipt", HostPath(written=True)),
        JSON_LINES,
    ),
)
