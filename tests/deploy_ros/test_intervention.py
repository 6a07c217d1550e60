# pyright: standard, reportMissingModuleSource=false
"""A person and a policy on one arm: who acts in a tick, and that no hand-over makes it jump."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.core.contract import Contract, ExecutorSpec
from sim2arm.core.executor import ChunkExhausted
from sim2arm.core.joint_targets import as_joint_targets
from sim2arm.core.robots import FR3
from sim2arm.core.spec import StaleReading
from sim2arm.sensors.teleop.base import TeleopReading
from sim2arm.sensors.teleop.following import FollowCfg
from sim2arm.sensors.teleop.person import TeleopCfg
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from sensor_msgs.msg import JointState  # noqa: E402

from sim2arm_ros.gate import Gate, GateCfg  # noqa: E402
from sim2arm_ros.intervention import Intervention  # noqa: E402
from sim2arm_ros.node_support import streaming  # noqa: E402
from sim2arm_ros.policy_session import PolicySession  # noqa: E402

from .rig import Rig, assert_speed  # noqa: E402
from .swinging import swinging_contract, write_swinging  # noqa: E402
from .test_policy_session import DT_NS, START, Scripted, gripping_contract, push_all  # noqa: E402
from .witness import assert_fine  # noqa: E402

HOME = np.asarray(FR3.home)
AWAY = np.array([0.0, 0.0, 0.0, 1.0])
UP = np.array([0.0, 0.0, 0.5, 0.0, 0.0, 0.0])


class Hand:
    """A device that says what the test sets."""

    kind: Any = "twist"
    joint_names: tuple[str, ...] = ()

    def __init__(self, *, leader: bool = False) -> None:
        self.clutch, self.silent = False, False
        self.twist, self.joints = np.zeros(6), HOME.copy()
        self.presses: dict[str, int] = {}
        self.now_ns, self._sequence = 0, 0
        if leader:
            self.kind, self.joint_names = "joints", FR3.joint_names

    def read(self) -> TeleopReading:
        if self.silent:
            raise StaleReading("the hand is silent")
        self._sequence += 1
        twist, joints = (None, self.joints) if self.kind == "joints" else (self.twist, None)
        return TeleopReading(
            sequence=self._sequence, stamp_ns=self.now_ns, receipt_ns=self.now_ns, twist=twist,
            joints=joints, clutch=self.clutch, presses=dict(self.presses),
        )  # fmt: skip

    def close(self) -> None: ...


@dataclass
class Arm:
    """A policy, a person, and a gate that must pass all that they ask for."""

    session: PolicySession
    person: Intervention
    hand: Hand
    policy: Scripted
    gate: Gate
    tick: int = 0
    asked: float = 0.0
    whose: list[str] = field(default_factory=list[str])

    def run(self, ticks: int = 1) -> list[bool]:
        """Return by tick whether the policy's action was not done."""
        found = []
        for _ in range(ticks):
            self.tick += 1
            now = self.hand.now_ns = START + self.tick * DT_NS
            q = self.gate.commanded()[0][0]
            push_all(self.session, now, q)
            if self.session.contract.grips:
                self.session.push("gripper_width", np.array([0.04]), now, now, now)
            request = self.session.act(self.session.sample(now, now), now, now)
            assert self.gate.step(request.q[None], request.dq[None]).share[0] == 1.0
            found.append(self.session.who != "policy")
            self.whose.append(self.session.who)
            self.asked = float(np.abs(request.dq).max())
        return found


def make_arm(
    answer: Callable[[int], Any] = lambda k: 0.3,
    contract: Contract | None = None,
    cfg: TeleopCfg | None = None,
    *,
    leader: bool = False,
) -> Arm:
    contract, hand = contract or swinging_contract(), Hand(leader=leader)
    person = Intervention(hand, contract, cfg or TeleopCfg())  # type: ignore[arg-type]
    policy = Scripted(contract, answer)
    session = PolicySession(policy, FR3, person=person)  # type: ignore[arg-type]
    push_all(session, START)
    if contract.grips:
        session.push("gripper_width", np.array([0.04]), START, START, START)
    session.begin(HOME)
    return Arm(session, person, hand, policy, Gate(FR3, 1.0 / 60.0, GateCfg(), HOME[None].copy()))


# -- by hand -----------------------------------------------------------------------------------


