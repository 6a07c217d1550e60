# pyright: standard, reportMissingModuleSource=false
"""What stops an arm however well it follows: forces and a heartbeat, between real processes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from geometry_msgs.msg import WrenchStamped  # noqa: E402
from rclpy.node import Node  # noqa: E402
from std_msgs.msg import Bool  # noqa: E402

from sim2arm_ros.graph_file import DEFAULT_GRAPH  # noqa: E402
from sim2arm_ros.heartbeat import Heartbeat, HeartbeatCfg  # noqa: E402
from sim2arm_ros.node_support import streaming  # noqa: E402

from .rig import Rig, assert_no_command_since, assert_speed, assert_stopped  # noqa: E402
from .swinging import write_swinging  # noqa: E402
from .test_faults import REACTION  # noqa: E402
from .witness import assert_fine  # noqa: E402

pytestmark = pytest.mark.timeout(120)
GRAPH = """
forces:
  - name: wrist
    topic: wrist/wrench
    type: geometry_msgs/msg/WrenchStamped
    most: 30.0
    most_torque: 3.0
    timeout_s: 0.3
heartbeat: {topic: dead_man, timeout_s: 0.1}
"""


# -- by hand -----------------------------------------------------------------------------------


def test_a_heartbeat_by_hand() -> None:
    watch = Heartbeat(HeartbeatCfg(topic="x", timeout_s=0.1))
    assert watch.problem(5) == "heartbeat: nothing was heard on x"
    assert watch.age_s(5) is None
    watch.hear(True, 1_000_000_000)
    assert watch.problem(1_100_000_000) is None
    assert watch.age_s(1_100_000_000) == pytest.approx(0.1)
    assert watch.problem(1_100_000_001) == "heartbeat: silent for more than 0.1 s"
    assert watch.problem(9_000_000_000, timed=False) is None
    watch.hear(False, 1_100_000_000)
    assert watch.problem(1_100_000_000, timed=False) == (
        "heartbeat: x says that the arm must not move"
    )
    assert watch.age_s(1_100_000_000) is None
    assert Heartbeat(None).problem(10**18) is None


@pytest.mark.parametrize("wrong", [0.0, -1.0, 1.1, float("nan"), float("inf")])
def test_a_timeout_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="heartbeat: timeout_s: expected up to 1"):
        HeartbeatCfg(topic="x", timeout_s=wrong)


# -- real processes ----------------------------------------------------------------------------


class Signs(Node):
    """The sensor of the wrist and the switch in a hand, a hundred times a second."""

    def __init__(self, rig: Rig) -> None:
        super().__init__("signs", context=rig.relay.context)
        self.force, self.torque = 0.0, 0.0
        self.pressed: bool | None = True
        self.told = True
        self._wrench = self.create_publisher(WrenchStamped, "wrist/wrench", streaming(10))
        self._switch = self.create_publisher(Bool, "dead_man", streaming(10))
        self.create_timer(0.01, self.tell)

    def tell(self) -> None:
        if self.told:
            message = WrenchStamped()
            message.wrench.force.x, message.wrench.torque.y = self.force, self.torque
            self._wrench.publish(message)
        if self.pressed is not None:
            self._switch.publish(Bool(data=self.pressed))

    def well(self) -> None:
        self.force, self.torque, self.pressed, self.told = 0.0, 0.0, True, True


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, Signs]]:
    folder = tmp_path_factory.mktemp("stops")
    (folder / "graph.yaml").write_text(DEFAULT_GRAPH.read_text() + GRAPH)
    rig = Rig(
        write_swinging(folder / "bundle"), folder / "logs", graph=folder / "graph.yaml"
    )  # fmt: skip
    signs = Signs(rig)
    rig._executor.add_node(signs)
    yield rig, signs
    rig.close()


@pytest.fixture
def rig(processes: tuple[Rig, Signs]) -> Iterator[Rig]:
    rig, signs = processes
    signs.well()
    rig.relay.states.clear()
    yield rig
    assert_speed(rig)
    assert_fine([message for _, message in rig.relay.commands], rig.relay.references)


def test_nothing_starts_while_one_of_them_is_red(rig: Rig, processes: tuple[Rig, Signs]) -> None:
    signs = processes[1]
    signs.force, signs.pressed = 31.0, None
    rig.pause(0.1)
    assert rig.operator.transition("gate_node", "configure")
    rig.pause(0.5)
    assert not rig.operator.transition("gate_node", "activate")
    rig.wait(lambda: "force: wrist" in rig.red("gate_node"), "red report")
    assert "heartbeat: age" in rig.red("gate_node")
    signs.well()
    rig.bring_up()
    measured = {item.name: item.measured for item in rig.operator.reports["gate_node"]}
    assert measured["force: wrist"] == "0" and float(measured["heartbeat: age"]) < 0.1


@pytest.mark.parametrize(
    ("sign", "reason"),
    [
        ({"force": 31.0}, "wrist: 31.0 N, allowed 30 N"),
        ({"torque": -3.1}, "wrist: 3.10 N m, allowed 3 N m"),
        ({"force": float("nan")}, "wrist: nan N, allowed 30 N"),
        ({"told": False}, "wrist: silent for more than 0.3 s"),
        ({"pressed": False}, "dead_man says that the arm must not move"),
        ({"pressed": None}, "heartbeat: silent for more than 0.1 s"),
    ],
    ids=["force", "torque", "not a number", "no sensor", "released", "no switch"],
)
def test_each_of_them_stops_the_arm_and_it_goes_on_only_with_a_new_session(
    rig: Rig, processes: tuple[Rig, Signs], sign: dict[str, object], reason: str
) -> None:
    since = 0.0
    for _ in range(5):  # a busy machine may make the gate hold for another reason before
        rig.swing()
        vars(processes[1]).update(sign)
        since = time.monotonic()
        rig.wait(rig.policy_stopped, "policy that stops")
        if reason in rig.operator.policy_message:
            break
        processes[1].well()
    assert reason in rig.operator.policy_message and rig.state() == "HOLD"
    assert_stopped(rig, since)
    assert_no_command_since(rig, since, grace=REACTION)
    processes[1].well()
    rig.pause(0.5)
    assert_no_command_since(rig, since, grace=REACTION)  # nobody goes on alone
