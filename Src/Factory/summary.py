"""What an ingest or an import has done, for people: numbers, and what was left out with the reasons."""

from __future__ import annotations

from Src.Factory import report
from Src.Factory.show_readers import share
from Src.Librarian.tally import Tally
from Src.Library.hash_cache import CacheUse
from Src.Media.readers.readings import Readings
from Src.Shared import words

_MOST_REASONS = 20  # that are printed; --json has all


def print_summary(tally: Tally, read: Readings, heading: str, cache: CacheUse | None = None) -> None:
    """The numbers, then all reasons why something was left out, each with the first names."""
    seconds = max(tally.seconds, 0.001)
    rate = f"{tally.files / seconds:,.0f} files/s, {report.size(tally.bytes / seconds)}/s"
    report.heading(heading)
    report.line("new", f"{tally.new:,}")
    report.line("duplicates", f"{tally.duplicates:,}")
    if tally.restored:
        report.line("restored", f"{tally.restored:,}")
    if tally.unwanted:
        report.line("unwanted", f"{tally.unwanted:,} removed before, and in the trash")
    if tally.companions:
        report.line("beside", f"{words.counted(tally.companions, 'file')} beside photos")
    report.line("others", f"{tally.not_media:,} that are not photos or videos")
    report.line("failed", f"{tally.failed:,}", "red" if tally.failed else "")
    if tally.skipped:
        report.line("skipped", f"{tally.skipped:,} left alone, by name or as no file")
    report.line("entries", f"{tally.entries:,} in all")
    if tally.archives:
        report.line("archives", f"{words.counted(tally.archives, 'zip archive')} read; they stay where they are")
    if tally.left:
        report.line("not moved", f"{tally.left:,} added, and left at the source too (see above)", "yellow")
    if tally.guessed:
        what = "date is a guess" if tally.guessed == 1 else "dates are guesses"
        report.line("dates", f"{tally.guessed:,} {what}: the file's own time, because the photo has none", "yellow")
    if read:
        report.line("read", share(read))
    if cache is not None and cache.hits:
        asked = cache.hits + cache.misses
        report.line("unchanged", f"{cache.hits:,} of {asked:,} not read again (hash cache, {100 * cache.rate:.1f} %)")
    report.line("in all", f"{report.size(tally.bytes)} in {seconds:,.1f} s ({rate})")
    _print_left_out(tally)


def _print_left_out(tally: Tally) -> None:
    whys = tally.left_out.listed()
    if not whys:
        return
    report.heading("Left out:")
    for why in whys[:_MOST_REASONS]:
        report.line(f"{why.count:,}", why.reason)
        for path in why.first:
            report.line("", path)
        if why.count > len(why.first):
            report.line("", f"and {why.count - len(why.first):,} more")
    if len(whys) > _MOST_REASONS:
        report.line("", f"and {len(whys) - _MOST_REASONS:,} more reasons; --json has all")


def print_ways_on(tally: Tally, report_file: str | None) -> None:
    """After an import: what to do about what failed, and where it stands what became of each file."""
    if tally.failed:
        report.say("What failed is still at its source: import it again to try again.")
    if report_file is not None:
        report.line("report", f"{report_file}: every file, and what became of it")
    elif tally.left_out.listed():
        report.say("With --report FILE every file, and what became of it, is written to FILE.")
