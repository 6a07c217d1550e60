"""Charts as SVG inside a page: matplotlib draws, the page's style sheet colours, light or dark."""

# matplotlib's types are partly unknown.
# pyright: standard

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter
from numpy.typing import ArrayLike

# Drawn in these colours, which no chart uses otherwise, and replaced by the page's.
_INK, _SOFT, _LINE, _SERIES, _SECOND, _GOOD, _BAD = (f"#01020{i}" for i in range(7))
_VARIABLES = {
    _INK: "var(--ink)",
    _SOFT: "var(--soft)",
    _LINE: "var(--line)",
    _SERIES: "var(--series)",
    _SECOND: "var(--second)",
    _GOOD: "var(--good)",
    _BAD: "var(--bad)",
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 10.5,
    "text.color": _INK,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _SOFT,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": _LINE,
    "grid.linewidth": 0.8,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _SOFT,
    "ytick.labelcolor": _SOFT,
    "lines.linewidth": 1.8,
}


@dataclass(frozen=True, kw_only=True)
class Share:
    """One measured share of successes with its interval."""

    label: str
    successes: int
    trials: int
    low: float
    high: float
    baseline: bool = False
    """Drawn in the second colour: something to compare with."""


def draw_learning(
    steps: ArrayLike,
    success: ArrayLike,
    reward: ArrayLike,
    *,
    trials: Sequence[tuple[float, float]] = (),
    target: float | None = None,
    level: ArrayLike | None = None,
) -> str:
    """Return success and reward over environment steps, one above the other.

    Args:
        steps: (n,) environment steps of all worlds.
        success: (n,) share of recent training episodes that succeeded.
        reward: (n,) mean reward per step.
        trials: (steps, share) of trials without random actions, as points.
        target: share at which training stops, as a dashed line.
        level: (n,) share of each range of the randomisation that was drawn from, in steps.
    """
    x = np.asarray(steps, dtype=np.float64)
    with matplotlib.rc_context(_STYLE):
        figure = _figure(6.8, 3.9)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        upper.plot(x, success, color=_SERIES)
        if level is not None:
            upper.step(x, level, where="post", color=_SECOND, linewidth=1.2)
        if trials:
            upper.plot(*zip(*trials, strict=True), "o", color=_SERIES, markersize=5, clip_on=False)
        if target is not None:
            upper.axhline(target, color=_SOFT, linewidth=1.0, linestyle=(0, (4, 3)))
            _label(upper, 0.0, target, f"target {100 * target:.0f} %", (4, -12))
        upper.set_ylim(0.0, 1.04)
        upper.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        upper.set_ylabel("success")
        lower.plot(x, reward, color=_SECOND)
        lower.set_ylabel("reward per step")
        lower.set_xlabel("environment steps")
        lower.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _scaled(value)))
        lower.set_xlim(left=0.0)
        figure.align_ylabels()
        return _svg(figure, "learning", "Success and reward over environment steps")


def draw_imitation(
    steps: ArrayLike, loss: ArrayLike, trials: Sequence[tuple[float, float]], target: float
) -> str:
    """Return success of trials and loss over steps of learning, one above the other.

    Args:
        steps: (n,) of learning.
        loss: (n,) mean since the row before.
        trials: (steps, share of episodes that succeeded).
        target: share at which training stops, as a dashed line.
    """
    with matplotlib.rc_context(_STYLE):
        figure = _figure(6.8, 3.9)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        if trials:
            upper.plot(*zip(*trials, strict=True), "o-", color=_SERIES, markersize=5, clip_on=False)
        upper.axhline(target, color=_SOFT, linewidth=1.0, linestyle=(0, (4, 3)))
        _label(upper, 0.0, target, f"target {100 * target:.0f} %", (4, -12))
        upper.set_ylim(0.0, 1.04)
        upper.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        upper.set_ylabel("success")
        lower.plot(np.asarray(steps, dtype=np.float64), loss, color=_SECOND)
        lower.set_yscale("log")
        lower.set_ylabel("loss")
        lower.set_xlabel("steps of learning")
        lower.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _scaled(value)))
        lower.set_xlim(left=0.0)
        figure.align_ylabels()
        return _svg(figure, "imitation", "Success and loss over steps of learning")


def draw_returns(
    frames: Sequence[float], returns: Sequence[float], trials: Sequence[tuple[float, float]]
) -> str:
    """Return sums of rewards over frames: of training episodes, and of trials as points.

    Args:
        frames: (n,) steps of the task.
        returns: (n,) mean since the row before; NaN where no episode ended.
        trials: (frames, mean) of trials without random actions.
    """
    known = [(x, y) for x, y in zip(frames, returns, strict=True) if not np.isnan(y)]
    with matplotlib.rc_context(_STYLE):
        figure = _figure(6.8, 3.0)
        axes = figure.subplots()
        if known:
            axes.plot(*zip(*known, strict=True), color=_SECOND, linewidth=1.2)
        if trials:
            axes.plot(*zip(*trials, strict=True), "o-", color=_SERIES, markersize=5, clip_on=False)
        axes.set_ylabel("return")
        axes.set_xlabel("frames")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _scaled(value)))
        axes.set_xlim(left=0.0)
        return _svg(figure, "returns", "Returns over frames")


