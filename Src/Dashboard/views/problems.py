"""Problems: what is wrong, why, and what to do about it."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from Src.Dashboard import addresses, look, words
from Src.Dashboard.data import machine, problems, situation
from Src.Dashboard.data.problems import Failure
from Src.Dashboard.health import LATE
from Src.Dashboard.plain import plain
from Src.Dashboard.resources import ledger, settings
from Src.Library.findings import WHAT_TO_DO, WORDS
from Src.Library.held_words import ADVICE, FAILED
from Src.Shared.database import LedgerUnavailable
from Src.Shared.ledger_text import to_ledger
from Src.Shared.services import LIBRARIAN, service_named


def show() -> None:
    """The page."""
    st.title("Problems")
    _live()


@look.live
def _live() -> None:
    look.ledger_notice()
    asked = addresses.asked("show")
    chosen = {asked: _KINDS[asked]} if asked in _KINDS else _KINDS
    troubles = [kind() for kind in chosen.values()]
    if not any(troubles) and ledger().away_for() is None:
        st.success("**No problems.**" if chosen is _KINDS else "**None of this kind.**", icon=look.ICONS["good"])
    if chosen is not _KINDS:
        addresses.link("Show all problems", "problems", icon=":material/error_outline:")


def _services() -> bool:
    found = situation.look_around()
    ill = [one for one in found.services if one.light in ("red", "yellow")]
    if not ill:
        return False
    st.header("Services")
    for service in ill:
        with st.container(border=True, gap="xsmall"):
            with st.container(horizontal=True, vertical_alignment="center"):
                look.name(service.title)
                look.light(service)
            st.caption(look.seen_words(service))
            if service.message:
                st.text(plain(service.message))
            late = service.age is not None and service.age > LATE * service.interval
            if late or service.is_stopped or service.light == "red":
                st.markdown(service_named(service.name).advice)
    return True


def _machine() -> bool:
    found = False
    for disk in machine.machine().disks:
        if disk.percent_free < settings().disk_warning:
            found = True
            st.warning(
                f"The disk of {disk.name} is nearly full: {words.size(disk.free)} free "
                f"({words.percent(disk.percent_free)}). Free some space; when it is full, files wait in the inbox.",
                icon=":material/hard_drive:",
            )
    return found


def _originals() -> bool:
    with look.asking_ledger("Photos that are gone or changed"):
        found = problems.findings()
        if not found.count:
            return False
        st.header(f"Photos that are not as they were added ({words.number(found.count)})")
        st.markdown("Somebody removed or changed their files, or the disk did. All are looked at each night.")
        rows = [
            {
                "Photo": plain(to_ledger(one.final_path)),
                "Is": WORDS[one.finding],
                "Reason": plain(one.message),
                "What to do": WHAT_TO_DO[one.finding],
                "Since": _moment(one.since),
            }
            for one in found.first
        ]
        leads = [str(one.asset_id) for one in found.first]
        look.table_of_links(rows, leads, key="originals", into="photo", column_config=_WIDE)
        return True
    return False


def _rejected() -> bool:
    found = problems.refused()
    if not found:
        return False
    st.header(f"Photos that the database refuses ({_at_most(len(found))})")
    st.markdown(
        "Their files are safe. After an update, or when the reason is gone, `./factory retry` tries them again."
    )
    rows = [{"Photo": plain(one.path), "Reason": plain(one.reason)} for one in found]
    look.table(rows, key="rejected", column_config=_WIDE)
    return True


def _damaged() -> bool:
    found = problems.damaged()
    if found.error is not None:
        st.warning(f"The dashboard cannot see whether damaged photos were moved aside: {found.error}.")
        return True
    if not found.paths:
        return False
    st.header(f"Damaged photos ({words.number(len(found.paths))})")
    st.markdown(
        "The bytes of these files had changed since they were added. Each was moved aside, because a good copy came in "
        "and took its place. **Check the disk.** Look at the files, and delete them yourself; nothing else does."
    )
    shown = found.paths[: problems.MOST]
    look.table([{"Moved to": plain(path)} for path in shown], key="damaged", column_config=_WIDE)
    return True


def _failures() -> bool:
    with look.asking_ledger("Files that failed"):
        found = problems.failures()
        answered = look.show_answer("problems")
        if not found:
            return answered
        st.header(f"Files that could not be added ({_at_most(len(found))})")
        st.markdown(
            "They are safe in the inbox. Those that failed for good are not tried again by themselves: fix the reason, "
            "then try again."
        )
        st.button("Try all again now", icon=":material/replay:", type="primary", on_click=_retry, key="retry")
        look.table([_failure(one) for one in found], key="failures", column_config=_WIDE)
        return True
    return False


def _retry() -> None:
    try:
        count = problems.retry()
    except LedgerUnavailable:
        return  # the page says so already
    running = (machine.seconds_since_touch(LIBRARIAN) or 1e9) < 30.0
    when = "within seconds" if running else "when the librarian runs again"
    look.answer("problems", f"{words.counted(count, 'file')} will be tried again {when}.", icon=":material/replay:")


def _failure(one: Failure) -> dict[str, object]:
    if one.next_try_at is None:
        next_try = "not by itself"
    else:
        left = (one.next_try_at - datetime.now(UTC)).total_seconds()
        next_try = f"in {words.span(left)}" if left > 0 else "now"
    return {
        "File in the inbox": plain(one.original_path),
        "State": FAILED[one.state],
        "Reason": plain(one.reason or "unknown"),
        "Tries": one.attempts,
        "Next try": next_try,
        "Since": _moment(one.since),
    }


_ODD_STATES = {"unreadable": "cannot be read", "link": "a link", "special": "not a file", "sidecar": "of no photo"}


def _odd() -> bool:
    with look.asking_ledger("What cannot be added as it is"):
        found = problems.odd()
        if not found:
            return False
        st.header(f"What cannot be added as it is ({_at_most(len(found))})")
        st.markdown(
            "It stays where it is, untouched, and leaves this list when it is put right. What begins with `/` was "
            "found by an import: put it right and import that folder again, or take it off this list with "
            "`./factory retry`."
        )
        rows = [
            {
                "File in the inbox": plain(one.original_path),
                "State": _ODD_STATES[one.state],
                "Reason": plain(one.reason or "unknown"),
                "What to do": ADVICE[one.state],
                "Since": _moment(one.since),
            }
            for one in found
        ]
        look.table(rows, key="odd", column_config=_WIDE)
        return True
    return False


def _broken() -> bool:
    with look.asking_ledger("Photos with errors"):
        found = problems.broken()
        if not found:
            return False
        st.header(f"Photos with errors ({_at_most(len(found))})")
        st.markdown(
            "They are kept as they came. If the device still has a better copy, put it into the inbox: both are kept."
        )
        rows = [
            {
                "Photo": plain(one.final_path),
                "Reason": plain(one.reason or "unknown"),
                "Taken": words.day(one.captured_at),
            }
            for one in found
        ]
        leads = [str(one.photo) for one in found]
        look.table_of_links(rows, leads, key="broken", into="photo", column_config=_WIDE)
        return True
    return False


def _not_media() -> bool:
    with look.asking_ledger("Files that are not photos"):
        found = problems.not_media()
        if not found:
            return False
        st.header(f"Not photos or videos ({_at_most(len(found))})")
        st.markdown("These files are not photos or videos. They were left in the inbox; you can delete them.")
        rows = [
            {"File in the inbox": plain(one.original_path), "Size": words.size(one.size), "Since": _moment(one.since)}
            for one in found
        ]
        look.table(rows, key="not_media", column_config=_WIDE)
        return True
    return False


_KINDS = {  # by the name that an address has for each
    "services": _services,
    "disks": _machine,
    "lost": _originals,
    "damaged": _damaged,
    "failed": _failures,
    "refused": _rejected,
    "odd": _odd,
    "errors": _broken,
    "not_photos": _not_media,
}

_WIDE = {
    "File in the inbox": st.column_config.TextColumn(width="medium"),
    "Moved to": st.column_config.TextColumn(width="large"),
    "Photo": st.column_config.TextColumn(width="medium"),
    "Reason": st.column_config.TextColumn(width="large"),
    "What to do": st.column_config.TextColumn(width="large"),
}


def _at_most(count: int) -> str:
    return words.number(count) if count < problems.MOST else f"the first {words.number(count)}"


def _moment(moment: datetime) -> str:
    return words.moment(moment.astimezone(settings().zone))
