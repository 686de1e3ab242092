"""Charts: numbers and times of our own, never text from outside.

As Vega-Lite's own specifications: Altair checks each anew whenever it is shown, which takes longer than all the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import pandas as pd
import streamlit as st

from Src.Dashboard.data.uptime import Period, State, Strip

_STRIP = 22  # pixels

# On light and on dark; told apart by brightness too, for those who see no difference between red and green.
_COLORS: dict[State, str] = {
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
    "gap": "reports missing",
    "error": "errors",
    "silent": "silent",
    "unknown": "not known",
}


def counts(values: Sequence[tuple[datetime, int]], unit: Literal["hour", "day"], *, alt: str) -> None:
    """Bars, one for each hour or day; times are shown as they are, in the factory's time zone."""
    frame = pd.DataFrame({"when": [when.replace(tzinfo=None) for when, _ in values], "files": [n for _, n in values]})
    bins, tick, told = {
        "hour": ("yearmonthdatehours", "%a %H:%M", "%a %e %b %H:%M"),
        "day": ("yearmonthdate", "%e %b", "%a %e %b"),
    }[unit]
    axis = {"format": tick, "tickCount": 6, "grid": False, "labelOverlap": True}
    spec = {
        "mark": {"type": "bar", "cornerRadiusTopLeft": 2, "cornerRadiusTopRight": 2},
        "height": 190,
        "encoding": {
            "x": _time("when", timeUnit=bins, title=None, axis=axis),
            "y": _number("files", title=None, axis={"tickMinStep": 1, "tickCount": 4, "format": ",d"}),
            "tooltip": [
                _time("when", timeUnit=bins, title=unit.capitalize(), format=told),
                _number("files", title="Files", format=","),
            ],
        },
    }
    st.vega_lite_chart(frame, spec, alt=alt)


def uptime(strip: Strip, period: Period, *, alt: str) -> None:
    """A strip of slots, each in the colour of its state."""
    frame = pd.DataFrame(
        {
            "start": [slot.start for slot in strip.slots],
            "end": [slot.start + period.slot * 0.86 for slot in strip.slots],
            "state": [_WORDS[slot.state] for slot in strip.slots],
            "heartbeats": [slot.heartbeats for slot in strip.slots],
        }
    )
    colors = {"domain": list(_WORDS.values()), "range": [_COLORS[state] for state in _WORDS]}
    spec = {
        "mark": {"type": "rect", "cornerRadius": 2},
        "height": _STRIP,
        "padding": 0,
        "encoding": {
            "x": _time("start", title=None, axis=None),
            "x2": {"field": "end"},
            "y": {"value": 0},
            "y2": {"value": _STRIP},
            "color": {"field": "state", "type": "nominal", "scale": colors, "legend": None},
            "tooltip": [
                _time("start", title="From", format="%e %b %H:%M"),
                {"field": "state", "type": "nominal", "title": "State"},
                _number("heartbeats", title="Reports"),
            ],
        },
    }
    st.vega_lite_chart(frame, spec, alt=alt)


def _time(field: str, **more: Any) -> dict[str, Any]:
    return {"field": field, "type": "temporal", **more}


def _number(field: str, **more: Any) -> dict[str, Any]:
    return {"field": field, "type": "quantitative", **more}
