"""Problems: what is wrong, why, and what to do about it."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from Src.Dashboard import look, words
from Src.Dashboard.data import machine, problems, situation
from Src.Dashboard.data.problems import Failure
from Src.Dashboard.health import LATE
from Src.Dashboard.plain import plain
from Src.Dashboard.resources import ledger, settings
from Src.Shared.database import LedgerUnavailable

WHAT_TO_DO = {
    "librarian": "Restart it (`./factory up`, or `docker compose restart librarian`). Photos wait safely in the inbox.",
    "service-monitor": "Restart it; until then nobody notices what goes silent, and no alerts are sent.",
    "dashboard": "Restart it; nothing else depends on it.",
    "factory-db": "Start PostgreSQL, or look into its log. Photos are filed meanwhile; their rows wait in the journal.",
    "syncthing": "Restart it; until then no photos come from phones.",
}


def show() -> None:
    """The page."""
    st.title("Problems")
    _live()


@st.fragment(run_every=look.REFRESH)
def _live() -> None:
    look.ledger_notice()
    troubles = [_services(), _machine(), _failures(), _broken(), _not_media()]
    if not any(troubles) and ledger().away_for() is None:
        st.success("**No problems.**", icon=look.ICONS["good"])


def _services() -> bool:
    found = situation.look_around()
    ill = [one for one in found.services if one.light in ("red", "yellow")]
    if not ill:
        return False
    st.subheader("Services")
    for service in ill:
        with st.container(border=True, gap="xsmall"):
            with st.container(horizontal=True, vertical_alignment="center"):
                look.name(service.name)
                look.light(service)
            st.caption(look.heartbeat_words(service))
            if service.message:
                st.text(plain(service.message))
            late = service.age is not None and service.age > LATE * service.interval
            if late or service.is_stopped or service.light == "red":
                st.markdown(WHAT_TO_DO.get(service.name, "Look into its log on the page Services."))
    return True


def _machine() -> bool:
    found = False
    for disk in machine.machine().disks:
        if disk.percent_free < settings().disk_warning:
            found = True
            st.warning(
                f"The disk of {disk.name} is nearly full: {words.size(disk.free)} free ({disk.percent_free:.1f} %). "
                "Free some space; when it is full, files wait in the inbox.",
                icon=":material/hard_drive:",
            )
    return found


def _failures() -> bool:
    with look.asking_ledger("Files that failed"):
        found = problems.failures()
        told = look.told("problems")
        if not found:
            return told
        st.subheader(f"Files that could not be filed ({_at_most(len(found))})")
        st.markdown(
            "They are safe in the inbox. Those that failed for good are tried no more: mend the cause, then try again."
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
    running = (machine.seconds_since_touch("librarian") or 1e9) < 30.0
    when = "within seconds" if running else "when the librarian runs again"
    look.tell("problems", f"{words.counted(count, 'file')} will be tried again {when}.", icon=":material/replay:")


def _failure(one: Failure) -> dict[str, object]:
    if one.next_try_at is None:
        next_try = "not by itself"
    else:
        left = (one.next_try_at - datetime.now(UTC)).total_seconds()
        next_try = f"in {words.span(left)}" if left > 0 else "now"
    return {
        "File in the inbox": plain(one.original_path),
        "State": "failed for good" if one.state == "dead_letter" else "failing",
        "Reason": plain(one.reason or "unknown"),
        "Tries": one.attempts,
        "Next try": next_try,
        "Since": _moment(one.since),
    }


def _broken() -> bool:
    with look.asking_ledger("Originals with errors"):
        found = problems.broken()
        if not found:
            return False
        st.subheader(f"Originals with errors ({_at_most(len(found))})")
        st.markdown(
            "They are kept as they came. If the device still has a better copy, put it into the inbox: "
            "it is another file, and both are kept."
        )
        rows = [
            {
                "Original": plain(one.final_path),
                "Reason": plain(one.reason or "unknown"),
                "Taken": one.captured_at.strftime("%Y-%m-%d"),
            }
            for one in found
        ]
        look.table(rows, key="broken", column_config=_WIDE)
        return True
    return False


def _not_media() -> bool:
    with look.asking_ledger("Files that are not media"):
        found = problems.not_media()
        if not found:
            return False
        st.subheader(f"Not photos or videos ({_at_most(len(found))})")
        st.markdown("By their content. They stay in the inbox untouched; remove them yourself, or leave them.")
        rows = [
            {"File in the inbox": plain(one.original_path), "Size": words.size(one.size), "Since": _moment(one.since)}
            for one in found
        ]
        look.table(rows, key="not_media", column_config=_WIDE)
        return True
    return False


_WIDE = {
    "File in the inbox": st.column_config.TextColumn(width="medium"),
    "Original": st.column_config.TextColumn(width="medium"),
    "Reason": st.column_config.TextColumn(width="large"),
}


def _at_most(count: int) -> str:
    return f"{count:,}" if count < problems.MOST else f"the first {count:,}"


def _moment(moment: datetime) -> str:
    return moment.astimezone(settings().zone).strftime("%Y-%m-%d %H:%M")
