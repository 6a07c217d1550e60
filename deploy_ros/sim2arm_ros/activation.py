"""The activation report: every item of the contract, trained range, measured value, margin.

A node becomes active only when no item is red. The same items are printed in a terminal, shown
in reports and published as diagnostics; an item without a measurement is red, but for the ranges
of training that no node can measure, which are listed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.bodies import Clearances
from sim2arm.core.contract import LEAD, Contract
from sim2arm.core.robots import Chain, Robot
from sim2arm.core.urdf import chain_from_urdf

from .graph import ChainBounds
from .robot_modes import RobotModes
from .supported import unmeasured


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line of the report."""

    name: str
    expected: str
    """What the contract or the node needs, with limits."""
    measured: str
    """What was found; empty when nothing was."""
    unit: str = ""
    margin: float | None = None
    """Share of the allowed range that is left, 0 at the limit, negative outside."""
    ok: bool
    note: str = ""
    """What to do, when it is red."""


def within(
    name: str, value: float | None, low: float, high: float, unit: str, note: str = ""
) -> Item:
    """Return the item of a number that must lie in a range."""
    expected = f"{low:g} to {high:g}"
    if value is None or not math.isfinite(value):
        measured = "" if value is None else str(value)
        return Item(name=name, expected=expected, measured=measured, unit=unit, ok=False, note=note)
    half = 0.5 * (high - low)
    left = min(value - low, high - value)
    margin = left / half if half > 0 else (0.0 if left == 0 else -math.inf)
    return Item(
        name=name,
        expected=expected,
        measured=f"{value:.6g}",
        unit=unit,
        margin=margin if math.isfinite(margin) else -1.0,
        ok=bool(left >= -1e-9 * max(1.0, abs(high))),
        note=note,
    )


def at_most(name: str, value: float | None, most: float, unit: str, note: str = "") -> Item:
    """Return the item of a number that must not exceed a bound; the margin counts from 0."""
    known = value is not None and math.isfinite(value)
    return Item(
        name=name,
        expected=f"<= {most:g}",
        measured=f"{value:.3g}" if value is not None else "",
        unit=unit,
        margin=1.0 - max(value or 0.0, 0.0) / most if known else None,
        ok=known and value is not None and value <= most,
        note=note,
    )


def at_least(name: str, value: float | None, least: float, unit: str, note: str = "") -> Item:
    """Return the item of a number that must not be less than a bound."""
    known = value is not None and math.isfinite(value)
    return Item(
        name=name,
        expected=f">= {least:g}",
        measured=f"{value:.3g}" if value is not None else "",
        unit=unit,
        ok=known and value is not None and value >= least,
        note=note,
    )


def equal(name: str, expected: object, measured: object, note: str = "") -> Item:
    """Return the item of something that must be exactly so."""
    found = "" if measured is None else str(measured)
    return Item(
        name=name, expected=str(expected), measured=found, ok=measured == expected, note=note
    )


def bundle_item(*, signed: bool) -> Item:
    """Return the item of the bundle: who is asked for it has verified it, or is not configured."""
    how = "verified, with a trusted signature" if signed else "verified"
    return equal("bundle", how, how)


def qos_item(mismatches: Sequence[str]) -> Item:
    """Return the item of peers whose QoS does not match, one line each."""
    note = "change the QoS in graph.yaml or of the other node"
    return equal("QoS of all topics", "compatible", "; ".join(mismatches) or "compatible", note)


def chain_items(
    contract: Contract, description: str | None, bounds: ChainBounds
) -> tuple[list[Item], Chain | None]:
    """Compare the robot's description with the contract's chain; return its chain too."""
    metres = f"<= {bounds.metres * 1e3:g} mm, <= {math.degrees(bounds.radians):.3g} deg"
    known = contract.kinematic_chain
    if description is None:
        note = "is /robot_description published (transient local)?"
        return [
            Item(name="kinematic chain", expected=metres, measured="", ok=False, note=note)
        ], None
    try:
        chain = chain_from_urdf(
            description, contract.joint_names, known.base_frame, known.tool_frame
        )
        distance, angle = known.difference(chain)
    except ValueError as error:
        note = str(error)
        return [
            Item(
                name="kinematic chain", expected=metres, measured="unreadable", ok=False, note=note
            )
        ], None
    note = "another robot or tool than in training"
    items = [
        at_most("chain: worst link position", distance, bounds.metres, "m", note),
        at_most("chain: worst link rotation", angle, bounds.radians, "rad", note),
    ]
    return items, chain


def gain_items(contract: Contract, gains: Mapping[str, Sequence[float]] | None) -> list[Item]:
    """Compare the gains of the controller, {kp: (n,), kd: (n,)}, with the trained ranges."""
    law = contract.low_level
    items: list[Item] = []
    for label, unit in (("kp", "N m/rad"), ("kd", "N m s/rad")):
        ranges = getattr(law, f"{label}_range")
        values: Sequence[float | None] = (
            [None] * len(ranges) if gains is None else list(gains[label])
        )
        worst: Item | None = None
        for joint, value, (low, high) in zip(contract.joint_names, values, ranges, strict=True):
            item = within(f"{label} of {joint}", value, low, high, unit,
                          "set the gains of the controller to the trained range")  # fmt: skip
            if worst is None or _badness(item) > _badness(worst):
                worst = item
        assert worst is not None  # a robot has joints
        items.append(worst)
    return items


