from __future__ import annotations

from Src.Factory.declaration import JSON, Argument, Command, Group, HostPath, InContainer, Option

CERTIFICATE = Command(
    name="certificate",
    group=Group.LOOK_AFTER,
    help="What proves that an original is what came in, and what became of it. Exit code 1: something is not proven.",
    here="Src.Factory.certificate:run_certificate",
    stack=InContainer("librarian"),
    takes=(
        Argument("name", "NAME", "A name, or any selection of one original (docs/SELECTION.md), or its SHA-256."),
        Option("--page", "FILE", "Write it as a page (HTML) that prints well.", "page", HostPath(written=True)),
        JSON,
    ),
)
