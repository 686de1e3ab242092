from __future__ import annotations

from Src.Factory.declaration import JSON, Argument, Command, Flag, Group, HostPath, InContainer, Option

IMPORT = Command(
    name="import",
    group=Group.BRING_IN,
    help="Import photos and videos from any folders, files or zip archives. Copies; the sources are only read.",
    here="Src.Factory.batch:run_import",
    stack=InContainer("librarian"),
    takes=(
        Argument(
            "sources",
            "SRC",
            "Folders, files, or zip archives: of a Google Takeout all parts at once.",
            many=True,
            path=HostPath(written_with="move"),
        ),
        Flag("--move", "Remove each source file once it is safe. Zip archives stay.", "move"),
        Flag("--dry-run", "Only show what would happen, file by file.", "dry_run"),
        Option("--report", "FILE", "Write what became of each file, as CSV.", "report_file", HostPath(written=True)),
        JSON,
    ),
)
