"""Rows of a dataset of what a simulated arm measured, was asked for, was commanded and did.

What policies see begins with `observation.`. `action` is what was asked of the joints, targets that
chunks of actions can name; what asked for it, steps of the tool (`request.ee_delta`) or the joints
of a leader (`request.joint_position`), is a column of its own, and so are the gated command, the
gate's verdict, who asked, whether the arm followed the hand, clocks and the full state of the
simulation.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.arms import rows_of
from sim2arm.core.contract import ActionSpec, Contract
from sim2arm.core.joint_targets import as_joint_targets
from sim2arm.core.plain import to_plain
from sim2arm.policies.dataset.columns import column_of
from sim2arm.policies.dataset.layout import PICTURES, DatasetSpec, Feature
from sim2arm.sim.arm import SimulatedArm

HAND = "teleop.state"
"""Column of recordings by hand: engaged, held, or silent."""
POSE = ("x", "y", "z", "qw", "qx", "qy", "qz")
_STATE = ("qpos", "qvel", "mocap_pos", "mocap_quat")
"""Of the engine; with the seed of an episode they are all of it."""
_FLAG, _TEXT = Feature(dtype="bool", shape=(1,)), Feature(dtype="string", shape=(1,))


class ArmRecorder:
    """What of a simulated arm, the first of its worlds, becomes columns.

    Attributes:
        spec: of the dataset.
    """

    def __init__(
        self,
        arm: SimulatedArm,
        contract: Contract,
        fps: int,
        setting: Mapping[str, str],
        *,
        by_hand: bool = False,
    ) -> None:
        """Describe the columns.

        Args:
            arm: the arm.
            contract: of the actions that are asked for, steps of the tool or joint positions.
            fps: rows per second.
            setting: names of task, cameras and touch, to build the same arm again.
            by_hand: whether a person asks, who may let go.
        """
        steps = contract.action.kind == "ee_delta"
        self._arm, targets = arm, as_joint_targets(contract) if steps else contract
        self._by_hand, self._request = by_hand, f"request.{contract.action.kind}"
        # The gripper of an arm, if it acts, is the last element of its part of both.
        grips = targets.action.dim // arm.arms - len(contract.joint_names)
        self._arm_part = contract.action.dim // arm.arms - grips
        self._organs = {spec.name: column_of(spec)[0] for spec in arm.organs.specs.values()}
        self._stamps: dict[str, int] = {}
        self._goals = {spec.name: f"observation.{spec.name}" for spec in arm.task.goals}
        documents = {
            "contract": to_plain(targets),
            "setting": dict(setting),
            "request": to_plain(contract.action),
            "robot": to_plain(arm.robot.chain.to_dict()),
        }
        self.spec = DatasetSpec(
            fps=fps, features=self._features(targets, contract.action),
            robot_type=contract.robot, documents=documents,
        )  # fmt: skip

    def _features(self, targets: Contract, requested: ActionSpec) -> dict[str, Feature]:
        """Return the columns: of joint targets, and of what was asked for in its own units."""
        asked, joints, n = targets.action, targets.all_joint_names, len(targets.all_joint_names)
        prefixes = [arm.prefix for arm in targets.arms] or [""]
        poses = tuple(prefix + name for prefix in prefixes for name in POSE)
        widths = tuple(f"{prefix}gripper_width" for prefix in prefixes)
        units = " ".join("rad" if name in joints else "1" for name in asked.element_names)
        seen = (*self._arm.task.goals, *self._arm.organs.specs.values())
        return {
            "observation.state": Feature(
                dtype="float32", shape=(n + len(widths),), names=(*joints, *widths),
                unit=" ".join([*["rad"] * n, *["m"] * len(widths)]),
            ),
            "observation.velocity": Feature(
                dtype="float32", shape=(n,), names=joints, unit="rad/s"
            ),
            **dict(column_of(replace(spec, history=None)) for spec in seen),
            "action": Feature(
                dtype="float32", shape=(asked.dim,), names=asked.element_names, unit=units
            ),
            self._request: Feature(
                dtype="float32", shape=(requested.dim,), names=requested.element_names,
                unit="1" if requested.kind == "ee_delta" else units, frame=requested.frame or "",
            ),
            "measured.ee_pose": Feature(
                dtype="float64", shape=(len(poses),), names=poses, frame="base"
            ),
            "command.position": Feature(dtype="float64", shape=(n,), names=joints, unit="rad"),
            "safety.share": Feature(dtype="float32", shape=(1,), unit="1"),
            "safety.held": _FLAG,
            "source": _TEXT,
            **({HAND: _TEXT} if self._by_hand else {}),
            "sync.stamp_ns": Feature(dtype="int64", shape=(1,), unit="ns"),
            **{f"sync.{name}.age": Feature(dtype="float32", shape=(1,), unit="s")
               for name in self._organs},
            **{f"sim.{name}": Feature(dtype="float64", shape=value.shape)
               for name, value in self._state().items()},
            "next.success": _FLAG,
            "next.done": _FLAG,
        }  # fmt: skip

    def _state(self) -> dict[str, NDArray[np.float64]]:
        found = {name: self._arm.world.read(name)[0].numpy() for name in _STATE}
        return {name: value.astype(np.float64) for name, value in found.items() if value.size}

    def begin(self) -> None:
        """Begin an episode, whose first row has all pictures."""
        self._stamps = {}

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
            column = self._organs[name]
            row[column] = picture  # of the arm's, which stays for another tick
            if self.spec.features[column].dtype in PICTURES:
                stamp = round(1e3 * (float(self._arm.world.time[0]) - age))  # [ms]
                if self._stamps.get(name) == stamp:
                    row[column] = None
                self._stamps[name] = stamp
            row[f"sync.{name}.age"] = np.float32(age)
        return row | {f"sim.{name}": value for name, value in self._state().items()}

    def after(
        self,
        action: NDArray[np.floating],
        wanted: NDArray[np.float64],
        share: float,
        commanded: NDArray[np.float64],
        held: bool,
        source: str,
        hand: str = "",
    ) -> dict[str, Any]:
        """Return the rest of it, once the arm has moved.

        Args:
            action: that was asked for (A,).
            wanted: joint positions that the controller made of it (n,) [rad].
            share: of the motion that the gate passed.
            commanded: joint positions at the end of the period (n,) [rad].
            held: whether the gate holds the arm.
            source: who asked: human, policy or script.
            hand: of a person: engaged, held or silent.
        """
        arms = self._arm.arms
        grips = rows_of(action[None], arms)[:, self._arm_part :]
        asked = np.concatenate([rows_of(wanted[None], arms), grips], axis=-1)
        return {
            "action": asked.reshape(-1).astype(np.float32),
            self._request: action.astype(np.float32),
            "command.position": commanded.astype(np.float64),
            "safety.share": np.float32(share),
            "safety.held": np.bool_(held),
            "source": source,
            **({HAND: hand} if self._by_hand else {}),
            "next.success": np.bool_(self._arm.success[0]),
            "next.done": np.bool_(self._arm.done[0]),
        }