def law_items(contract: Contract) -> list[Item]:
    """List the gains of a law that runs inside the robot: nobody can read them, so never red."""
    ranges = {"kp": contract.low_level.kp_range, "kd": contract.low_level.kd_range}
    return [
        Item(name=f"{label} of the joints",
             expected=f"{min(r[0] for r in spans):g} to {max(r[1] for r in spans):g}",
             measured="not measured: inside the robot", ok=True)
        for label, spans in ranges.items()
    ]  # fmt: skip


def mode_items(modes: RobotModes | None, steady_ns: int, *, timed: bool) -> list[Item]:
    """Return what the robot says of its own state, and whether it still says so."""
    if modes is None:
        return [Item(name="modes of the robot", expected="none", measured="none are told", ok=True)]
    items = [Item(name=fact.name, expected=fact.expected, measured=fact.measured, ok=fact.ok,
                  note=fact.note) for fact in modes.facts()]  # fmt: skip
    problem = modes.problem(steady_ns, timed=timed)
    told = "told" if problem is None or any(not item.ok for item in items) else problem
    return [*items, equal("modes of the robot", "told", told, "does its driver run?")]


def _badness(item: Item) -> float:
    if item.margin is None:
        return math.inf
    return -item.margin + (1e6 if not item.ok else 0.0)


def position_items(contract: Contract, q: NDArray[np.float64] | None) -> list[Item]:
    """Return the item of the joint that is nearest to its limit."""
    limits = contract.limits
    items = [
        within(f"position of {joint}", None if q is None else float(q[i]),
               limits.q_min[i], limits.q_max[i], "rad", "move the arm inside its limits by hand")
        for i, joint in enumerate(contract.joint_names)
    ]  # fmt: skip
    return [max(items, key=_badness)]


def body_item(robot: Robot, q: NDArray[np.float64] | None) -> Item:
    """Return how far the links of an arm at q (n,) [rad] are from each other."""
    name = "distance of the links"
    if robot.body is None:
        return Item(name=name, expected="", measured="not known", ok=True,
                    note=f"nothing keeps {robot.name} from hitting itself")  # fmt: skip
    margin = robot.body.margin
    if q is None or not np.all(np.isfinite(q)):
        return Item(name=name, expected=f">= {margin:g}", measured="", unit="m", ok=False,
                    note="nothing received")  # fmt: skip
    there = Clearances(robot.chain, robot.body)(q)
    apart = float(there.itself)
    return Item(
        name=name, expected=f">= {margin:g}", measured=f"{apart:.3f}", unit="m",
        margin=apart / margin - 1.0 if margin else None, ok=apart >= margin,
        note=f"{' and '.join(there.closest)}: move the arm apart first",
    )  # fmt: skip


def lead_item(contract: Contract, lead: float) -> Item:
    """Compare the time from a tick to its motion [s] with the trained range."""
    name = "start of a motion after its tick"
    trained = [r for r in contract.ranges if r.name == LEAD]
    low, high = (trained[0].low, trained[0].high) if trained else (0.0, 0.0)
    # A policy trained without a lead runs with one all the same, and the report says so: no
    # command can be there at once.
    most = max(high, 1.0 / contract.control_hz) * (1.0 + 1e-6)
    note = f"trained with {low:g} to {high:g} s; change lead_periods of the gate"
    return at_most(name, lead, most, "s", note)


def unmeasured_items(contract: Contract) -> list[Item]:
    """List the ranges of training that no node can measure; they are never red."""
    return [
        Item(name=f"trained: {trained.name}", expected=f"{trained.low:g} to {trained.high:g}",
             measured="not measured", unit=trained.unit, ok=True)
        for trained in unmeasured(contract)
    ]  # fmt: skip


def rate_item(name: str, period_s: float | None, least_hz: float) -> Item:
    """Return the item of a rate that must be at least so."""
    expected = f">= {least_hz:g}"
    if period_s is None or period_s <= 0:
        return Item(name=name, expected=expected, measured="", unit="Hz", ok=False,
                    note="nothing received")  # fmt: skip
    rate = 1.0 / period_s
    return Item(name=name, expected=expected, measured=f"{rate:.1f}", unit="Hz",
                margin=rate / least_hz - 1.0, ok=rate >= least_hz)  # fmt: skip


def problems(items: Iterable[Item]) -> list[str]:
    """Return one line per red item."""
    return [
        f"{item.name}: expected {item.expected} {item.unit}".rstrip()
        + f", got {item.measured or 'nothing'}"
        + (f" ({item.note})" if item.note else "")
        for item in items
        if not item.ok
    ]


def to_json(node: str, items: Sequence[Item]) -> str:
    """Return the report of a node as JSON."""
    data = {"node": node, "ok": all(item.ok for item in items), "items": [asdict(i) for i in items]}
    return json.dumps(data, allow_nan=False)


def from_json(text: str) -> tuple[str, list[Item]]:
    """Return node and items of `to_json`.

    Raises:
        ValueError: not such a text.
    """
    try:
        data: dict[str, Any] = json.loads(text)
        return str(data["node"]), [Item(**item) for item in data["items"]]
    except (TypeError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"activation report: {error}") from error


def format_items(items: Sequence[Item]) -> str:
    """Return the report as lines for a terminal."""
    rows = [
        ("ok " if item.ok else "RED", item.name, item.expected, item.measured, item.unit,
         "" if item.margin is None else f"{100 * item.margin:.0f} %")
        for item in items
    ]  # fmt: skip
    header = ("", "item", "expected", "measured", "unit", "margin")
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, *rows]
    ]
    return "\n".join(lines)
