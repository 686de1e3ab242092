"""How the dashboard looks, beyond what `.streamlit/config.toml` says, and the parts that pages share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from Src.Dashboard import addresses, words
from Src.Dashboard.health import LATE, RUNNING, Level, Light, Service, Verdict
from Src.Dashboard.ledger import TooSlow
from Src.Dashboard.plain import markdown, plain
from Src.Dashboard.resources import ledger, settings
from Src.Shared.database import LedgerUnavailable

_ICON = Path(__file__).parent / "favicon.svg"  # our own: Streamlit's would come from another host
SHORT = 180  # characters of a message where it is not what the page is about
ANSWER_STAYS = 20.0  # seconds that an answer to a click stays, over all refreshes

LIGHTS: dict[Light, str] = {"green": "green", "yellow": "orange", "red": "red", "grey": "gray"}
ICONS: dict[Level, str] = {
    "good": ":material/check_circle:",
    "warning": ":material/warning:",
    "error": ":material/error:",
}

# No data in it, ever.
_STYLE = """
<style>
  [data-testid="stMainBlockContainer"] { padding: 3.25rem 3rem 3rem; max-width: 90rem; }
  [data-testid="stSidebarHeader"]::after { content: "Photo Factory"; order: 1; margin-right: auto;
                                           font-weight: 600; }
  [data-testid="stMetricValue"], [data-testid="stText"] { font-variant-numeric: tabular-nums; }
  [data-testid="stCaptionContainer"] { opacity: .8; } /* of what WCAG asks, Streamlit leaves too little */
  [data-testid="stText"] { overflow-wrap: anywhere; white-space: pre-wrap; }
  [data-testid="stHeaderActionElements"],
  [data-testid="stElementContainer"]:has([data-testid="stVegaLiteChart"]) [data-testid="stElementToolbar"]
    { display: none; }
  [class*="st-key-grid-"] { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(8.25rem, 1fr)); }
  [class*="st-key-grid-cards"] { grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); }
  [class*="st-key-grid-"] > * { width: auto !important; min-width: 0; }
  /* All of a tile is its link. */
  [class*="st-key-tile-"] { position: relative; }
  [class*="st-key-tile-"] [data-testid="stPageLink"] a { padding: 0; min-height: 0; gap: 0; background: none; }
  [class*="st-key-tile-"] [data-testid="stPageLink"] a span:has(> [data-testid="stIconMaterial"]),
  [class*="st-key-tile-"] [data-testid="stPageLink"] a [data-testid="stIconMaterial"] { display: none; }
  [class*="st-key-tile-"] [data-testid="stPageLink"] a p { font-size: .85rem; }
  [class*="st-key-tile-"] [data-testid="stPageLink"] a::after { content: ""; position: absolute; inset: 0; }
  [class*="st-key-tile-"]:has(a):hover { border-color: var(--st-primary-color, currentColor); }
  [class*="st-key-tile-"]:focus-within { outline: 2px solid; outline-offset: 2px; }
  /* What the last act came to, over the page's end, wherever somebody reads. */
  .st-key-act-bar {
    position: fixed; bottom: 1rem; right: 1rem; z-index: 999; width: min(34rem, calc(100vw - 2rem)) !important;
    padding: .75rem; border-radius: .5rem; background: var(--st-background-color, Canvas);
    box-shadow: 0 4px 18px rgb(0 0 0 / .3);
  }
  a:focus-visible, button:focus-visible, summary:focus-visible { outline: 2px solid currentColor !important;
                                                                outline-offset: 2px; }
  /* What refreshes by itself must not flicker: nothing fades, nobody runs. A lost connection still shows. */
  [data-stale="true"], [data-testid="stExpander"] summary, [data-testid="stTabs"] [role="tablist"]
    { opacity: 1 !important; transition: none !important; }
  [data-testid="stStatusWidget"]:has([data-testid="stStatusWidgetRunningManIcon"]),
  [data-testid="stStatusWidget"]:has([data-testid="stStatusWidgetRunningIcon"]) { visibility: hidden; }
  @media (prefers-reduced-motion: reduce) { * { animation: none !important; transition: none !important; } }
  @media (max-width: 640px) {
    [data-testid="stMainBlockContainer"] { padding-left: 1rem; padding-right: 1rem; }
    [data-testid^="stBaseButton-segmented_control"] { padding: 0 .5rem; font-size: .85rem; }
    [data-testid="stElementToolbar"] { display: none; } /* a touch leaves it open, over what is below */
  }
