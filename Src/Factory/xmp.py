"""`xmp`: XMP files beside originals say what was decided, and what other programs wrote there is taken over, now."""

from __future__ import annotations

from Src.Factory import report
from Src.Factory.acting import acting
from Src.Factory.decide import deciding
from Src.Factory.progress import Step, progress_shown
from Src.Library.vault import Vault
from Src.Library.xmp import rows
from Src.Library.xmp.keeping import xmp_files
from Src.Library.xmp.looking import XmpLook
from Src.Library.xmp.writing import Done
from Src.Shared.errors import ExitCode
from Src.Shared.settings import Settings
from Src.Shared.words import counted


def xmp(settings: Settings, *, as_json: bool, dry_run: bool) -> int:
    """FOUND: a file was left as it is. `dry_run`: only counts what waits. Raises WrongLedger, VaultTrouble."""
    done, still = Done(), 0
    with deciding(settings, dry_run=True) as database:
        with database.session() as session:
            waiting = rows.number_waiting(session)
        if not dry_run:
            vault = Vault(settings.storage)
            files, file_acts = xmp_files(settings, database, vault)
            with progress_shown("XMP files") as show_step:
                for one in XmpLook(vault, file_acts, files).round():
                    done.add(one)
                with file_acts.turn(lambda _: None) as _mine:  # dates that other programs have corrected
                    for act in file_acts.open_acts():
                        for _ in file_acts.steps(act):
                            pass
                while settings.xmp_files and files.are_waiting():
                    batch = files.write()
                    done.add(batch)
                    show_step(Step(done.originals, max(waiting, done.originals)))
                    if not batch.originals and not batch.left:
                        break
            with database.session() as session:
                still = rows.number_waiting(session)
    if as_json:
        left = [{"path": path, "reason": reason} for path, reason in done.left.items()]
        counts = {"written": done.written, "taken_over": done.taken_over, "left": left}
        report.print_json({"dry_run": dry_run, "waiting": waiting, "still_waiting": still, **counts})
    elif dry_run:
        report.say(f"{counted(waiting, 'original')} with decisions that no XMP file says yet.")
    else:
        report.say(f"{counted(done.written, 'XMP file')} written, {done.taken_over:,} of other programs taken over.")
        for path, reason in done.left.items():
            report.line("stays", f"{path}: {reason}", "yellow")
        if still:
            turned_off = "" if settings.xmp_files else ": XMP_FILES=0 turns that off"
            report.say(f"{counted(still, 'original')} with decisions that no XMP file says yet{turned_off}.")
    if not dry_run:
        with acting(settings) as file_acts:  # what was taken over stands beside the vault too
            file_acts.have_begun = True
    return ExitCode.FOUND if done.left or (still and settings.xmp_files) else ExitCode.WELL
