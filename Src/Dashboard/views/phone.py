"""Phone: letting phones and PCs send their photos, through Syncthing."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import segno
import streamlit as st

from Src.Dashboard import look, words
from Src.Dashboard.data import phones
from Src.Dashboard.plain import markdown, plain
from Src.Shared.syncthing.client import FolderState, PendingDevice, SyncthingError
from Src.Shared.syncthing.overview import Device, Overview


def show() -> None:
    """The page."""
    st.title("Phone")
    _live()


@look.live
def _live() -> None:
    try:
        found = phones.overview()
    except SyncthingError as error:
        st.warning(
            "Photo Factory cannot reach Syncthing, which receives photos from phones.", icon=":material/sync_problem:"
        )
        st.text(plain(error))
        st.markdown(
            "In the Docker stack it is set up by itself. Otherwise install Syncthing; if it runs as another user, set "
            "`SYNCTHING_API_KEY` in `.env`, and if it is on another machine, `SYNCTHING_URL` too."
        )
        return
    look.show_answer("phone")
    for warning in found.warnings:
        st.error(markdown(warning), icon=":material/warning:")
    left, right = st.columns([2, 3], gap="large")
    with left:
        _code(found.system.id)
    with right:
        _pending(found.pending)
        _devices(found.devices)
        _folders(found)


def _code(device: str) -> None:
    st.header("Scan this on the phone")
    drawn = io.BytesIO()
    # Dark on white in both themes: that is what cameras read.
    segno.make(device, micro=False).save(drawn, kind="svg", scale=6, border=3, dark="#111111", light="#ffffff")
    st.image(drawn.getvalue().decode(), width=280, alt="The factory's Syncthing device ID as a QR code")
    st.code(plain(device), language=None, wrap_lines=True)
    st.markdown(
        "1. Install Syncthing on the phone (on Android: Syncthing-Fork; on iOS: Möbius Sync).\n"
        "2. Add a device there, and scan this code.\n"
        "3. Accept the phone here, where it asks to connect.\n"
        "4. On the phone, accept the folder: as Send Only, on the folder with its photos."
    )


def _pending(pending: tuple[PendingDevice, ...]) -> None:
    st.header("Asking to connect")
    if not pending:
        st.caption("No device at the moment.")
    for one in pending:
        with st.container(border=True, gap="xsmall"):
            look.name(one.name or "a device without a name")
            st.text(plain(f"{one.id}\nfrom {one.address}").replace("\\n", "\n"))
            st.caption("Compare this ID with the one that the device shows before you accept it.")
            st.button("Accept", icon=":material/check:", key=f"accept_{one.id}", on_click=_accept, args=(one.id,))


def _accept(device: str) -> None:
    try:
        accepted = phones.accept(device)
    except SyncthingError as error:
        look.answer("phone", str(error), well=False)
    else:
        look.answer("phone", f"{accepted.name} is accepted. Now accept the folder on it, as Send Only.")


def _devices(devices: tuple[Device, ...]) -> None:
    st.header("Devices")
    if not devices:
        st.caption("None yet.")
        return
    for one in devices:
        with st.container(border=True, gap="xsmall"):
            with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                look.name(one.name or one.id[:7])
                state = "paused" if one.paused else "connected" if one.connected else "away"
                st.badge(state, color={"connected": "green", "paused": "orange", "away": "gray"}[state])  # type: ignore[arg-type]
            folders = ", ".join(one.folders) or "shares no folder yet"
            st.caption(markdown(f"{_seen(one.last_seen_at, now=one.connected)} · {folders}"))


def _folders(found: Overview) -> None:
    st.header("Folders")
    if not found.folders:
        st.caption("No folder leads into the inbox yet.")
    for one in found.folders:
        with st.container(border=True, gap="xsmall"):
            with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                look.name(one.label or one.id)
                if one.is_receive_only:
                    st.badge("receive only", color="green")
                else:
                    st.badge("not receive only", color="red")
            st.caption(markdown(_progress(one)))
            st.text(plain(one.path))
            for problem in one.problems:
                st.text(plain(f"{problem.path}: {problem.error}"))


def _progress(one: FolderState) -> str:
    parts = [one.error or one.state]
    if one.need_files:
        parts.append(f"{words.counted(one.need_files, 'file')} ({words.size(one.need_bytes)}) still to come")
    if one.last_file_at is not None:
        parts.append(f"last file {words.ago((datetime.now(UTC) - one.last_file_at).total_seconds())}")
    return " · ".join(parts)


def _seen(at: datetime | None, *, now: bool) -> str:
    if now:
        return "connected now"
    return "never seen" if at is None else f"last seen {words.ago((datetime.now(UTC) - at).total_seconds())}"
