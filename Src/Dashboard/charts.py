"""Charts: numbers and times of our own, never text from outside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import altair as alt
import pandas as pd

from Src.Dashboard.data.uptime import Period, State, Strip

_STRIP = 22  # pixels

# On light and on dark; told apart by brightness too, for those who see no difference between red and green.
STATES: dict[State, str] = {
    "ok": "#3f9f76",
    "warning": "#e3a83b",
    "gap": "#cdbb62",
    "error": "#d1495b",
    "silent": "#8b2635",
    "unknown": "#8a8f9833",
}
_WORDS: dict[State, str] = {
    "ok": "OK",
    "warning": "warnings",
    "gap": "heartbeats missing",
    "error": "errors",
    "silent": "silent",
    "unknown": "not known",
}


def counts(values: Sequence[tuple[datetime, int]], unit: Literal["hour", "day"]) -> alt.Chart:
    """Bars, one for each hour or day; times are shown as they are, in the factory's time zone."""
    frame = pd.DataFrame({"when": [when.replace(tzinfo=None) for when, _ in values], "files": [n for _, n in values]})
    bins: Literal["yearmonthdatehours", "yearmonthdate"] = "yearmonthdatehours" if unit == "hour" else "yearmonthdate"
    shown = "%a %H:%M" if unit == "hour" else "%e %b"
    chart: alt.Chart = (
        alt.Chart(frame)
        .mark_bar(cornerRadiusTopLeft=2, cornerRadiusTopRight=2)
        .encode(
            x=alt.X("when:T", timeUnit=bins, title=None, axis=alt.Axis(format=shown, tickCount=6, grid=False)),
            y=alt.Y("files:Q", title=None, axis=alt.Axis(tickMinStep=1, tickCount=4, format=",d")),
            tooltip=[
                alt.Tooltip(
                    "when:T", title=unit.capitalize(), format="%a %e %b %H:%M" if unit == "hour" else "%a %e %b"
                ),
                alt.Tooltip("files:Q", title="Files", format=","),
            ],
        )
        .properties(height=190)
    )
    return chart


def uptime(strip: Strip, period: Period) -> alt.Chart:
    """A strip of slots, each in the colour of its state."""
    frame = pd.DataFrame(
        {
            "start": [slot.start for slot in strip.slots],
            "end": [slot.start + period.slot * 0.86 for slot in strip.slots],
            "state": [_WORDS[slot.state] for slot in strip.slots],
            "heartbeats": [slot.heartbeats for slot in strip.slots],
        }
    )
    colors = alt.Scale(domain=[_WORDS[state] for state in STATES], range=list(STATES.values()))
    chart: alt.Chart = (
        alt.Chart(frame)
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X("start:T", title=None, axis=None),
            x2="end",
            y=alt.value(0),
            y2=alt.value(_STRIP),
            color=alt.Color("state:N", scale=colors, legend=None),
            tooltip=[
                alt.Tooltip("start:T", title="From", format="%e %b %H:%M"),
                alt.Tooltip("state:N", title="State"),
                alt.Tooltip("heartbeats:Q", title="Heartbeats"),
            ],
        )
        .properties(height=_STRIP, padding=0)
    )
    return chart
