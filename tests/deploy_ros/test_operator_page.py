# pyright: standard
"""The operator's page of a comparison: nothing that it shows tells one policy from another."""

from __future__ import annotations

import time

from sim2arm_ros.activation import at_most
from sim2arm_ros.operator_page import Buttons, OperatorPage
from sim2arm_ros.operator_state import Curve, OperatorState

from .swinging import swinging_contract


def make_state(inputs: int, latency_s: float) -> OperatorState:
    """Return what is known under a policy with so many inputs that takes so long."""
    state, now = OperatorState(), time.monotonic()
    state.hear_gate({"state": "HOLD", "active": "True", "latency": ""}, "", now)
    state.latency.add(now, latency_s)
    for i in range(inputs):
        state.ages[f"input {i}"] = Curve()
        state.ages[f"input {i}"].add(now, latency_s)
    item = at_most("age", latency_s, 1.0, "s")
    state.reports = {"policy_node": [item] * inputs}
    return state


def shown(state: OperatorState, *, blind: bool) -> tuple[dict[str, str], list[str]]:
    """Return the texts and the titles of the graphs of a page."""

    def nothing(*_: object) -> None:
        return

    buttons = Buttons(start=nothing, hold=nothing, reset=nothing, record=nothing, judge=nothing)
    page = OperatorPage(swinging_contract(), buttons, asker="policy", port=0, blind=blind)
    try:
        page.draw(state, "")
        texts = {name: text for name, text in page._shown.items() if name != "banner"}
        return texts, list(page._plots)
    finally:
        page.stop()


def test_a_blind_page_is_the_same_for_policies_that_differ() -> None:
    small, large = make_state(3, 0.004), make_state(7, 0.021)
    assert shown(small, blind=True) == shown(large, blind=True)
    texts, graphs = shown(small, blind=True)
    assert "latency" not in texts and graphs == [] and "joints" in texts
    texts, graphs = shown(small, blind=False)
    assert "4.0 ms" in texts["latency"] and len(graphs) == 2