def test_a_closed_clutch_takes_over_and_an_open_one_gives_back() -> None:
    arm = make_arm(lambda k: np.array([0.0, 0.4, 0.0, 0.0, 0.0, 0.0]))
    assert arm.run(30) == [False] * 30
    arm.hand.clutch = True
    assert arm.run(2) == [True] * 2
    arm.hand.twist = UP
    assert arm.run(30) == [True] * 30
    np.testing.assert_allclose(arm.session.action[[0, 1]], 0.0)
    assert arm.session.action[2] > 0.1
    arm.hand.clutch = False
    assert arm.run(30) == [False] * 30
    np.testing.assert_allclose(arm.session.action[1], 0.4, atol=1e-6)
    assert arm.policy.calls == 92  # it was asked in every tick


def test_a_device_has_to_rest_once_before_it_takes_over() -> None:
    arm = make_arm()
    arm.run()
    arm.hand.clutch, arm.hand.twist = True, UP
    assert arm.run(5) == [False] * 5
    arm.hand.twist = 0.0 * UP
    assert arm.run(2) == [True, True]


def test_a_device_that_falls_silent_makes_the_arm_stand_until_somebody_took_over() -> None:
    arm = make_arm()
    arm.run(20)
    arm.hand.silent = True
    assert arm.run(60) == [True] * 60 and arm.asked < 2e-3
    assert set(arm.whose[-60:]) == {"nobody"}
    assert arm.person.ask.state == "silent"
    arm.hand.silent = False
    assert arm.run(30) == [True] * 30 and arm.asked < 1e-3  # it is back: nobody goes on alone
    assert arm.person.ask.why == (
        "the device was silent: take over once, then the policy goes on (the clutch is open)"
    )
    arm.hand.clutch = True
    arm.run(2)
    assert arm.person.ask.state == "engaged"
    arm.hand.clutch = False
    assert arm.run(2) == [False, False]


def test_the_gripper_goes_on_from_where_the_policy_left_it() -> None:
    arm = make_arm(lambda k: np.array([0.0] * 6 + [-1.0]), gripping_contract())
    arm.run(5)
    arm.hand.clutch = True
    arm.run(5)
    assert arm.session.who == "human" and arm.session.action[6] == -1.0
    arm.hand.presses = {"gripper_open": 1}
    arm.run()
    assert arm.session.action[6] == 1.0


def joints_contract() -> Contract:
    return as_joint_targets(swinging_contract())


@pytest.mark.parametrize("mode", ["absolute", "relative"])
def test_a_leader_arm_takes_over_where_the_policy_brought_the_arm(mode: Any) -> None:
    there = HOME + np.array([0.1, -0.05, 0.1, 0.0, 0.05, 0.0, 0.1])
    arm = make_arm(
        lambda k: there, joints_contract(), TeleopCfg(follow=FollowCfg(mode=mode)), leader=True
    )
    arm.run(120)
    np.testing.assert_allclose(arm.gate.commanded()[0][0], there, atol=1e-3)
    arm.hand.clutch, arm.hand.joints = True, there + (0.1 if mode == "absolute" else 1.0)
    assert arm.run(30) == [True] * 30
    arm.hand.joints = arm.hand.joints + 0.05
    assert all(arm.run(60))
    wanted = there + (0.15 if mode == "absolute" else 0.05)
    np.testing.assert_allclose(arm.gate.commanded()[0][0], wanted, atol=2e-3)
    arm.hand.clutch = False
    assert not any(arm.run(120))
    np.testing.assert_allclose(arm.gate.commanded()[0][0], there, atol=1e-3)


def test_a_leader_that_is_elsewhere_does_not_take_over() -> None:
    arm = make_arm(lambda k: HOME, joints_contract(), leader=True)
    arm.run()
    arm.hand.clutch, arm.hand.joints = True, HOME + 0.5
    assert arm.run(20) == [False] * 20
    assert arm.person.ask.state == "held" and "move the leader" in arm.person.ask.why


def chunk_contract(kind: Any, **executor: Any) -> Contract:
    spec = replace(swinging_contract().action, horizon=8)
    return swinging_contract(action=spec, executor=ExecutorSpec(kind=kind, **executor))


