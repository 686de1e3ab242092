"""Services: the state of each, how it did over time, and what it said last."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import streamlit as st

from Src.Dashboard import addresses, charts, look, words
from Src.Dashboard.data import logs, services, situation, uptime
from Src.Dashboard.data.situation import Found
from Src.Dashboard.health import Service
from Src.Dashboard.plain import markdown, plain
from Src.Dashboard.resources import settings
from Src.Shared.docker_api import DockerUnavailable
from Src.Shared.logs import local_log

LOG_LINES = 200


def show() -> None:
    """The page: all services, or the one that the address asks for."""
    st.title("Services")
    asked = addresses.asked("service")
    _live(asked)
    _log(asked)
    if asked is not None:
        addresses.link("Show all services", "services", icon=":material/dns:")


@look.live
def _live(asked: str | None) -> None:
    found = situation.look_around()
    look.ledger_notice()
    for what, reason in found.missing.items():
        look.missing(what, reason)
    names = [period.name for period in uptime.PERIODS]
    chosen = st.segmented_control(
        "Uptime over",
        names,
        default=names[0],
        required=True,
        label_visibility="collapsed",
        key="over",
        bind="query-params",
    )
    period = uptime.PERIODS[names.index(chosen or names[0])]
    strips: dict[tuple[str, str], uptime.Strip] = {}
    with look.asking_ledger("Uptime"):
        strips = uptime.strips(period)
    shown = [service for service in found.services if asked in (None, service.name)]
    if not shown:
        st.info("There is no such service here.", icon=":material/search_off:")
    for service in shown:
        _card(service, found, strips.get((service.name, service.instance)), period)


def _card(service: Service, found: Found, strip: uptime.Strip | None, period: uptime.Period) -> None:
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            look.name(service.title)
            look.light(service)
        st.caption(look.seen_words(service))
        if service.message:
            st.text(plain(service.message))
        container = None if service.container is None else found.containers.get(service.name)
        if container is not None:
            since = container.started_at if container.state == "running" else container.finished_at
            state = f"container {plain(container.name)} {plain(container.state)}"
            if since is not None:
                state += f" for {words.span((datetime.now(UTC) - since).total_seconds())}"
            st.caption(markdown(f"{state} · {words.counted(container.restart_count, 'restart')}"))
        if strip is not None and strip.slots:
            charts.uptime(strip, period, alt=f"Uptime of the last {period.name}")
            if any(slot.state != "unknown" for slot in strip.slots):
                st.caption(f"Up {words.percent(100 * strip.up)} of the time that is known, in the last {period.name}")


@look.live
def _log(asked: str | None) -> None:
    st.header("Log")
    known = [*services.KNOWN] if settings().docker_host else _with_local_log()
    if not known:
        st.caption("There is no log to show: neither Docker nor `./factory up` keeps one here.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if asked in known:
            service = asked
        else:
            service = st.selectbox("Service", known, key="log", bind="query-params", width=220) or known[0]
        level = st.segmented_control(
            "At least",
            logs.LEVELS,
            default="INFO",
            required=True,
            key="level",
            format_func=str.lower,
            bind="query-params",
        )
    try:
        lines = logs.leveled(_lines(service))
    except (DockerUnavailable, OSError) as error:
        look.missing("The log cannot be read", str(error))
        return
    shown = logs.at_least(lines, level or "INFO")[-LOG_LINES:]
    if shown:
        height: int | Literal["content"] = 420 if len(shown) > 15 else "content"
        # As code without a language: neither Markdown nor HTML. The newest line comes first.
        st.code("\n".join(plain(line.text) for line in reversed(shown)), language=None, height=height, wrap_lines=True)
    else:
        st.caption("Nothing of this level lately.")


def _lines(service: str) -> list[str]:
    if settings().docker_host:
        return [line.text for line in services.container_log(service, LOG_LINES)]
    return logs.read_tail(local_log(settings(), service))


def _with_local_log() -> list[str]:
    return [name for name in services.KNOWN if local_log(settings(), name).is_file()]