def draw_shares(shares: Sequence[Share]) -> str:
    """Return success rates with 95 % intervals, one row each, numbers beside them."""
    with matplotlib.rc_context(_STYLE):
        figure = _figure(6.8, 0.75 + 0.52 * len(shares))
        axes = figure.subplots()
        for row, share in enumerate(shares):
            colour = _SECOND if share.baseline else _SERIES
            axes.plot([share.low, share.high], [row, row], color=colour, solid_capstyle="butt",
                      linewidth=5.0, alpha=0.35)  # fmt: skip
            rate = share.successes / share.trials
            axes.plot([rate], [row], "o", color=colour, markersize=7.0, clip_on=False)
            numbers = f"{100 * rate:.1f} %  [{100 * share.low:.1f}, {100 * share.high:.1f}]"
            axes.annotate(numbers, (1.03, row), va="bottom", color=_INK, annotation_clip=False,
                          xytext=(0, 0.5), textcoords="offset points")  # fmt: skip
            counts = f"{share.successes} of {share.trials} episodes"
            axes.annotate(counts, (1.03, row), va="top", color=_SOFT, annotation_clip=False,
                          xytext=(0, -0.5), textcoords="offset points", fontsize=9.0)  # fmt: skip
        axes.set_yticks(range(len(shares)), [share.label for share in shares])
        axes.tick_params(axis="y", labelcolor=_INK, length=0)
        axes.set_ylim(len(shares) - 0.4, -0.6)
        axes.set_xlim(-0.01, 1.01)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        return _svg(figure, "shares", "Success with 95 % intervals")


def draw_latency(latency_ms: ArrayLike, *, period_ms: float, marks: dict[str, float]) -> str:
    """Return a histogram of latencies with marks (name to milliseconds) and the control period.

    The counts are on a logarithmic axis, so that a single late tick is seen.
    """
    values = np.asarray(latency_ms, dtype=np.float64)
    end = 1.2 * max(period_ms, float(values.max()))  # room for the last name
    with matplotlib.rc_context(_STYLE):
        figure = _figure(6.8, 3.0)
        axes = figure.subplots()
        bins = np.linspace(0.0, end, 91)
        axes.hist(values, bins=list(bins), color=_SERIES, log=True, histtype="stepfilled")
        axes.tick_params(axis="y", which="minor", length=0)
        axes.set_ylim(bottom=0.6)
        top = axes.get_ylim()[1]
        axes.set_ylim(top=top * 30.0)  # room for the names of the marks
        # From left to right and downwards, so that no name meets a line.
        lines = sorted({**marks, "period": period_ms}.items(), key=lambda pair: pair[1])
        for level, (name, value) in enumerate(lines):
            height = 0.96 - 0.1 * level
            colour, dash = (_BAD, (0, (4, 3))) if name == "period" else (_INK, "solid")
            axes.axvline(value, ymax=height, color=colour, linewidth=1.1, linestyle=dash)
            axes.annotate(f"{name} {value:.2f} ms", (value, height), va="top", color=colour,
                          xycoords=("data", "axes fraction"), xytext=(4, 1), fontsize=9.0,
                          textcoords="offset points")  # fmt: skip
        axes.set_xlim(0.0, end)
        axes.set_xlabel("observation to command [ms]")
        axes.set_ylabel("control steps")
        return _svg(figure, "latency", "Histogram of the latency from observation to command")


def _figure(width: float, height: float) -> Figure:
    """Return a figure of width x height inches (72 units of the SVG each)."""
    return Figure(figsize=(width, height), facecolor="none", layout="constrained")


def _label(axes: Axes, x: float, y: float, words: str, offset: tuple[float, float]) -> None:
    axes.annotate(words, (x, y), xytext=offset, textcoords="offset points", color=_SOFT,
                  xycoords=("axes fraction", "data"), fontsize=9.0)  # fmt: skip


def _scaled(value: float) -> str:
    return f"{value / 1e6:g} M" if abs(value) >= 1e6 else f"{value / 1e3:g} k" if value else "0"


def _svg(figure: Figure, name: str, description: str) -> str:
    """Return a figure as an SVG element that takes the page's width, font and colours."""
    buffer = io.StringIO()
    metadata: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=metadata)
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r"<!--.*?-->", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'<g id="[^"]*">', "<g>", drawing)  # the same names in every chart
    drawing = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", drawing)
    for colour, variable in _VARIABLES.items():
        drawing = drawing.replace(colour, variable)
    box = re.search(r'viewBox="[^"]*"', drawing)
    assert box is not None
    head = f'<svg {box[0]} role="img" aria-label="{escape(description)}">'
    return head + drawing[drawing.index(">") + 1 :].strip()
