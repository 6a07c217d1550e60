"""Pieces of the operator's page as HTML; every text is escaped here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from sim2arm.core.contract import Contract

from .activation import Item, problems
from .operator_state import (
    HISTORY_S,
    JOINTS_S,
    Level,
    OperatorState,
    Recording,
    margins,
    words,
)

_INKS: dict[Level, tuple[str, str]] = {
    "moves": ("#1b6e3c", "#ffffff"),
    "stands": ("#b97700", "#ffffff"),
    "fault": ("#b3202c", "#ffffff"),
    "unknown": ("#4a4f57", "#ffffff"),
}
"""Ground and ink of the banner."""
GOOD, NEAR, OVER = "#2f855a", "#c87800", "#c62f2f"
_NEAR, _CLOSE = 0.1, 0.03
"""Shares of a range that are left where a bar changes its colour."""
_LINE = "font:13px/1.45 system-ui,sans-serif;"


STYLE = """<style id="operator">
div:has(> #operator) + div { position: sticky; top: 6px; z-index: 5; }
.mantine-ScrollArea-content:has(#operator) { display: block; width: 100%; min-width: 0; }
.mantine-ScrollArea-content div:has(#operator) { overflow: clip visible !important;
  max-width: 100%; min-width: 0; box-sizing: border-box; }
.mantine-ScrollArea-content:has(#operator) img { max-width: 100%; }
div:has(> #operator) + div button { height: 3.2em !important; font-size: 1.2em; }
@keyframes old { to { visibility: visible; max-height: 20em; padding: 8px 12px; } }
#old { visibility: hidden; max-height: 0; overflow: hidden; animation: old 0s linear 3s forwards;
  background: #4a4f57; color: white; border-radius: 6px; margin: 4px 10px; font-weight: 700; }
</style>"""
"""The button behind it is large and stays in sight; `#old` shows when it is not renewed for 3 s."""
OLD = (
    "This page has not heard from its own process for 3 s: what it shows is old, and HOLD does "
    "nothing here. Use the emergency stop."
)


def banner(state: OperatorState, now: float, asker: str) -> str:
    """Return how the arm stands, in one glance.

    It is another text every second: a browser that gets no new one says so by itself.
    """
    level, title, text = words(state, now, asker)
    ground, ink = _INKS[level]
    return (
        f'<div id="old" data-beat="{int(now)}" style="{_LINE}font-weight:700">{escape(OLD)}</div>'
        f'<div id="gate" data-level="{level}" style="{_LINE}background:{ground};color:{ink};'
        'border-radius:6px;padding:8px 12px;margin:4px 10px 8px">'
        f'<div style="font-size:22px;font-weight:700;line-height:1.2">{escape(title)}</div>'
        f'<div style="overflow-wrap:anywhere">{escape(text)}</div></div>'
    )


def deeds(lines: Sequence[str]) -> str:
    """Return what was asked for and what came of it, the newest first."""
    rows = "".join(
        f'<div style="opacity:{1.0 if i == 0 else 0.6};overflow-wrap:anywhere">{escape(line)}</div>'
        for i, line in enumerate(reversed(lines))
    )
    return f'<div id="deeds" style="{_LINE}padding:2px 12px;min-height:1.5em">{rows}</div>'


def alarm(text: str) -> str:
    """Return what must not be overlooked, in red; nothing for an empty text."""
    if not text:
        return ""
    return (
        f'<div id="alarm" style="{_LINE}background:{OVER};color:#ffffff;border-radius:6px;'
        'padding:6px 12px;margin:4px 10px;font-weight:700;overflow-wrap:anywhere">'
        f"{escape(text)}</div>"
    )


def recording(found: Recording) -> str:
    """Return what is recorded and what the log lacks."""
    ink = f"color:{OVER};font-weight:600;" if found.alarm else ""
    rows = [f'<div style="{ink}">{escape(" ".join((found.alarm, found.text)).strip())}</div>']
    rows += [
        f'<div style="color:{NEAR};font-weight:600;overflow-wrap:anywhere">{escape(gap)}</div>'
        for gap in found.gaps
    ]
    return f'<div id="recording" style="{_LINE}padding:2px 12px">{"".join(rows)}</div>'


def trial(title: str, text: str) -> str:
    """Return which trial of a comparison it is, and what the person has to do."""
    return (
        f'<div id="trial" style="{_LINE}border:2px solid #2b6cb0;border-radius:6px;'
        f'padding:6px 12px;margin:4px 10px"><b>{escape(title)}</b><div>{escape(text)}</div></div>'
    )


def _ink(margin: float) -> str:
    return OVER if margin < _CLOSE else NEAR if margin < _NEAR else GOOD


def _bar(share: float, ink: str, *, middle: bool) -> str:
    """Return a bar with a mark at a share of it; filled from the middle for velocities."""
    at = 100.0 * min(max(share, 0.0), 1.0)
    track = "position:relative;height:8px;border-radius:4px;background:#8883;overflow:hidden"
    if middle:
        left, width = min(at, 50.0), abs(at - 50.0)
        inner = f"left:{left:.1f}%;width:{max(width, 0.5):.1f}%"
    else:
        inner = f"left:calc({at:.1f}% - 3px);width:6px;border-radius:3px"
    mark = f'<div style="position:absolute;top:0;bottom:0;{inner};background:{ink}"></div>'
    line = '<div style="position:absolute;left:50%;top:0;bottom:0;width:1px;background:#888"></div>'
    return f'<div style="{track}">{line}{mark}</div>'


def joints(state: OperatorState, contract: Contract, now: float) -> str:
    """Return positions and velocities of the joints in their limits, with what is left of them."""
    limits, old = contract.limits, now - state.joints_heard
    rows: list[str] = []
    for i, name in enumerate(contract.joint_names):
        q, dq = state.positions.get(name), state.velocities.get(name)
        label = name.removeprefix(f"{contract.robot}_").replace("_", " ")
        if q is None or not math.isfinite(q):
            rows.append(f"<tr><td>{escape(label)}</td><td colspan=4>not known</td></tr>")
            continue
        share, left = margins(q, limits.q_min[i], limits.q_max[i])
        rows.append(
            f'<tr data-joint="{escape(name)}"><td>{escape(label)}</td>'
            f"<td style='text-align:right'>{math.degrees(q):.0f}°</td>"
            f"<td style='width:26%'>{_bar(share, _ink(left), middle=False)}</td>"
            f"<td style='text-align:right;white-space:nowrap;color:{_ink(left)}'>"
            f"{100 * left:.0f} %</td>{_velocity(dq, limits.dq_max[i])}</tr>"
        )
    note = ""
    if old > JOINTS_S:
        said = "no joint states yet" if old == math.inf else f"these are {old:.1f} s old"
        note = f'<div style="color:{OVER};font-weight:600">{said}</div>'
    faded = "opacity:0.4;" if old > JOINTS_S else ""
    head = "".join(
        f"<th style='text-align:{side};font-weight:500;opacity:.7'>{text}</th>"
        for text, side in (("joint", "left"), ("position", "right"), ("in its limits", "left"),
                           ("left", "right"), ("velocity", "right"), ("", "left"))
    )  # fmt: skip
    return (
        f'<div id="joints" style="{_LINE}padding:0 12px 4px">{note}<table style="width:100%;{faded}'
        'border-spacing:4px 2px;font-variant-numeric:tabular-nums;font-size:12px">'
        f"<tr>{head}</tr>{''.join(rows)}</table></div>"
    )


def _velocity(dq: float | None, most: float) -> str:
    """Return the cells of a velocity [rad/s], which not every robot tells."""
    if dq is None or not math.isfinite(dq):
        return "<td colspan=2 style='opacity:.7'>not told</td>"
    share, left = margins(dq, -most, most)
    return (
        f"<td style='text-align:right;white-space:nowrap'>{round(math.degrees(dq))}°/s</td>"
        f"<td style='width:20%'>{_bar(share, _ink(left), middle=True)}</td>"
    )


def report(reports: Mapping[str, Sequence[Item]], *, blind: bool = False) -> str:
    """Return the activation reports; `blind` only what is red, as the rest tells policies apart."""
    parts: list[str] = []
    for node, items in sorted(reports.items()):
        red = [item for item in items if not item.ok]
        word = f"{len(red)} of {len(items)} red" if red else f"all {len(items)} green"
        if not blind:
            parts.append(
                f'<div style="margin-top:6px"><b>{escape(node)}</b> '
                f'<span style="color:{OVER if red else GOOD};font-weight:600">{word}</span></div>'
            )
        for line in problems(items):
            text = f"{node}: {line}" if blind else line
            parts.append(f'<div style="color:{OVER};overflow-wrap:anywhere">{escape(text)}</div>')
        if not blind:
            parts.append(_items([item for item in items if item.ok]))
    if not parts:
        nothing = "No item is red." if reports else "No node has reported yet: Start asks for it."
        parts = [f"<div>{nothing}</div>"]
    return f'<div id="report" style="{_LINE}padding:0 12px 6px">{"".join(parts)}</div>'


def _items(items: Sequence[Item]) -> str:
    rows = ""
    for item in items:
        left = "" if item.margin is None else f"{100 * item.margin:.0f} %"
        cells = (item.name, f"{item.measured} {item.unit}", item.expected, left)
        inner = "</td><td>".join(escape(cell) for cell in cells)
        rows += f"<tr><td>{inner.replace(' %', '&nbsp;%')}</td></tr>"
    head = "<tr><th>item</th><th>measured</th><th>allowed</th><th>left</th></tr>"
    return (
        '<div style="overflow-x:auto"><table style="font-size:11px;border-spacing:6px 1px;'
        f'text-align:left;overflow-wrap:anywhere">{head}{rows}</table></div>'
    )


def figures(state: OperatorState, contract: Contract, now: float) -> str:
    """Return how long commands take, and how old each input is beside what is allowed."""
    rows: list[tuple[str, str, str, str]] = []
    latency = [1e3 * value for value in state.latency.values]
    if latency:
        rows.append(("observation to command", f"{latency[-1]:.1f} ms",
                     f"most in 30 s {max(latency):.1f}", ""))  # fmt: skip
    allowed = {spec.name: spec.max_stamp_age_s for spec in contract.inputs}
    for name, curve in state.ages.items():
        most = allowed.get(name)
        if not curve.values or now - curve.times[-1] > HISTORY_S:
            rows.append((name, "nothing", "", OVER))
            continue
        age = curve.values[-1] + (now - curve.times[-1])
        over = most is not None and age > most
        bound = "" if most is None else f"allowed {1e3 * most:.0f} ms"
        rows.append((name, f"{1e3 * age:.0f} ms", bound, OVER if over else ""))
    cells = "".join(
        f'<tr style="color:{ink or "inherit"}"><td>{escape(name.replace("_", " "))}</td>'
        f"<td style='text-align:right;white-space:nowrap'>{escape(value)}</td>"
        f"<td style='opacity:.7;white-space:nowrap'>{escape(bound)}</td></tr>"
        for name, value, bound, ink in rows
    )
    return (
        f'<div id="figures" style="{_LINE}padding:0 12px 4px"><table style="width:100%;'
        'font-size:12px;border-spacing:4px 2px;font-variant-numeric:tabular-nums">'
        f"{cells}</table></div>"
    )
