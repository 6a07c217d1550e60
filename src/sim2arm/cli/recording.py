"""Rows of a dataset of what a simulated arm measured, was asked for, was commanded and did.

What policies see begins with `observation.`. `action` is what was asked of the joints, targets that
chunks of actions can name; the steps of the tool that asked for it are `request.ee_delta`. The
gated command, the gate's verdict, who asked, clocks and the full state of the simulation are
columns of their own.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.contract import Contract
from sim2arm.core.joint_targets import as_joint_targets
from sim2arm.core.plain import to_plain
from sim2arm.core.spec import ArraySpec
from sim2arm.policies.dataset.layout import DatasetSpec, Feature
from sim2arm.sim.arm import SimulatedArm
from sim2arm_ros.gate import GateDecision

REQUEST = "request.ee_delta"
"""Column of the steps of the tool."""
POSE = ("x", "y", "z", "qw", "qx", "qy", "qz")
_STATE = ("qpos", "qvel", "mocap_pos", "mocap_quat")
"""Of the engine; with the seed of an episode they are all of it."""
_FLAG = Feature(dtype="bool", shape=(1,))


def column_of(spec: ArraySpec) -> tuple[str, Feature]:
    """Return the column of an array that cameras or gels give.

    Colours of cameras become a video, those of gels, which a video would spoil, images without
    loss; what is no picture stays as it is.
    """
    shape = spec.shape if spec.shape else (1,)
    if spec.dtype == "uint8" and len(shape) == 3 and shape[2] == 3:
        if spec.name.startswith("touch_") or shape[0] % 2 or shape[1] % 2:
            return f"observation.tactile.{spec.name}", Feature(dtype="image", shape=shape)
        return f"observation.images.{spec.name}", Feature(dtype="video", shape=shape)
    feature = Feature(
        dtype=spec.dtype, shape=shape, unit=spec.unit, frame=spec.frame or "",
        names=spec.element_names or None,
    )  # fmt: skip
    return f"observation.{spec.name}", feature


class ArmRecorder:
    """What of a simulated arm, the first of its worlds, becomes columns.

    Attributes:
        spec: of the dataset.
    """

    def __init__(
        self, arm: SimulatedArm, contract: Contract, fps: int, setting: Mapping[str, str]
    ) -> None:
        """Describe the columns.

        Args:
            arm: the arm.
            contract: of the actions that are asked for, steps of the tool.
            fps: rows per second.
            setting: names of task, cameras and touch, to build the same arm again.
        """
        self._arm, targets = arm, as_joint_targets(contract)
        asked = targets.action
        joints, n = contract.joint_names, len(contract.joint_names)
        state = (*joints, "gripper_width")
        self._organs = {spec.name: column_of(spec)[0] for spec in arm.organs.specs.values()}
        self._goals = {spec.name: f"observation.{spec.name}" for spec in arm.task.goals}
        features = {
            "observation.state": Feature(
                dtype="float32", shape=(n + 1,), names=state, unit=" ".join([*["rad"] * n, "m"])
            ),
            "observation.velocity": Feature(
                dtype="float32", shape=(n,), names=joints, unit="rad/s"
            ),
            **dict(column_of(replace(spec, history=None)) for spec in arm.task.goals),
            **dict(column_of(replace(spec, history=None)) for spec in arm.organs.specs.values()),
            "action": Feature(
                dtype="float32", shape=(asked.dim,), names=asked.element_names,
                unit=" ".join([*["rad"] * n, *["1"] * (asked.dim - n)]),
            ),
            REQUEST: Feature(
                dtype="float32", shape=(contract.action.dim,),
                names=contract.action.element_names, unit="1", frame=contract.action.frame or "",
            ),
            "measured.ee_pose": Feature(dtype="float64", shape=(7,), names=POSE, frame="base"),
            "command.position": Feature(dtype="float64", shape=(n,), names=joints, unit="rad"),
            "safety.share": Feature(dtype="float32", shape=(1,), unit="1"),
            "safety.held": _FLAG,
            "source": Feature(dtype="string", shape=(1,)),
            "sync.stamp_ns": Feature(dtype="int64", shape=(1,), unit="ns"),
            **{f"sync.{name}.age": Feature(dtype="float32", shape=(1,), unit="s")
               for name in self._organs},
            **{f"sim.{name}": Feature(dtype="float64", shape=value.shape)
               for name, value in self._state().items()},
            "next.success": _FLAG,
            "next.done": _FLAG,
        }  # fmt: skip
        documents = {
            "contract": to_plain(targets),
            "setting": dict(setting),
            "request": to_plain(contract.action),
            "robot": to_plain(arm.robot.chain.to_dict()),
        }
        self.spec = DatasetSpec(
            fps=fps, features=features, robot_type=contract.robot, documents=documents
        )

    def _state(self) -> dict[str, NDArray[np.float64]]:
        found = {name: self._arm.world.read(name)[0].numpy() for name in _STATE}
        return {name: value.astype(np.float64) for name, value in found.items() if value.size}

    def before(self, measured: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Return the part of a row that is known before the arm moves.

        Args:
            measured: by the arm at this tick, (1, ...).
        """
        q, width = measured["joint_position"][0], measured["gripper_width"][0]
        row: dict[str, Any] = {
            "observation.state": np.concatenate([q, width]).astype(np.float32),
            "observation.velocity": measured["joint_velocity"][0].astype(np.float32),
            "measured.ee_pose": self._arm.tool_pose()[0].astype(np.float64),
            "sync.stamp_ns": np.int64(round(float(self._arm.world.time[0]) * 1e9)),
        }
        for name, column in self._goals.items():
            feature = self.spec.features[column]
            row[column] = measured[name][0].astype(feature.numpy).reshape(feature.shape)
        for name, (picture, age) in self._arm.organs.newest().items():
            row[self._organs[name]] = picture.copy()
            row[f"sync.{name}.age"] = np.float32(age)
        return row | {f"sim.{name}": value for name, value in self._state().items()}

    def after(
        self,
        action: NDArray[np.floating],
        wanted: NDArray[np.float64],
        decision: GateDecision,
        commanded: NDArray[np.float64],
        held: bool,
        source: str,
    ) -> dict[str, Any]:
        """Return the rest of it, once the arm has moved.

        Args:
            action: that was asked for, a step (A,).
            wanted: joint positions that the controller made of it (n,) [rad].
            decision: of the gate.
            commanded: joint positions at the end of the period (n,) [rad].
            held: whether the gate holds the arm.
            source: who asked: human, policy or script.
        """
        return {
            "action": np.concatenate([wanted, action[6:]]).astype(np.float32),
            REQUEST: action.astype(np.float32),
            "command.position": commanded.astype(np.float64),
            "safety.share": np.float32(decision.share[0]),
            "safety.held": np.bool_(held),
            "source": source,
            "next.success": np.bool_(self._arm.success[0]),
            "next.done": np.bool_(self._arm.done[0]),
        }
