"""The nodes through which an arm learns: gate and arm are processes, the asking node is in here.

In simulation they get a ROS domain of their own on this machine.
"""

# pyright: standard

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sim2arm.core import plain
from sim2arm.core.contract import Contract, Provenance
from sim2arm.core.tool_box import ToolBox
from sim2arm.policies.offpolicy import OffPolicy
from sim2arm.policies.verify import load_contract
from sim2arm_ros.launcher import Launch, NodeProcess, policy_graph, private_domain

from .arm_options import find_graph, find_ros, on_hardware, place_of
from .errors import UserError, user_input
from .export import export_learner
from .one_arm import OnlineCfg
from .ros_evaluation import arm_process
from .runs import build_learner, build_task, find_cameras, find_touch

if TYPE_CHECKING:
    from .experiments import TrainCfg
    from .ros_arm import RosArm

GATE = "gate-bundle"
"""In a run folder: the bundle that tells the gate what the policy is; its networks know nothing."""
_HEARS_S = 0.3
"""Time in which the node hears of the gate, which says how it stands ten times a second [s]."""
LOGS = "ros-logs"
"""In a run folder: what the nodes say."""


@contextmanager
def ros_arm(name: str, cfg: TrainCfg, folder: Path) -> Generator[RosArm]:
    """Give the arm of an experiment behind nodes, with the device of who may take over.

    Raises:
        UserError: no ROS, no such arm or device, or nodes that do not come up.
    """
    online, real = cfg.online, cfg.online.where == "robot"
    find_ros(online.arm, real=real)
    if os.environ.get("ROS_SECURITY_ENABLE", "").lower() == "true":
        raise UserError(
            "--online.where: the node that asks would be in the enclave of the operator, who may "
            "not ask: learn in a ROS domain that is not secured"
        )
    from sim2arm_ros.learner_node import joined
    from sim2arm_ros.supervisor import OperationError, Supervisor

    from .ros_arm import RosArm

    bundle, logs, place = _gate_bundle(name, cfg, folder), folder / LOGS, place_of(online.arm)
    with user_input("bundle"):
        contract = load_contract(bundle)
    gate, asker = policy_graph(
        bundle, place=place, lock_step=not online.real_time, sim_time=not real,
        intervene=_device(online), settings=_settings(online, logs), flights=logs / "flights",
        calibrations=online.arm.calibrations,
    )  # fmt: skip
    nodes = _arm_nodes(cfg, contract, gate, logs)
    env = {} if real else private_domain()
    try:
        with ExitStack() as stack:
            launch = stack.enter_context(Launch(nodes, log_folder=logs, env=env))
            supervisor = stack.enter_context(
                Supervisor(alive=launch.dead, env=env, namespace=place.namespace)
            )
            box = ToolBox(online.box) if online.box else None
            node = stack.enter_context(
                joined(supervisor, asker.parameters, box=box, namespace=place.namespace)
            )
            try:
                supervisor.configure()
            except OperationError as error:
                if node.refused:
                    raise UserError(node.refused) from error
                raise
            supervisor.activate("gate_node")
            supervisor.pause(_HEARS_S)
            with user_input("--online"):
                arm = RosArm(
                    supervisor, node, contract, [spec.name for spec in contract.observations],
                    online, seed=cfg.seed, most=cfg.task.max_steps,
                )  # fmt: skip
            yield arm
    except OperationError as error:
        raise UserError(f"{error}; logs are in {logs}") from error


def _gate_bundle(name: str, cfg: TrainCfg, folder: Path) -> Path:
    """Make the bundle for the gate, of networks that know nothing; return its path."""
    path = folder / GATE
    algo = cfg.algo
    learn = replace(algo.learn, keep=False, random=0, rows=16)  # pyright: ignore
    learner = build_learner(replace(cfg, algo=replace(algo, learn=learn), world="mujoco"), 1)  # pyright: ignore
    assert isinstance(learner, OffPolicy)
    with user_input("--out", folder):
        export_learner(learner, Provenance(experiment=name), path, overwrite=True)
    return path


def _device(online: OnlineCfg) -> str:
    """Return the device of who may take over, as a parameter of the node."""
    return f"script:{Path(online.script).resolve()}" if online.script else online.device


def _settings(online: OnlineCfg, logs: Path) -> Path | None:
    """Write how the arm follows a device for the node; return the path, None without one."""
    if not online.device:
        return None
    logs.mkdir(parents=True, exist_ok=True)
    path = logs / "teleop.yaml"
    path.write_text(plain.dump_yaml(plain.to_plain(online.teleop)), encoding="utf-8")
    return path


def _arm_nodes(
    cfg: TrainCfg, contract: Contract, gate: NodeProcess, logs: Path
) -> list[NodeProcess]:
    """Return the processes: gate, and simulated arm or driver.

    Raises:
        UserError: the arm has not every input of the contract, or a port is missing.
    """
    online, place = cfg.online, place_of(cfg.online.arm)
    if online.where == "robot":
        return on_hardware(online.arm, find_graph(online.arm, contract, drives=True), [gate])
    cameras = find_cameras(cfg.cameras, cfg.calibrations, cfg.robot)
    simulated = arm_process(
        build_task(cfg), contract, logs, lock_step=not online.real_time, actuators=cfg.actuators,
        vision=None if cameras is None else cameras.vision, touch=find_touch(cfg.touch, cfg.gel),
        place=place,
    )  # fmt: skip
    return [simulated, gate]
