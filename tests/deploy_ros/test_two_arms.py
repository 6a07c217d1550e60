# pyright: standard, reportMissingModuleSource=false
"""Two arms side by side: a gate each, in namespaces, with prefixed joints, over one DDS domain."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim2arm.core.robots import FR3
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from std_srvs.srv import Trigger  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402

from sim2arm_ros.launcher import (  # noqa: E402
    Launch,
    Place,
    policy_graph,
    private_domain,
    simulated_arm,
)
from sim2arm_ros.node_support import streaming  # noqa: E402
from sim2arm_ros.supervisor import Supervisor  # noqa: E402

from .swinging import write_swinging  # noqa: E402

pytestmark = pytest.mark.timeout(120)
SIDES = ("left", "right")
PATIENCE = 20.0


class Pair:
    """The processes of both arms, an operator of each, and every command that was heard."""

    def __init__(self, folder: Path) -> None:
        bundle, env = write_swinging(folder / "bundle"), private_domain()
        places = [Place(robot="fr3", prefix=f"{side}_", namespace=f"/{side}") for side in SIDES]
        nodes = [
            node
            for place in places
            for node in (
                simulated_arm("reach", "fr3", 60.0, lock_step=True, place=place),
                *policy_graph(bundle, place=place, lock_step=True, flights=folder / "flights"),
            )
        ]
        self._stack = contextlib.ExitStack()
        launch = self._stack.enter_context(Launch(nodes, log_folder=folder, env=env))
        self.arms = {
            side: self._stack.enter_context(
                Supervisor(alive=launch.dead, env=env, namespace=f"/{side}")
            )
            for side in SIDES
        }
        self.commands: dict[str, list[JointTrajectory]] = defaultdict(list)
        for side, arm in self.arms.items():
            topic = "joint_trajectory_controller/joint_trajectory"
            arm.node.create_subscription(
                JointTrajectory, topic, self.commands[side].append, streaming(100)
            )

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    made = Pair(tmp_path_factory.mktemp("two"))
    yield made
    made.close()


def test_each_arm_moves_behind_its_own_gate_and_stops_alone(pair: Pair) -> None:
    for side, arm in pair.arms.items():
        arm.configure()
        arm.activate("gate_node")
        arm.activate("policy_node")
        heard = pair.commands[side]
        arm.spin_until(lambda heard=heard: len(heard) > 20, PATIENCE, f"commands of the {side}")
        names = [f"{side}_{name}" for name in FR3.joint_names]
        assert all(list(message.joint_names) == names for message in heard)
    left, right = pair.arms.values()
    assert left.gate["session"] != right.gate["session"]
    report = {item.name: item for item in left.reports["gate_node"]}
    assert report["publishers of commands"].measured == "1"  # the other gate is none of its own
    assert report["robot mode"].ok
    assert left.call(Trigger, "gate_node/estop", Trigger.Request()).success
    left.spin_until(lambda: left.gate.get("state") == "FAULT", PATIENCE, "FAULT")
    stopped, moving = len(pair.commands["left"]), len(pair.commands["right"])
    right.spin_until(lambda: len(pair.commands["right"]) > moving + 20, PATIENCE, "right arm")
    left.spin_until(lambda: True, PATIENCE, "news")
    assert right.gate["state"] == "ACTIVE"
    assert len(pair.commands["left"]) <= stopped + 1