</style>
"""


_FOLLOWED = "followed_a_row"  # in the session, for the rest of a run
_Arguments = ParamSpec("_Arguments")


def live(part: Callable[_Arguments, None]) -> Callable[_Arguments, None]:
    """A part of a page that runs again by itself, as often as DASHBOARD_REFRESH says; with 0 never."""

    @wraps(part)
    def run(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> None:
        st.fragment(part, run_every=settings().dashboard_refresh or None)(*args, **kwargs)

    return run


def set_up() -> None:
    """Once per run, before anything is shown."""
    st.set_page_config(page_title="Photo Factory", page_icon=_ICON, layout="wide")
    st.html(_STYLE)
    st.logo(_ICON, size="large")


def show_verdict(found: Verdict) -> None:
    """The one line that says how everything is, and below it what else is wrong."""
    show = {"good": st.success, "warning": st.warning, "error": st.error}[found.level]
    show(f"**{markdown(found.sentence)}**", icon=ICONS[found.level])
    for sentence in found.also:
        st.text(f"Also: {plain(sentence, SHORT)}")


@contextmanager
def asking_ledger(what: str) -> Iterator[None]:
    """A part of a page that needs the ledger; while it is away, a line says what is missing."""
    try:
        yield
    except LedgerUnavailable:
        st.caption(f"{what}: not known while the database is away.")
    except TooSlow:
        st.caption(f"{what}: the database took too long to answer.")


def ledger_notice() -> None:
    """Says that the database is away, where it is."""
    away = ledger().away_for()
    if away is not None:
        st.warning(
            f"The database has not answered for {words.span(away)}. What only it knows is left out; "
            "this page looks again by itself.",
            icon=":material/database_off:",
        )
        st.text(plain(ledger().reason))


@live
def wait_for(there: Callable[[], bool]) -> None:
    """For a page that has nothing to show yet: it runs anew as soon as there is something."""
    with asking_ledger("Whether there is something by now"):
        if there():
            st.rerun()


def answer(page: str, text: str, *, well: bool = True, icon: str | None = None) -> None:
    """Answers a click: `show_answer` shows it on that page for a while."""
    st.session_state[f"answer_{page}"] = (time.monotonic() + ANSWER_STAYS, well, text, icon)


def show_answer(page: str) -> bool:
    """Shows the last answer while it is fresh; returns whether it is."""
    until, well, text, icon = st.session_state.get(f"answer_{page}", (0.0, True, "", None))
    if time.monotonic() >= until:
        return False
    (st.success if well else st.error)(markdown(text), icon=icon)
    return True


def missing(what: str, reason: str) -> None:
    """Says that something else which the page would show cannot be asked, and why."""
    st.caption(f"{what}: {markdown(reason, SHORT)}")


def table(rows: Sequence[Mapping[str, object]], *, key: str, **options: object) -> None:
    """Rows of hostile text as a table; the texts must have gone through `plain`."""
    st.dataframe(list(rows), hide_index=True, key=key, **options)  # type: ignore[call-overload]


def table_of_links(
    rows: Sequence[Mapping[str, object]], leads: Sequence[str | None], *, key: str, into: str, **options: object
) -> None:
    """`table`; who selects a row that leads somewhere has that in the address, under the name `into`."""

    def follow() -> None:
        chosen = st.session_state[key]["selection"]["rows"]
        lead = leads[chosen[0]] if chosen and chosen[0] < len(leads) else None
        if lead is not None:
            addresses.ask(into, lead)
            st.session_state[_FOLLOWED] = True

    table(rows, key=key, on_select=follow, selection_mode="single-row", **options)
    if st.session_state.pop(_FOLLOWED, False):
        st.rerun()  # all of the page, of which this may be a part


def grid(key: str) -> DeltaGenerator:
    """Cards side by side, as many as there is room for; wide ones where the key begins with `cards`."""
    return st.container(key=f"grid-{key}")


def tile(label: str, value: str, leads: str, to: str, **asked: str) -> None:
    """A number that matters, in a card. All of the card is a link to the list that it counts; `leads` says where."""
    with st.container(border=True, gap=None, key=f"tile-{label.lower().replace(' ', '-')}"):
        st.metric(label, value)
        addresses.link(leads, to, **asked)


def empty(text: str, icon: str, lead: str, to: str) -> None:
    """A page that has nothing to show yet says why, and has one button that helps."""
    with st.container(border=True, key="empty"):
        st.markdown(text)
        addresses.link(lead, to, icon=icon)


def no_photos(there: Callable[[], bool]) -> None:
    """A page of photos while the library has none: it runs anew as soon as `there` says that it has."""
    empty(
        "No photos yet. Photos show up here within seconds after they are put into the inbox.",
        ":material/add_photo_alternate:", "Add the first photos", "overview",
    )  # fmt: skip
    wait_for(there)


def is_phone() -> bool:
    """Whether the browser says that it is a phone's."""
    return "Mobi" in str(st.context.headers.get("User-Agent", ""))


def gauge(label: str, part: float, text: str) -> None:
    """How much of something is used."""
    with st.container(border=True, gap="xsmall"):
        st.markdown(f"**{markdown(label)}**")
        st.progress(min(1.0, max(0.0, part)), text=markdown(text))


def name(text: str) -> None:
    """Something's name, as a small heading."""
    st.markdown(f"**{markdown(text)}**")


def service_card(service: Service) -> None:
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            addresses.link(f"**{markdown(service.title)}**", "services", service=service.name)
            light(service)
        st.caption(seen_words(service))
        if service.message:
            st.text(plain(service.message, SHORT))


def light(service: Service) -> None:
    """The state of a service in one coloured word."""
    st.badge(_state_word(service), color=LIGHTS[service.light])  # type: ignore[arg-type]


def seen_words(service: Service) -> str:
    """What it does and when it last reported, as Markdown."""
    words_ = [] if service.age is None else [plain(service.task or "idle"), f"seen {words.ago(service.age)}"]
    if service.age is None and not service.is_only_a_container:
        words_.append("not seen yet")
    if service.container is not None:
        words_.append(f"container {plain(service.container)}")
    return markdown(" · ".join(words_))


def _state_word(service: Service) -> str:
    if service.container is not None and service.light == "red" and service.container not in RUNNING:
        return markdown(service.container)
    if service.is_only_a_container:
        return "OK"
    if service.age is None:
        return "unknown"
    if service.is_unwatched:
        return "not watched"
    if service.is_stopped:
        return "stopped"
    if service.is_silent:
        return "silent"
    if service.status in ("ERROR", "WARNING"):
        return service.status.lower()
    return "late" if service.age > LATE * service.interval else "OK"
