"""Charts: numbers and times of our own, never text from outside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import altair as alt
import pandas as pd

from Src.Dashboard.data.uptime import Period, Strip

# Seen as different also by those who see no difference between red and green.
STATES = {"ok": "#3a9a6e", "warning": "#e0a030", "gap": "#c9b458", "error": "#d1495b", "silent": "#8b2635"}
_WORDS = {"ok": "OK", "warning": "warnings", "gap": "heartbeats missing", "error": "errors", "silent": "silent"}


def counts(values: Sequence[tuple[datetime, int]], unit: Literal["hour", "day"]) -> alt.Chart:
    """Bars, one for each hour or day; times are shown as they are, in the factory's time zone."""
    frame = pd.DataFrame({"when": [when.replace(tzinfo=None) for when, _ in values], "files": [n for _, n in values]})
    shown = "%a %H:%M" if unit == "hour" else "%e %b"
    width = {"hour": 3_600_000, "day": 86_400_000}[unit]
    return (
        alt.Chart(frame)
        .transform_calculate(end=f"datetime(time(datum.when) + {int(width * 0.82)})")
        .mark_bar(cornerRadiusTopLeft=2, cornerRadiusTopRight=2)
        .encode(
            x=alt.X("when:T", title=None, axis=alt.Axis(format=shown, tickCount=6, grid=False)),
            x2="end:T",
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


def uptime(strip: Strip, period: Period) -> alt.Chart:
    """A strip of slots, each in the colour of its state; what is before the first heartbeat is left empty."""
    end = max(slot.start for slot in strip.slots) + period.slot
    frame = pd.DataFrame(
        {
            "start": [slot.start for slot in strip.slots],
            "end": [slot.start + period.slot * 0.88 for slot in strip.slots],
            "state": [_WORDS[slot.state] for slot in strip.slots],
            "heartbeats": [slot.heartbeats for slot in strip.slots],
        }
    )
    colors = alt.Scale(domain=[_WORDS[state] for state in STATES], range=list(STATES.values()))
    domain = alt.Scale(domain=[(end - period.length).isoformat(), end.isoformat()])
    return (
        alt.Chart(frame)
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X("start:T", title=None, axis=None, scale=domain),
            x2="end:T",
            color=alt.Color("state:N", scale=colors, legend=None),
            tooltip=[
                alt.Tooltip("start:T", title="From", format="%e %b %H:%M"),
                alt.Tooltip("state:N", title="State"),
                alt.Tooltip("heartbeats:Q", title="Heartbeats"),
            ],
        )
        .properties(height=28)
    )
