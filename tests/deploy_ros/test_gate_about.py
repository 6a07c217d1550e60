# pyright: standard
"""Clocks and contracts of two machines, compared by words of the gate; times by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sim2arm_ros.gate_about import GateAbout, contract_mark

from .swinging import swinging_contract

NOW = 10_000_000_000
MARK = contract_mark(swinging_contract())


def about(limit_s: float = 0.02, *, lock_step: bool = False) -> GateAbout:
    return GateAbout(swinging_contract(), limit_s, lock_step=lock_step)


def hear(gate: GateAbout, *ages: float, mark: str = MARK) -> None:
    """Hear words of the gate that are so old by the clock here [s]."""
    for age in ages:
        values = {"now_ns": str(NOW - round(age * 1e9)), "contract": mark}
        gate.hear(values, NOW)


def red(gate: GateAbout) -> dict[str, str]:
    return {item.name: item.note for item in gate.items() if not item.ok}


def test_a_gate_that_was_not_heard_is_red() -> None:
    gate = about()
    assert set(red(gate)) == {"contract of the gate", "clock against the gate's"}
    hear(gate, 0.001, 0.001)  # two words are not enough: the first waited for who came late
    assert set(red(gate)) == {"clock against the gate's"}
    hear(gate, 0.001)
    assert red(gate) == {}


def test_another_contract_is_red() -> None:
    gate = about()
    hear(gate, *[0.001] * 3, mark=contract_mark(replace(swinging_contract(), control_hz=50.0)))
    assert red(gate) == {"contract of the gate": "give gate and policy the same bundle"}
    hear(gate, 0.001, mark="")
    assert "contract of the gate" in red(gate)


@pytest.mark.parametrize(
    ("offset", "said"),
    [
        (0.05, "the clock here is 0.052 s ahead of the gate's, allowed 0.02 s"),
        (-0.05, "the clock here is 0.042 s behind the gate's"),
        (1.0, "the clock here is 1.002 s ahead of"),
        (-1.0, "the clock here is 0.992 s behind"),
    ],
)
def test_an_offset_is_named_by_the_best_word(offset: float, said: str) -> None:
    """Ways of 2, 8 and 5 ms add to it: 50 + 2 ms, and of -50 ms the best is -50 + 8 ms."""
    gate = about()
    hear(gate, *(offset + way for way in (0.002, 0.008, 0.005)))
    problem = gate.problem(NOW, NOW)
    assert problem is not None and problem.startswith(said)
    assert red(gate) == {"clock against the gate's": problem}


def test_late_words_of_a_right_clock_are_no_offset() -> None:
    gate = about()
    hear(gate, 0.3, 0.002, 0.09, 0.2)
    assert gate.offset_s == 0.002 and gate.problem(NOW, NOW) is None and red(gate) == {}


def test_ten_words_later_an_offset_is_what_counts() -> None:
    gate = about()
    hear(gate, *[0.001] * 10, *[0.05] * 9)
    assert gate.problem(NOW, NOW) is None
    hear(gate, 0.05)
    assert "0.050 s ahead of" in (gate.problem(NOW, NOW) or "")


@pytest.mark.parametrize(("jump", "said"), [(-1.0, "went back by 0.984 s"), (1.0, "jumped ahead")])
def test_a_clock_that_jumps_is_said_at_once(jump: float, said: str) -> None:
    """A tick of 16 ms passes meanwhile: -1000 + 16 ms."""
    gate = about()
    hear(gate, *[0.001] * 10)
    assert gate.problem(NOW, NOW) is None
    then = NOW + 16_000_000
    assert f"the clock here {said}" in (gate.problem(then + round(jump * 1e9), then) or "")
    assert gate.offset_s is None  # what was known of it is no more


def test_lock_step_has_no_clocks_but_one_contract() -> None:
    gate = about(lock_step=True)
    assert set(red(gate)) == {"contract of the gate"}
    hear(gate, *[5.0] * 5)
    assert red(gate) == {} and gate.problem(NOW, NOW) is None


def test_a_limit_that_is_none_is_refused() -> None:
    for limit in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="clock_offset_s: expected more than 0"):
            about(limit)
