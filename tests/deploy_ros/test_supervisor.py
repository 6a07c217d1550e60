# pyright: standard, reportMissingModuleSource=false
"""Episodes as the operator sees them; the nodes are played by the test."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402

from sim2arm_ros.convert import joint_state_message, status_message  # noqa: E402
from sim2arm_ros.episode_log import EpisodeLog  # noqa: E402
from sim2arm_ros.launcher import private_domain  # noqa: E402
from sim2arm_ros.requests import make_tag  # noqa: E402
from sim2arm_ros.supervisor import OperationError, Supervisor  # noqa: E402

BEGIN, PERIOD = 5_000_000_000, 16_000_000


class Played(Supervisor):
    """A supervisor whose nodes obey at once; each wait takes the next message of the script."""

    def __init__(self) -> None:
        super().__init__(env=private_domain())
        self.script: list[Callable[[], None]] = []
        self.transitions: list[tuple[str, str]] = []

    def reset_arm(self, seed: int, *, moved: bool = True) -> int:
        self._ready_ns = BEGIN
        return BEGIN

    def pause(self, seconds: float) -> None:
        return

    def activate(self, node: str, timeout_s: float | None = None) -> None:
        return

    def transition(self, node: str, label: str, timeout_s: float = 1.0) -> bool:
        self.transitions.append((node, label))
        return True

    def spin_until(self, condition: Callable[[], Any], timeout_s: float, what: str) -> None:
        while not condition():
            if not self.script:
                raise OperationError(f"no {what}")
            self.script.pop(0)()

    def episode_says(self, **values: Any) -> None:
        self._on_episode(status_message(DiagnosticStatus.OK, "episode", "", values))

    def gate_says(self, state: str, **values: Any) -> None:
        self._on_gate(status_message(DiagnosticStatus.OK, "gate", "", {"state": state} | values))

    def acts(self, tick: int, action: float, stamp_ns: int) -> None:
        message = joint_state_message(
            ["x"], np.array([action]), np.zeros(1), stamp_ns, make_tag("0123456789ab", tick)
        )
        self._on_action(message)


@pytest.fixture
def operator() -> Iterator[Played]:
    played = Played()
    played.gate_says("HOLD", missed=1, late=1, dropped=1, slowed=1, refused=1)
    yield played
    played.close()


def end(operator: Played, **values: Any) -> None:
    said = {"seed": 7, "done": True, "success": True, "steps": 3, "ended": "success",
            "stamp_ns": BEGIN + 3 * PERIOD}  # fmt: skip
    operator.episode_says(**(said | values))


def test_only_what_belongs_to_the_episode_is_kept(operator: Played) -> None:
    def run() -> None:
        operator.acts(149, 9.0, BEGIN - PERIOD)  # of the session before
        for tick in range(4):  # the last answers the last observation
            operator.acts(tick, 0.1 * tick, BEGIN + tick * PERIOD)
        operator.gate_says("HOLD", missed=3, late=5, dropped=2, slowed=6, refused=7)

    operator.script = [run, lambda: end(operator)]
    log = operator.run_episode(7, 60.0)
    assert np.concatenate(log.actions).tolist() == pytest.approx([0.0, 0.1, 0.2])
    assert (log.success, log.steps, log.ended, log.reason) == (True, 3, "success", "")
    assert (log.missed, log.late, log.dropped, log.slowed, log.refused) == (2, 4, 1, 5, 6)
    assert log.unheard == []


@pytest.mark.parametrize("other", [{"seed": 6}, {"stamp_ns": BEGIN - PERIOD}])
def test_the_end_of_another_episode_is_not_that_of_this_one(
    operator: Played, other: dict[str, int]
) -> None:
    end(operator, **other)  # also when the same seed was run before

    def stop() -> None:
        operator.acts(0, 0.5, BEGIN)
        operator.policy, operator.policy_message = {"phase": "STOPPED"}, "gate: refused"

    operator.script = [stop]
    log = operator.run_episode(7, 60.0)
    assert (log.success, log.steps, log.ended, log.reason) == (False, 0, "", "gate: refused")
    assert len(log.actions) == 1


def test_ticks_that_were_not_heard_keep_their_places() -> None:
    log = EpisodeLog(seed=0)
    for tick, value in ((2, 1.0), (3, 2.0), (5, 3.0), (5, 4.0), (4, 5.0)):
        log.hear(tick, np.array([value], dtype=np.float32), BEGIN + tick * PERIOD)
    assert np.concatenate(log.actions).tolist() == [0.0, 0.0, 1.0, 2.0, 2.0, 3.0]
    assert log.unheard == [0, 1, 4]
    log.end(
        {"success": "False", "steps": "4", "ended": "lost", "stamp_ns": str(BEGIN + 50_000_000)}
    )
    assert len(log.actions) == len(log.stamps) == 4 and log.unheard == [0, 1]


def test_a_gate_that_held_long_before_the_episode_loses_no_policy(
    operator: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy is heard to run before the gate is heard to let it: that alone is no loss."""
    now = time.monotonic() + 100.0
    monkeypatch.setattr("sim2arm_ros.supervisor.time.monotonic", lambda: now)

    def wait(seconds: float) -> Callable[[], None]:
        def pass_time() -> None:
            nonlocal now
            now += seconds

        return pass_time

    def policy_runs() -> None:
        operator._on_policy(status_message(DiagnosticStatus.OK, "", "", {"phase": "RUNNING"}))

    def finish() -> None:
        end(operator)
        operator.gate_says("HOLD")

    monkeypatch.setattr(operator, "activate", lambda _: policy_runs())
    start = [wait(1.9), lambda: operator.gate_says("ACTIVE")]
    operator.script = [*start, wait(9.0), finish]
    assert operator.run_episode(7, longest_s=60.0).success
    operator.script = [*start, lambda: operator.gate_says("HOLD"), wait(2.1)]
    with pytest.raises(OperationError, match="not heard any more"):
        operator.run_episode(8, longest_s=60.0)


def test_a_fault_is_left_before_an_episode_and_what_a_hand_stopped_is_not(
    operator: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.gate_says("FAULT", by_hand="")
    operator.script = []
    monkeypatch.setattr(operator, "activate", lambda node: operator.gate_says("HOLD", by_hand=""))
    assert operator.place(3) == BEGIN
    assert operator.transitions == [("gate_node", "deactivate")]
    operator.gate_says("FAULT", by_hand="stopped by the e-stop")
    with pytest.raises(OperationError, match="stays where it was stopped: stopped by the e-stop"):
        operator.place(3)
    operator.gate_says("FAULT", by_hand="")
    monkeypatch.setattr(operator, "activate", lambda node: None)
    with pytest.raises(OperationError, match="the gate is in FAULT"):
        operator.place(3)
