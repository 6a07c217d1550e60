# pyright: standard, reportMissingModuleSource=false
"""Lifecycle transitions at random while an arm runs and a policy asks; two nodes of one name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import pytest

from sim2arm.cli.table import Row
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from std_srvs.srv import Trigger  # noqa: E402

from sim2arm_ros.launcher import NodeProcess  # noqa: E402
from tests.tables import Table  # noqa: E402

from .rig import Rig, assert_stopped  # noqa: E402
from .swinging import write_swinging  # noqa: E402

pytestmark = pytest.mark.timeout(120)
WALKS, STEPS = 1000, 6
NODES = ("gate_node", "policy_node")
LABELS = ("configure", "activate", "deactivate", "cleanup")
GOALS = {
    ("unconfigured", "configure"): "inactive",
    ("inactive", "activate"): "active",
    ("active", "deactivate"): "inactive",
    ("inactive", "cleanup"): "unconfigured",
}
UPWARDS = {"unconfigured": "configure", "inactive": "activate", "active": "deactivate"}
WIRE_S = 0.05
"""How long a command may be on its way after its publisher was closed [s]."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("walks")
    rig = Rig(write_swinging(folder / "bundle"), folder / "logs")
    yield rig
    rig.close()


@dataclass
class Walks:
    """Walks through the lifecycles of gate and policy, one after another."""

    rig: Rig
    random: np.random.Generator
    states: dict[str, str] = field(default_factory=lambda: dict.fromkeys(NODES, "unconfigured"))
    active: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """From asking for the second activation to the answer to a deactivation, by steady time [s]."""
    asked: int = 0
    """Transitions."""
    through_active: int = 0
    """Walks in which commands came."""
    commands: int = 0
    counted: int = 0
    """Commands that the witness has not judged yet."""
    wrong: list[str] = field(default_factory=list[str])

    def walk(self) -> None:
        """Make transitions of either node, most of them upwards; judge every command."""
        rig = self.rig
        if rig.state() == "FAULT":
            rig.operator.call(Trigger, "/gate_node/reset", Trigger.Request())
        if not self._both():
            rig.operator.reset_arm(seed=0)  # where there is room to swing
        for _ in range(STEPS):
            node, state = str(self.random.choice(NODES)), self.states
            label = UPWARDS[state[node]]
            if self.random.random() < 0.3:
                label = str(self.random.choice(LABELS))
            self._ask(node, label)
            rig.pause(float(self.random.uniform(0.0, 0.6 if self._both() else 0.1)))
        rig.pause(WIRE_S)
        heard = [at for at, _ in rig.relay.commands[self.counted :]]
        outside = [at for at in heard if not any(a <= at <= b + WIRE_S for a, b in self.active)]
        if outside:
            last = max((b for _, b in self.active), default=-np.inf)
            self.wrong.append(
                f"{len(outside)} commands while not both were active, the last "
                f"{outside[-1] - last:.3f} s after"
            )
        self.commands += len(heard)
        self.through_active += bool(heard)
        self.counted += len(heard)
        if not self._both():  # the witness judges whole runs
            rig.judge()
            self.counted, self.active = 0, []
        rig.relay.states.clear()

    def _both(self) -> bool:
        return all(state == "active" for state in self.states.values())

    def _ask(self, node: str, label: str) -> None:
        """Ask for a transition; a report may be red for a moment."""
        state, began, took = self.states[node], time.monotonic(), False
        goal = GOALS.get((state, label))
        for _ in range(8 if goal == "active" else 1):
            took = self.rig.operator.transition(node, label)
            self.asked += 1
            if took or goal != "active":
                break
            self.rig.pause(0.1)
        if took is not (goal is not None) and goal != "active":
            self.wrong.append(f"{label} of {node}, which is {state}: {took}")
        if not took or goal is None:
            return
        was = self._both()
        self.states[node] = goal
        if self._both():
            self.active.append((began, np.inf))
        elif was:
            self.active[-1] = (self.active[-1][0], time.monotonic())


def test_walks_that_pass_through_active_publish_nothing_outside(rig: Rig) -> None:
    walks = Walks(rig, np.random.default_rng(5))
    for _ in range(8):
        walks.walk()
    assert walks.wrong == [] and walks.through_active >= 1
    bring_down(walks)


@pytest.mark.faults
@pytest.mark.timeout(4 * 3600)
def test_a_thousand_walks_past_an_arm_that_runs(rig: Rig, table: Table) -> None:
    walks, case = Walks(rig, np.random.default_rng(1)), "lifecycle of gate and policy, an arm runs"
    for _ in range(WALKS):
        walks.walk()
    harm = min(len(walks.wrong), WALKS)
    table.none_of(case, "walks with commands outside, wrong answers", harm, WALKS, seed=1)
    for name in ("asked", "through_active", "commands"):
        table.add(Row(case=case, metric=name, value=getattr(walks, name)))
    assert walks.wrong == [] and walks.through_active > 0.2 * WALKS
    bring_down(walks)


def bring_down(walks: Walks) -> None:
    """Leave both nodes as they were, and no commands for the walks of others."""
    for node in reversed(NODES):
        walks.rig.operator.renew(node)
    walks.rig.pause(WIRE_S)
    walks.rig.judge()


# -- two nodes of one name ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["gate_node", pytest.param("policy_node", marks=pytest.mark.faults)]
)
def test_a_second_node_of_the_same_name_never_moves_the_arm_as_well(rig: Rig, name: str) -> None:
    """Services reach both: what is asked of one is asked of the other."""
    rig.swing()
    first = rig.launch.processes[name]
    again = NodeProcess(
        executable=name,
        parameters={"bundle": str(rig.bundle), "use_sim_time": True}
        | ({"real_hardware": False} if name == "gate_node" else {}),
    )
    second = rig.launch.start(again, rig.env)
    rig.launch.processes[name] = first
    try:
        rig.wait(lambda: count_of(rig, name) == 2, "second node")
        heard = len(rig.relay.commands)
        for _ in range(5):  # until they reach the second, whose services come a moment later
            for label in ("configure", "activate"):
                rig.operator.transition(name, label)
            rig.pause(0.3)
        if name == "gate_node":  # it would command as well: the first sees its publisher
            rig.wait(rig.policy_stopped, "policy that stops")  # `~/state` is of both
            assert_stopped(rig, time.monotonic())
            assert "FAULT: 2 publishers" in rig.launch.tail(name, 40) and rig.red(name)
        else:  # nobody is let in while somebody is active
            assert rig.state() != "FAULT", rig.reason()
        tags = [message.header.frame_id for _, message in rig.relay.commands[heard:]]
        assert len(tags) == len(set(tags))  # nobody commands a tick twice
        runs = [run for run, _ in groupby(tag.partition("/")[0] for tag in tags)]
        assert len(runs) == len(set(runs))  # one after the other, never two at once
    finally:
        rig.end_process(second, name)
    rig.judge()


def count_of(rig: Rig, name: str) -> int:
    """Return how many nodes of a name the graph shows."""
    return rig.operator.node.get_node_names().count(name)
