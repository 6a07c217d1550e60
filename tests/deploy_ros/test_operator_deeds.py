# pyright: standard, reportMissingModuleSource=false
"""The buttons of the operator's page, against services that answer as the test says."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from sim2arm_ros import operator_deeds  # noqa: E402
from sim2arm_ros.activation import equal  # noqa: E402
from sim2arm_ros.gate_machine import HELD  # noqa: E402
from sim2arm_ros.operator_deeds import Deeds  # noqa: E402
from sim2arm_ros.operator_state import OperatorState  # noqa: E402


class FakeFuture:
    def __init__(self, result: Any) -> None:
        self._result = result

    def done(self) -> bool:
        return self._result is not None

    def result(self) -> Any:
        return self._result

    def cancel(self) -> None:
        pass


class World:
    """Gate and policy as the page sees them; notes what they are asked."""

    def __init__(self) -> None:
        self.state = OperatorState()
        self.lifecycle = {"/gate_node": "active", "/policy_node": "inactive"}
        self.gate = {"state": "HOLD", "ready": "True", "not_ready": "", "active": "True"}
        self.phase: tuple[str, str] = ("IDLE", "")
        self.asked: list[str] = []
        self.silent: set[str] = set()
        self.refuses: set[str] = set()
        self.begins: tuple[str, str] = ("RUNNING", "")
        self.before: Callable[[str], None] = lambda _: None

        def client(kind: Any, name: str) -> Any:
            return SimpleNamespace(call_async=lambda request: self.call(name, request))

        self.deeds = Deeds(self.state, client)

    def call(self, name: str, request: Any) -> FakeFuture:
        label = getattr(getattr(request, "transition", None), "label", "")
        words = f"{name} {label}".strip()
        self.before(words)
        if "get_state" not in name:
            self.asked.append(words)
        if name in self.silent or words in self.silent:
            return FakeFuture(None)
        return FakeFuture(self.answer(name, label, words))

    def answer(self, name: str, label: str, words: str) -> Any:
        node, _, service = name.rpartition("/")
        good = words not in self.refuses
        if service == "get_state":
            return SimpleNamespace(current_state=SimpleNamespace(label=self.lifecycle[node]))
        if service == "change_state":
            after = {"configure": "inactive", "deactivate": "inactive", "activate": "active"}
            if good:
                self.lifecycle[node] = after[label]
                if node == "/policy_node" and label == "activate":
                    self.phase = self.begins
            return SimpleNamespace(success=good)
        if service == "hold":
            self.gate |= {"state": "HOLD", "ready": "False", "not_ready": HELD}
        if service == "reset" and node == "/gate_node" and good:
            self.gate |= {"state": "HOLD", "ready": "True", "not_ready": ""}
        if service == "set_parameters":
            return SimpleNamespace(results=[SimpleNamespace(successful=good, reason="no")])
        return SimpleNamespace(success=good, message="done" if good else "gains of joint 2")

    def step(self) -> None:
        now = time.monotonic()
        self.state.hear_gate(self.gate, "", now)
        self.state.asker.hear({"phase": self.phase[0]}, self.phase[1], now)
        self.deeds.step()

    def run(self) -> str:
        """Go on until nothing is under way; return the last line without its time."""
        end = time.monotonic() + 20.0
        while time.monotonic() < end:
            self.step()
            if not self.deeds.busy:
                return self.state.deeds[-1].split(" ", 1)[1]
        raise AssertionError(f"still busy: {self.deeds.busy}")


@pytest.fixture
def world() -> World:
    world = World()
    world.step()
    return world


def test_start_brings_up_what_is_not_and_says_that_it_moves(world: World) -> None:
    world.lifecycle = dict.fromkeys(world.lifecycle, "unconfigured")
    world.deeds.start()
    assert world.run() == "start: it moves"
    assert world.asked == [
        "/gate_node/change_state configure", "/policy_node/change_state configure",
        "/gate_node/change_state activate", "/policy_node/change_state activate",
    ]  # fmt: skip


def test_start_after_a_hold_lifts_it_only_once_nobody_waits(world: World) -> None:
    world.lifecycle["/policy_node"] = "active"  # stopped, or waiting for the gate
    world.gate |= {"ready": "False", "not_ready": HELD}
    world.step()
    world.deeds.start()
    assert world.run() == "start: it moves"
    assert world.asked == [
        "/policy_node/change_state deactivate", "/gate_node/reset",
        "/policy_node/change_state activate",
    ]  # fmt: skip


def test_start_is_refused_with_the_reason_of_the_gate(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.gate["state"] = "FAULT"
    world.step()
    world.state.gate.reason = "e-stop"
    world.deeds.start()
    world.deeds.step()
    assert world.state.deeds[-1].endswith("start: refused: FAULT: e-stop; reset first")
    assert world.asked == []
    monkeypatch.setattr(operator_deeds, "READY_S", 0.02)
    world.gate |= {"state": "HOLD", "ready": "False", "not_ready": "the arm is not at rest"}
    world.step()
    world.deeds.start()
    assert world.run() == "start: refused by the gate: the arm is not at rest"
    assert world.asked == []  # the policy was never activated


def test_start_is_refused_by_a_red_report(world: World) -> None:
    world.state.reports["gate_node"] = [equal("controller", "active", "inactive", "load it")]
    world.lifecycle["/gate_node"] = "inactive"
    world.refuses = {"/gate_node/change_state activate"}
    world.deeds.start()
    said = world.run()
    assert said == "start: refused: controller: expected active, got inactive (load it)"
    assert "/policy_node/change_state activate" not in world.asked


def test_a_policy_that_stops_at_once_is_no_start(world: World) -> None:
    world.begins = ("STOPPED", "input 'scene_rgb': stamp age")
    world.deeds.start()
    assert world.run() == "start: it did not begin: input 'scene_rgb': stamp age"
    assert world.lifecycle["/policy_node"] == "inactive"


def test_a_policy_that_is_not_let_in_does_not_wait_for_it(world: World) -> None:
    world.begins = ("WAITING", "waiting for the gate")
    world.deeds.start()
    assert world.run() == "start: it did not begin: waiting for the gate"
    assert world.lifecycle["/policy_node"] == "inactive"  # nor moves when nobody thinks of it


def test_a_hold_is_lifted_before_the_gate_is_activated(world: World) -> None:
    world.gate |= {"ready": "False", "not_ready": HELD}
    world.lifecycle["/gate_node"] = "inactive"
    world.deeds.start()
    assert world.run() == "start: it moves"
    asked = world.asked
    assert asked.index("/gate_node/reset") < asked.index("/gate_node/change_state activate")


def test_a_hold_goes_out_at_once_and_nothing_of_a_start_after_it(world: World) -> None:
    world.lifecycle["/policy_node"] = "active"
    world.gate |= {"ready": "False", "not_ready": HELD}
    pressed: list[int] = []

    def press(words: str) -> None:
        if words == "/gate_node/reset" and not pressed:  # as late as can be
            pressed.append(len(world.asked))
            world.before = lambda _: None

    world.before = press
    world.step()
    world.deeds.start()
    while not pressed:
        world.step()
    world.deeds.hold()
    assert world.asked[-1] == "/gate_node/hold"  # in the thread that pressed
    begun = len(world.asked)
    assert world.run().startswith("hold: the gate holds, confirmed in")
    assert any("start: ended by the hold" in line for line in world.state.deeds)
    # Once more, as a reset was on its way; and whoever waited for the gate waits no longer.
    assert world.asked[begun:] == ["/gate_node/hold", "/policy_node/change_state deactivate"]
    assert world.gate["not_ready"] == HELD and world.lifecycle["/policy_node"] == "inactive"


def test_a_hold_that_is_not_confirmed_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator_deeds, "HOLD_S", 0.02)
    world.silent = {"/gate_node/hold"}
    world.deeds.hold()
    assert "NOT CONFIRMED: no answer of /gate_node/hold within" in world.run()
    assert "Use the emergency stop!" in world.state.deeds[-1]
    world.silent = set()  # and it can be pressed again
    world.deeds.hold()
    assert "the gate holds" in world.run()


def test_a_service_that_cannot_be_called_says_so(world: World) -> None:
    def broken(_: str) -> None:
        raise RuntimeError("of another vendor")

    world.before = broken
    world.deeds.hold()
    assert "NOT CONFIRMED: of another vendor" in world.state.deeds[-1]
    world.deeds.reset()
    assert world.run() == "reset: /policy_node/get_state: of another vendor"


def test_a_reset_lets_nobody_go_on(world: World) -> None:
    world.lifecycle["/policy_node"] = "active"
    world.deeds.reset()
    assert world.run() == "reset: the gate is in HOLD; Start lets it move"
    assert world.asked == ["/policy_node/change_state deactivate", "/gate_node/reset"]
    world.refuses = {"/gate_node/reset"}
    world.deeds.reset()
    assert world.run() == "reset: refused by the gate: gains of joint 2"


def test_one_thing_at_a_time_but_for_a_hold(world: World) -> None:
    world.deeds.start()
    world.deeds.reset()
    assert "reset: not now" in world.state.deeds[-1]
    world.deeds.hold()
    assert "the gate holds" in world.run()


def test_other_buttons(world: World) -> None:
    world.deeds.record("start")
    assert world.run() == "record start: done"
    world.deeds.begin_episode(7)
    assert world.run() == "new episode: the arm is at the start of seed 7; Start lets it move"
    assert world.asked == [
        "/recorder_node/start", "/gate_node/hold", "/sim_arm/set_parameters", "/sim_arm/reset",
        "/gate_node/reset",
    ]  # fmt: skip
    world.refuses = {"/sim_arm/set_parameters"}
    world.deeds.begin_episode(7)
    assert world.run() == "new episode: episode_seed: no"