def test_after_a_take_over_a_chunk_is_made_for_where_the_arm_is() -> None:
    arm = make_arm(lambda k: 0.1 * k, chunk_contract("receding", execute=8))
    arm.run(3)
    assert arm.policy.calls == 1
    arm.hand.clutch = True
    arm.run(3)
    arm.hand.clutch = False
    assert arm.run() == [False] and arm.policy.calls == 2
    np.testing.assert_allclose(arm.session.action, 0.1, atol=1e-6)


def test_a_policy_without_an_answer_stops_unless_the_person_acts() -> None:
    contract = chunk_contract("receding", execute=8)
    arm = make_arm(lambda k: 0.1, replace(contract, action=replace(contract.action, t0_s=0.05)))
    with pytest.raises(ChunkExhausted):
        arm.run()
    arm.hand.clutch = True
    assert arm.run(2) == [True, True]


def test_the_arm_stands_while_the_policy_thinks_for_a_second_at_most() -> None:
    arm = make_arm()
    arm.run()
    arm.hand.clutch = True
    arm.run(3)
    arm.hand.clutch, start = False, START + 4 * DT_NS
    for late, may in ((0, True), (900_000_000, True), (1_100_000_000, False)):
        arm.hand.now_ns = start + late
        arm.person.look(arm.hand.now_ns, AWAY, HOME)
        assert arm.person.let_go == (late == 0) and arm.person.may_miss == may
        action, who = arm.person.choose(None)
        assert who == "nobody" and not action.any()
    assert arm.person.choose(np.ones(6, np.float32))[1] == "policy" and not arm.person.may_miss


def test_a_clutch_that_was_closed_before_the_run_takes_over_only_when_it_closes_again() -> None:
    """A leader without a clutch always says that it is closed."""
    arm = make_arm(lambda k: HOME, joints_contract(), leader=True)
    arm.hand.clutch = True
    assert arm.person.refusal().startswith("the clutch is closed: open it once")
    assert arm.run(10) == [False] * 10
    arm.hand.clutch = False
    arm.run()
    assert arm.person.refusal() == ""
    arm.hand.clutch = True
    assert arm.run(2) == [True, True]


def test_what_goes_wrong_while_the_clutch_is_closed_lets_the_arm_stand() -> None:
    arm = make_arm(lambda k: HOME + 0.2, joints_contract(), leader=True)
    arm.run(3)
    arm.hand.joints, arm.hand.clutch = arm.gate.commanded()[0][0], True
    arm.run(5)
    arm.hand.joints = arm.hand.joints + np.array([1.0, 0, 0, 0, 0, 0, 0])  # an encoder that jumps
    assert arm.run(40) == [True] * 40 and arm.asked < 2e-3
    assert arm.person.ask.state == "held" and set(arm.whose[-40:]) == {"nobody"}
    arm.hand.clutch = False
    assert arm.run() == [False]


def test_a_second_run_knows_nothing_of_the_first() -> None:
    arm = make_arm(lambda k: np.array([0.0] * 6 + [-1.0]), gripping_contract())
    arm.hand.presses = {"quit": 1}
    arm.run(5)
    assert arm.person.ask.presses == ()  # pressed before the run
    arm.session.begin(HOME)
    arm.hand.silent = True
    now = arm.hand.now_ns + DT_NS
    push_all(arm.session, now, HOME)
    arm.session.push("gripper_width", np.array([0.04]), now, now, now)
    arm.session.act(arm.session.sample(now, now), now, now)
    assert arm.session.who == "nobody"
    assert arm.session.action[6] == pytest.approx(0.0)  # half open, as the gripper is


def test_a_chunk_that_was_forgotten_does_not_write_into_the_next_run() -> None:
    """The policy is slow, in a thread: it is waited for before its memory is reset."""
    entered, go, order = threading.Event(), threading.Event(), list[str]()

    class Slow(Scripted):
        def reset(self, seeds: Any = None) -> None:
            order.append("reset")
            super().reset(seeds)

        def act(self, obs: dict[str, Any]) -> np.ndarray:
            if self.calls:
                entered.set()
                assert go.wait(5.0)
                order.append("answered")
            return super().act(obs)

    contract, hand = chunk_contract("ahead", execute=2, delay=1), Hand()
    policy = Slow(contract, lambda k: 0.1)
    person = Intervention(hand, contract, TeleopCfg())  # type: ignore[arg-type]
    session = PolicySession(policy, FR3, beside=True, person=person)  # type: ignore[arg-type]
    push_all(session, START)
    session.begin(HOME)
    gate = Gate(FR3, 1.0 / 60.0, GateCfg(), HOME[None].copy())
    arm = Arm(session, person, hand, policy, gate)
    arm.run(4)
    assert entered.wait(5.0)
    hand.clutch = True
    arm.run(2)
    hand.clutch = False
    arm.run()
    threading.Timer(0.2, go.set).start()
    session.begin(HOME)
    assert order[:2] == ["reset", "answered"] and order[-1] == "reset"
    session.acting.close()


