from __future__ import annotations

from Src.Factory.declaration import JSON, Command, Flag, Group, HostPath, InContainer, Option

VERIFY = Command(
    name="verify",
    group=Group.LOOK_AFTER,
    help="Read all originals and compare them with the database. Exit code 1: something is wrong. "
    "Nothing is changed that you do not ask for.",
    here="Src.Factory.verify:run_verify",
    stack=InContainer("librarian"),
    takes=(
        Flag("--quick", "Look at names, sizes, times and modes; read only what these do not speak for.", "quick"),
        Option("--sample", "N", "Read so many originals, taken by chance; it says what that proves.", "sample"),
        Option("--budget", "TIME", "Read for so long, as 90s, 30m or 2h: what was read longest ago first.", "budget"),
        Option(
            "--restore-from",
            "FOLDER|COPY",
            "Put right what is wrong, with good bytes from there, found by their hash. What is bad is kept aside.",
            "restore_from",
            HostPath(or_name=True),
        ),
        Flag(
            "--accept-moves",
            "Move back what was moved by hand in the vault; what got another name in its day's folder keeps that.",
            "accept_moves",
        ),
        Flag("--events", "Compare what became of each file, and each decision, with their seals.", "events"),
        Option("--accept", "WHY", "With --events: sign that you know of what is lost, or came late.", "accept"),
        JSON,
    ),
)
