"""Draws results as bars against their goals. Readable on light and on dark pages."""

from __future__ import annotations

from pathlib import Path

import drawsvg

from benchmarks.case import Bar
from benchmarks.results import Result

_WIDTH, _ROW, _TOP = 880, 44, 30
_LEFT, _GOAL = 20, 560  # where bars begin, and where the goal is
_MOST = 1.35  # a longer bar is cut
_STYLE = """
text { font: 13px -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; fill: #1f2328 }
.small { font-size: 11px; fill: #59636e }
.reached { fill: #1a7f37 } .missed { fill: #bc4c00 }
.room { fill: #818b98; opacity: .18 }
.noise, .goal { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .small { fill: #9198a1 }
  .reached { fill: #3fb950 } .missed { fill: #f0883e }
  .noise, .goal { stroke: #f0f6fc }
}
"""


def draw(path: Path, results: dict[str, Result]) -> None:
    """A bar for each goal: how much of what it allows was used."""
    bars = [(result, bar) for result in results.values() for bar in result.bars]
    height = _TOP + _ROW * len(bars) + 10
    drawing = drawsvg.Drawing(_WIDTH, height)
    drawing.append_css(_STYLE)
    drawing.append_title("Measured figures, each against its goal")
    drawing.append(drawsvg.Text("the goal", 11, _GOAL, 16, text_anchor="middle", class_="small"))
    for number, (result, bar) in enumerate(bars):
        _draw_bar(drawing, _TOP + _ROW * number, result, bar)
    drawing.save_svg(str(path))


def _draw_bar(drawing: drawsvg.Drawing, y: float, result: Result, bar: Bar) -> None:
    goal = bar.goal
    drawing.append(drawsvg.Text(result.title, 13, _LEFT, y + 14))
    end = _WIDTH - _LEFT
    what = f"{goal.what}: {_figure(bar.value)} {goal.unit} ({goal})"
    drawing.append(drawsvg.Text(what, 11, end, y + 14, text_anchor="end", class_="small"))
    drawing.append(drawsvg.Rectangle(_LEFT, y + 20, _GOAL - _LEFT, 12, class_="room"))
    kind = "reached" if bar.reached else "missed"
    drawing.append(drawsvg.Rectangle(_LEFT, y + 20, _length(goal.share(bar.value)), 12, class_=kind))
    if bar.lowest < bar.highest:
        first, last = sorted(_LEFT + _length(goal.share(value)) for value in (bar.lowest, bar.highest))
        drawing.append(drawsvg.Line(first, y + 26, last, y + 26, class_="noise"))
    drawing.append(drawsvg.Line(_GOAL, y + 17, _GOAL, y + 35, class_="goal"))


def _length(share: float) -> float:
    return min(max(share, 0), _MOST) * (_GOAL - _LEFT)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
