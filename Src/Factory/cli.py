"""The commands of `./factory`. Each loads what it needs itself, so that the first word comes at once.

Reports go to stdout (one JSON object with `--json`), everything else to stderr. Exit codes: 0 done, 1 some files
failed, 2 wrong usage or environment, 130 interrupted.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from Src.Factory.problems import Problem, one_line
from Src.Shared.settings import PROJECT_ROOT, Settings, load_settings

app = typer.Typer(
    name="factory",
    help="Photo Factory: files photos and videos from the inbox into the vault, and keeps the ledger of them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command()
def up() -> None:
    """Run the factory here, without Docker, until Ctrl-C."""
    from Src.Factory.runner import run_services

    run_services(_settings("up"))


@app.command()
def ingest(json: AsJson = False) -> None:
    """Work once through the inbox, then exit."""
    from Src.Factory.batch import run_ingest

    raise typer.Exit(run_ingest(_settings("ingest"), as_json=json))


@app.command(name="import")
def import_(
    sources: Annotated[list[str], typer.Argument(metavar="SRC...", help="Folders or files.")],
    move: Annotated[bool, typer.Option("--move", help="Remove each source file once it is safe.")] = False,
    json: AsJson = False,
) -> None:
    """Import photos and videos from any folders or files. Copies; the sources are only read."""
    from Src.Factory.batch import run_import

    if not all(sources):  # as of an unset variable; a path of it would be the folder we are in
        raise Problem("import: a source is empty; give a folder or a file")
    paths = [Path(source) for source in sources]
    raise typer.Exit(run_import(_settings("import"), paths, move=move, as_json=json))


@app.command()
def status(json: AsJson = False) -> None:
    """Show services, originals, inbox, database and disks."""
    from Src.Factory.status import show_status

    show_status(_settings("status"), as_json=json)


@app.command()
def find(
    name: Annotated[str, typer.Argument(help="Part of a file's name; * and ? are wildcards.")], json: AsJson = False
) -> None:
    """Tell the fate of a file: everything that happened to files of that name. Exit code 1: nothing known."""
    from Src.Factory.find import show_fates

    raise typer.Exit(show_fates(_settings("find"), name, as_json=json))


@app.command()
def retry(json: AsJson = False) -> None:
    """Try failed files again, dead letters included."""
    from Src.Factory.batch import run_retry

    raise typer.Exit(run_retry(_settings("retry"), as_json=json))


@app.command()
def phone(
    wanted: Annotated[
        str | None, typer.Option("--accept", metavar="NAME", help="Let the device in that is called so (or its ID).")
    ] = None,
    json: AsJson = False,
) -> None:
    """Show how to connect a phone, whose photos then come by themselves, and which devices ask to be let in."""
    from Src.Factory.phone import show_phone

    show_phone(_settings("phone"), wanted=wanted, as_json=json)


@app.command(context_settings=PASS_THROUGH)
def psql(context: typer.Context) -> None:
    """Open psql on the ledger; arguments are psql's own."""
    from Src.Factory.psql import run_psql

    raise typer.Exit(run_psql(_settings("psql"), context.args))


@app.command()
def backup(
    file: Annotated[str, typer.Argument(metavar="FILE", help="- for stdout.")],
    force: Annotated[bool, typer.Option("--force", help="Replace FILE where it exists.")] = False,
    json: AsJson = False,
) -> None:
    """Write a backup of the ledger, and prove it by restoring it into a scratch database. Photos are not in it."""
    from Src.Factory.ledger_server import backup

    raise typer.Exit(backup(_settings("backup"), file, force=force, as_json=json))


@app.command()
def restore(
    file: Annotated[str, typer.Argument(metavar="FILE", help="- for stdin.")],
    force: Annotated[bool, typer.Option("--force", help="Even where the ledger holds originals.")] = False,
    json: AsJson = False,
) -> None:
    """Replace the ledger by a backup: all of it, or nothing where anything fails."""
    from Src.Factory.ledger_server import restore

    raise typer.Exit(restore(_settings("restore"), file, force=force, as_json=json))


@app.command(hidden=True)
def migrate() -> None:
    """Bring the ledger to the schema of this version. Services do that themselves when they start."""
    from Src.Shared.database import Database

    database = Database(_settings("migrate"), service="factory")
    try:
        database.ensure_ready()
    finally:
        database.close()


@app.command()
def password() -> None:
    """Show the passwords of the stack's dashboard and of its Syncthing."""
    raise Problem("password: no stack of this folder runs; passwords are made by it: docker compose up -d")


@app.command(context_settings=PASS_THROUGH)
def test(context: typer.Context) -> None:
    """Run the tests; arguments are pytest's own. With --stack: those of the Docker stack, on a real engine."""
    arguments = [argument for argument in context.args if argument != "--stack"]
    if len(arguments) < len(context.args):
        arguments[:0] = ["-m", "stack"]
    elif not arguments:  # all of them
        arguments = ["-n", "auto", "--dist", "loadgroup"]
    command = [sys.executable, "-m", "pytest", *arguments]
    raise typer.Exit(subprocess.call(command, cwd=PROJECT_ROOT))


def main() -> int:
    """Runs a command; a problem becomes one line and exit code 2."""
    try:
        app(prog_name="factory")
    except Exception as error:
        line = one_line(error)
        if line is None:
            raise
        print(line, file=sys.stderr)
        return 2
    return 0


def _settings(command: str) -> Settings:
    from Src.Shared.logs import configure_logging

    settings = load_settings()
    configure_logging(settings, command)
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"FACTORY_DATA: cannot create {settings.data}: {error.strerror}") from error
    return settings
