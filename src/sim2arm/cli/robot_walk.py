"""`sim2arm doctor robot --bundle`: from this computer to the first safe motion, step by step.

Each step prints what it found; the first that is red ends the walk. The policy is never activated
and the arm moves only after a person's `yes`, through the gate (`sim2arm_ros/wiggle_node.py`).
"""

# pyright: standard

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np

from sim2arm.calibration.camera_file import HAND_EYE, INTRINSICS
from sim2arm.core.calibration_file import read_record, write_record
from sim2arm.core.contract import Contract
from sim2arm_ros.activation import Item
from sim2arm_ros.launcher import Launch
from sim2arm_ros.pictures import camera_of
from sim2arm_ros.wiggle import Heard

from .answers import YES, Answers
from .doctor_robot import CLOCK_S, DoctorRobotCfg, machine_items, print_items
from .errors import UserError, user_input
from .outputs import check_file
from .robot_latency import latency_items, make_record, network_seconds, with_network
from .ros import Ready, RosUpCfg, describe, environment, prepare, signals_interrupt
from .ros_checks import check

GATE, POLICY = "gate_node", "policy_node"
TITLES = ("this computer", "peers in the ROS domain", "clock, rates and ages of the inputs",
          "arm, gate and policy", "e-stop", "which joint moves", "latency")  # fmt: skip
_SAME = ("graph", "robot", "prefix", "port", "servos", "peers", "sim", "settings", "cameras",
         "touch", "calibrations", "trusted_keys", "allow_fallback")  # fmt: skip
"""Options that `sim2arm ros up` has too, under the same names."""


class WalkEndedError(Exception):
    """The walk ends here, with a line for the person."""


def walk(cfg: DoctorRobotCfg) -> int:
    """Check everything that was given, then walk; return the exit code.

    Raises:
        UserError: something that was given cannot be used, or a node ended; one line.
    """
    assert cfg.bundle is not None  # else there is nothing to walk to
    if cfg.latency is not None and cfg.latency.suffix != ".yaml":
        raise UserError(f"--latency: expected a .yaml file, got {cfg.latency}")
    check_file("--latency", cfg.latency)
    if os.environ.get("ROS_SECURITY_ENABLE", "").lower() == "true":
        raise UserError(
            "this ROS domain is secured, and no enclave may listen to everything and ask the gate "
            "too: unset ROS_SECURITY_ENABLE for this walk, here and on the robot"
        )
    same = {name: getattr(cfg, name) for name in _SAME}
    up = RosUpCfg(bundle=cfg.bundle, patience=cfg.patience, logs=cfg.logs, yes=True, **same)
    check(up)
    ready, env = prepare(up), environment(up)
    for name, text in describe(up, ready.bundle, ready.contract, ready.rclpy, env).items():
        print(f"{name:<8}{text}")
    with signals_interrupt():
        return Walk(cfg, ready, env, Answers()).run()


