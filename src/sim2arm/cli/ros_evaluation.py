"""Episodes of a bundle through ROS 2 nodes: policy, gate and simulated arm, a process each.

The nodes get a ROS domain of their own on this machine only, so that an evaluation never reaches
a robot. In lock step the arm waits for every command, and episodes pair with those in process;
in real time all three keep their own time.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sim2arm.core import plain
from sim2arm.core.contract import Contract
from sim2arm.policies.verify import load_contract
from sim2arm.sim.robots.actuators import IDEAL
from sim2arm.sim.tasks.base import Task
from sim2arm.sim.tasks.table import describe_task
from sim2arm_ros.dds import RosImportError, install
from sim2arm_ros.launcher import (
    Launch,
    NodeProcess,
    Place,
    policy_graph,
    private_domain,
    simulated_arm,
)

from .errors import UserError, user_input
from .evaluation import Episodes
from .measured import Course, Measured

if TYPE_CHECKING:
    from sim2arm.sim.touch import Touch
    from sim2arm.sim.vision import Vision
    from sim2arm_ros.episode_log import EpisodeLog

_EXTRA_S = 5.0
_LOCK_STEP_S = 120.0


def run_through_ros(
    bundle: Path,
    task: Task,
    seeds: Sequence[int],
    *,
    real_time: bool,
    folder: Path,
    progress: Callable[[int], None] | None = None,
    actuators: str = IDEAL,
    vision: "Vision | None" = None,
    touch: "Touch | None" = None,
    robot: str = "",
) -> Measured:
    """Run one episode per seed through policy_node, gate_node and sim_arm_node.

    Args:
        bundle: policy bundle.
        task: the task, on the contract's robot; the arm builds its like from its settings.
        seeds: of the episodes.
        real_time: keep time with the steady clock instead of waiting for each other.
        folder: where the nodes' logs and the task's settings go.
        progress: called with the number of episodes done.
        actuators: name of what is between law and joints of the simulated arm.
        vision: its cameras.
        touch: its gels.
        robot: whose names for topics, controllers, modes and gripper it has; see `read_graph`.

    Raises:
        UserError: no rclpy here, a bundle that is not as exported, or nodes that do not come up.
    """
    try:
        install()
    except RosImportError as error:
        raise UserError(str(error)) from error
    from sim2arm_ros.supervisor import OperationError, Supervisor

    with user_input("bundle"):
        contract = load_contract(bundle)
    lock_step, env, place = not real_time, private_domain(), Place(robot=robot)
    nodes = [
        arm_process(
            task,
            contract,
            folder,
            lock_step=lock_step,
            actuators=actuators,
            vision=vision,
            touch=touch,
            place=place,
        ),
        *policy_graph(bundle, place=place, lock_step=lock_step, flights=folder / "flights"),
    ]
    longest_s = _LOCK_STEP_S if lock_step else task.cfg.max_steps * contract.period + _EXTRA_S
    logs: list[EpisodeLog] = []
    try:
        with (
            Launch(nodes, log_folder=folder, env=env) as launch,
            Supervisor(alive=launch.dead, env=env) as supervisor,
        ):
            supervisor.configure()
            supervisor.activate("gate_node")
            for seed in seeds:
                logs.append(supervisor.run_episode(seed, longest_s))
                if progress is not None:
                    progress(len(logs))
            report = supervisor.report() | {"bundle": str(bundle), "robot": contract.robot}
    except OperationError as error:
        raise UserError(f"{error}; logs are in {folder}") from error
    return _collect(logs, contract, report, real_time=real_time)


def arm_process(
    task: Task,
    contract: Contract,
    folder: Path,
    *,
    lock_step: bool,
    actuators: str,
    vision: "Vision | None",
    touch: "Touch | None",
    place: Place,
) -> NodeProcess:
    """Return a simulated arm as a process; what it is built with is written to a folder.

    Args:
        task: that the arm builds the like of from its settings.
        contract: of the policy: robot and rate.
        folder: where the settings go.
        lock_step: let the arm wait for every command.
        actuators: name of what is between law and joints.
        vision: its cameras.
        touch: its gels.
        place: whose names it has.
    """
    name, text = describe_task(task)
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "task.yaml"
    settings.write_text(text, encoding="utf-8")
    return simulated_arm(
        name, contract.robot, contract.control_hz, lock_step=lock_step, settings=settings,
        actuators=actuators, vision=write_record(folder / "vision.yaml", vision),
        touch=write_record(folder / "touch.yaml", touch), place=place,
    )  # fmt: skip


def write_record(path: Path, record: "Vision | Touch | None") -> Path | None:
    """Write what a simulated arm is built with for its node; return the path, None for nothing."""
    if record is None:
        return None
    path.write_text(plain.dump_yaml(plain.to_plain(record)), encoding="utf-8")
    return path


def _collect(
    logs: "Sequence[EpisodeLog]", contract: Contract, report: Mapping[str, Any], *, real_time: bool
) -> Measured:
    width = contract.action.dim
    actions = [np.array(log.actions, dtype=np.float32).reshape(-1, width) for log in logs]
    return Measured(
        episodes=Episodes(
            seeds=tuple(log.seed for log in logs),
            success=np.array([log.success for log in logs], dtype=bool),
            steps=np.array([len(each) for each in actions], dtype=np.int64),
            slowed=sum(log.slowed for log in logs),
            refused=sum(log.refused for log in logs),
            ticks=sum(len(each) for each in actions),
            actions=tuple(actions),
            endings=tuple(log.ended or "broken off" for log in logs),
        ),
        real_time=real_time,
        courses=tuple(_course(log, real_time=real_time) for log in logs),
        activation=report,
    )


def _course(log: "EpisodeLog", *, real_time: bool) -> Course:
    # In lock step every control step of the arm answers an action; in real time it has its own.
    lost = 0 if real_time or not log.ended else max(0, log.steps - len(log.actions))
    return Course(
        latency_ms=1e3 * np.array(log.latency_s, dtype=np.float64),
        missed=log.missed,
        late=log.late,
        slowed=log.slowed,
        refused=log.refused,
        unheard=len(log.unheard) + lost,
        reason=log.reason,
    )