@pytest.mark.parametrize(
    ("contract", "leader", "cfg", "words"),
    [
        (swinging_contract(), True, TeleopCfg(), "asks for ee_delta as the policy does, got one"),
        (joints_contract(), False, TeleopCfg(), "that asks for ee_delta"),
        (swinging_contract(), False, TeleopCfg(clutch="always"), "no policy acts"),
    ],
)
def test_a_device_that_does_not_go_with_the_policy_is_refused(
    contract: Contract, leader: bool, cfg: TeleopCfg, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Intervention(Hand(leader=leader), contract, cfg)  # type: ignore[arg-type]


def test_who_cannot_take_over_says_so() -> None:
    arm = make_arm()
    assert arm.person.refusal() == ""
    arm.hand.silent = True
    assert arm.person.refusal() == "the hand is silent"


# -- real processes ----------------------------------------------------------------------------

SCRIPT = """
- {seconds: 1.2, clutch: false}
- {seconds: 0.2}
- {seconds: 0.8, twist: [0, 0, 0.8, 0, 0, 0]}
- {seconds: 1.0, clutch: false}
- {seconds: 0.6, silent: true}
- {seconds: 0.6, clutch: false}
- {seconds: 0.4}
- {seconds: 60.0, clutch: false}
"""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder: Path = tmp_path_factory.mktemp("intervention")
    script = folder / "script.yaml"
    script.write_text(SCRIPT)
    rig = Rig(write_swinging(folder / "bundle"), folder / "logs", intervene=f"script:{script}")
    yield rig
    rig.close()


def hands(rig: Rig, asked: dict[str, list[int]]) -> bool:
    """Watch a run to the end of the script; return whether nothing else ended it."""
    for ticks in asked.values():
        ticks.clear()
    rig.bring_up()
    rig.judge()
    for label in ("cleanup", "configure"):  # opens the device anew
        assert rig.operator.transition("policy_node", label)
    rig.operator.policy.clear()
    rig.operator.activate("policy_node")
    states: list[str] = []

    def over() -> bool:
        hand = rig.operator.policy.get("hand", "")
        if hand and hand != (states or [""])[-1]:
            states.append(hand)
        return rig.policy_stopped() or (len(states) > 6)

    rig.wait(over, "end of the script")
    rig.pause(0.3)
    good = rig.state() == "ACTIVE" and not rig.policy_stopped()
    if good:
        assert states == ["held", "engaged", "held", "silent", "held", "engaged", "held"]
    rig.operator.transition("policy_node", "deactivate")
    return good


@pytest.mark.timeout(120)
def test_a_person_takes_over_and_gives_back_in_one_run_without_a_jump(rig: Rig) -> None:
    """A busy machine may make the gate hold meanwhile: then once more."""
    asked: dict[str, list[int]] = {"action": [], "intervention": [], "standing": []}

    def note(topic: str, message: JointState) -> None:
        asked[topic].append(int(message.header.frame_id.rpartition("/")[2]))

    for topic in asked:
        rig.relay.create_subscription(
            JointState, f"/policy_node/{topic}", lambda m, t=topic: note(t, m), streaming(100)
        )
    assert any(hands(rig, asked) for _ in range(5))
    # Every tick is asked for by one of them: policy, person, policy, nobody, person, policy.
    ticks = sorted(tick for found in asked.values() for tick in found)
    by_hand = asked["intervention"] + asked["standing"]
    assert all(len(found) > 10 for found in asked.values())
    assert len(set(ticks)) == len(ticks)
    changes = np.flatnonzero(np.diff(np.isin(ticks, by_hand).astype(int)))
    assert len(changes) == 4
    assert len({m.header.frame_id.rpartition("/")[0] for _, m in rig.relay.commands}) == 1
    assert_speed(rig)
    # One motion from rest to rest inside the limits: a jump would show as an acceleration.
    assert_fine([message for _, message in rig.relay.commands], rig.relay.references)