class Walk:
    """The steps, in order."""

    def __init__(
        self, cfg: DoctorRobotCfg, ready: Ready, env: Mapping[str, str], answers: Answers
    ) -> None:
        """Prepare.

        Args:
            cfg: the options.
            ready: what is to be started.
            env: ROS_DOMAIN_ID and the like, of the nodes.
            answers: of the person.
        """
        self._cfg, self._ready, self._env, self._answers = cfg, ready, env, answers
        self._count = 0

    def run(self) -> int:
        """Walk; return 0 if all is well, 1 where it ended before.

        Raises:
            UserError: a node ended or does not answer.
        """
        from sim2arm_ros.supervisor import OperationError

        try:
            self._show(machine_items(), counts=self._cfg.sim is None and not self._cfg.as_it_is)
            self._walk_with_nodes()
        except WalkEndedError as error:
            print(f"\n{error}", flush=True)
            return 1
        except OperationError as error:
            raise UserError(f"{error} (logs: {self._cfg.logs})") from error
        print(f"\nAll is well. Next: {self._next()}", flush=True)
        return 0

    def _show(self, items: Sequence[Item], *, title: bool = True, counts: bool = True) -> None:
        """Print what a step found.

        Args:
            items: of the step.
            title: whether a new step begins.
            counts: whether red ends the walk.

        Raises:
            WalkEndedError: something is red.
        """
        if title:
            self._title()
        red = print_items(items)
        if red and counts:
            raise WalkEndedError(f"Red in step {self._count}: put it right and run this again.")
        if red:
            print("It goes on: this computer holds no arm's time here.", flush=True)

    def _title(self) -> None:
        """Say which step begins."""
        print(f"\n{self._count + 1}. {TITLES[self._count]}", flush=True)
        self._count += 1

    def _walk_with_nodes(self) -> None:
        from sim2arm_ros.supervisor import Supervisor

        from .robot_steps import Steps

        nodes, logs = self._ready.nodes, self._cfg.logs
        ours = [node for node in nodes if node.executable in (GATE, POLICY)]
        for node in nodes:  # the logs of another run would be taken for this one's
            (logs / f"{node.called}.log").unlink(missing_ok=True)
        arm = [node for node in nodes if node not in ours]
        simulated = self._cfg.sim is not None
        with (
            Launch(arm, log_folder=logs, env=self._env) as launch,
            Supervisor(alive=launch.dead, env=self._env) as supervisor,
        ):
            steps = Steps(
                supervisor, launch, self._ready, self._answers, sim_time=simulated,
                patience_s=self._cfg.patience,
            )  # fmt: skip
            self._show(steps.peers())
            self._show(steps.inputs(CLOCK_S))
            for node in ours:
                launch.start(node, self._env)
            self._show([*steps.reports(), *self._calibration_items()])
            self._title()
            self._show(steps.stop(), title=False)
            with steps.wiggle() as node:
                self._show(steps.room(node))
                if not steps.agreed(node):
                    raise WalkEndedError(f"Nobody typed {YES}: nothing was moved.")
                self._show(steps.move(node), title=False)
                heard = node.heard
            self._measure(heard)

    def _measure(self, heard: Heard) -> None:
        """Show what the motion told of time, and write the record that was asked for."""
        contract = self._ready.contract
        at_once = contract.action.horizon == 1  # chunks are asked for ahead
        network = network_seconds(self._ready.bundle) if at_once else np.zeros(0)
        latency = with_network(heard.latency_s, network)
        self._show(latency_items(heard, latency, contract.period))
        if self._cfg.latency is not None:
            with user_input("--latency", self._cfg.latency):
                record = make_record(latency, contract.robot, contract.control_hz, network=at_once)
                write_record(self._cfg.latency, record)
            print(f"{self._cfg.latency}: record, for sim2arm train --latency")

    def _calibration_items(self) -> list[Item]:
        """Return whether each camera that the policy sees through was calibrated."""
        if self._cfg.sim is not None:  # those of the simulation are where training had them
            return []
        with user_input("--calibrations"):
            records = [read_record(path) for path in self._cfg.calibrations]
        return [
            calibrated_item(camera, {r.what for r in records if r.device == camera})
            for camera in cameras_of(self._ready.contract)
        ]

    def _next(self) -> str:
        """Return the command that starts the policy."""
        words = ["sim2arm", "ros", "up", "--bundle", str(self._cfg.bundle)]
        for field in fields(self._cfg):
            value = getattr(self._cfg, field.name)
            if field.name in _SAME and value != field.default:
                words.append(f"--{field.name.replace('_', '-')}")
                each = value if isinstance(value, tuple) else (value,)
                words += [str(one) for one in each if one is not True]
        return shlex.join(words)


def cameras_of(contract: Contract) -> list[str]:
    """Return the names of the cameras that a policy sees through."""
    found = (camera_of(spec) for spec in contract.inputs)
    return list(dict.fromkeys(name for name in found if name is not None))


def calibrated_item(camera: str, have: set[str]) -> Item:
    """Return whether there are records of the lens and of the place of a camera."""
    missing = [what for what in (INTRINSICS, HAND_EYE) if what not in have]
    return Item(
        name=f"calibrations of camera {camera}", expected=f"{INTRINSICS}, {HAND_EYE}",
        measured=", ".join(sorted(have)), ok=not missing,
        note="; ".join(f"sim2arm calibrate {what}" for what in missing) + ", then --calibrations",
    )  # fmt: skip
