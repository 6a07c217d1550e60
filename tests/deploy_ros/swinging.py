"""A bundle whose policy swings the tool for ever: made without torch, its answers known from numpy.

`action = tanh(concat(joint_position, joint_velocity, ee_pose, goal_pose, phase) @ W)` with a state
of two numbers that turns by a fixed angle each tick. Rows of W for the inputs are tiny: the motion
is the swing, and yet every input shows in the last bits of the action.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.contract import ActionSpec, Contract, LowLevelSpec, Provenance, StateSpec
from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.core.robots import FR3
from sim2arm.core.spec import ArraySpec
from sim2arm.policies.bundle import CONTRACT_KEY
from sim2arm.policies.golden import Golden, write_golden
from tests.bundles import Files, int_attribute, make_onnx, node, tensor, value_info

PERIOD_TICKS = 60
"""Ticks of a full swing: 1 s at 60 Hz."""
INPUTS = {"joint_position": 7, "joint_velocity": 7, "ee_pose": 7, "goal_pose": 7}
_POSE = ("x", "y", "z", "qw", "qx", "qy", "qz")
_TURN = 2.0 * np.pi / PERIOD_TICKS
ROTATION = np.array(
    [[np.cos(_TURN), -np.sin(_TURN)], [np.sin(_TURN), np.cos(_TURN)]], dtype=np.float32
)


def weight() -> NDArray[np.float32]:
    """Return W (30, 6): the phase moves y and z by up to tanh(0.5) of a step."""
    values = np.random.default_rng(0).uniform(-1e-3, 1e-3, (30, 6)).astype(np.float32)
    values[28:] = 0.0
    values[28, 1] = values[28, 2] = 0.5
    return values


PARAMETERS = {
    name: value
    for name, value in asdict(EeDeltaCfg()).items()
    if name not in ("position_scale", "rotation_scale")
}


def swinging_contract(*, max_age_s: float = 0.3, **overrides: Any) -> Contract:
    """Return the contract; ages are generous, because test machines are busy."""
    names = FR3.joint_names

    def sensor(name: str, unit: str, low: Any, high: Any) -> ArraySpec:
        return ArraySpec(
            name=name, kind="sensor", shape=(7,), unit=unit, element_names=names,
            max_stamp_age_s=max_age_s, max_receipt_age_s=max_age_s, low=low, high=high,
        )  # fmt: skip

    pose: dict[str, Any] = {"shape": (7,), "unit": "m m m 1 1 1 1", "element_names": _POSE}
    base = FR3.chain.base_frame
    fastest = FR3.limits.dq_max
    values: dict[str, Any] = {
        "robot": "fr3",
        "joint_names": names,
        "chain": FR3.chain.to_dict(),
        "control_hz": 60.0,
        "inputs": (
            sensor("joint_position", "rad", FR3.limits.q_min, FR3.limits.q_max),
            sensor("joint_velocity", "rad/s", tuple(-v for v in fastest), fastest),
            ArraySpec(
                name="ee_pose", kind="derived", source="fk(joint_position)", frame=base, **pose
            ),
            ArraySpec(name="goal_pose", kind="goal", frame=base, max_receipt_age_s=2.0, **pose),
        ),
        "states": (StateSpec(name_in="phase", name_out="next", shape=(2,), initial=(0.0, 1.0)),),
        "action": ActionSpec(
            kind="ee_delta", dim=6, low=(-1.0,) * 6, high=(1.0,) * 6,
            element_names=("x", "y", "z", "rx", "ry", "rz"), scale=(0.005,) * 3 + (0.02,) * 3,
            frame="base", rotation_side="left", relative_to="last_command", dt_s=1.0 / 60.0,
            parameters=PARAMETERS,
        ),
        "low_level": LowLevelSpec(
            kind="joint_impedance", kp=FR3.kp, kd=FR3.kd,
            kp_range=tuple((0.9 * k, 1.1 * k) for k in FR3.kp),
            kd_range=tuple((0.9 * k, 1.1 * k) for k in FR3.kd),
        ),
        "limits": FR3.limits,
        "provenance": Provenance(experiment="swinging"),
    }  # fmt: skip
    return Contract(**(values | overrides))


def _answers(steps: int, second_reset: int, lasts: int) -> Golden:
    random = np.random.default_rng(1)
    inputs = {n: random.uniform(-1, 1, (steps, k)).astype(np.float32) for n, k in INPUTS.items()}
    resets = np.zeros(steps, bool)
    resets[[0, second_reset]] = True
    phase, left = np.zeros(2), 0.0
    actions, phases = np.empty((steps, 1, 6), np.float32), np.empty((steps, 2), np.float32)
    lefts = np.empty((steps, 1), np.float32)
    for i in range(steps):
        if resets[i]:
            phase, left = np.array([0.0, 1.0]), float(lasts)
        x = np.concatenate([*(inputs[name][i] for name in INPUTS), phase])
        actions[i, 0] = np.tanh(x @ weight().astype(np.float64))
        phase = phase @ ROTATION.astype(np.float64)
        phases[i] = phase
        left -= 1.0
        lefts[i] = left
    states = {"next": phases} | ({"left_next": lefts} if lasts else {})
    return Golden(resets=resets, inputs=inputs, actions=actions, states=states)


def swinging_files(contract: Contract | None = None, *, lasts: int = 0) -> Files:
    """Return the files of a good bundle.

    Args:
        contract: another one than `swinging_contract()`.
        lasts: ticks after which every answer is NaN, 0 for never; the contract has the state
            `left`, which counts down from it.
    """
    contract = contract or swinging_contract()
    answer = (node("Tanh", ("y",), "z"),)
    if lasts:
        answer = (
            node("Sqrt", ("left",), "root"),
            node("Mul", ("root", "nothing"), "zero"),
            node("Tanh", ("y",), "swing"),
            node("Add", ("swing", "zero"), "z"),
            node("Sub", ("left", "one"), "left_next"),
        )
    parts: dict[str, Any] = {
        "nodes": (
            node("Concat", (*INPUTS, "phase"), "x", int_attribute("axis", 1)),
            node("MatMul", ("x", "W"), "y"),
            *answer,
            node("Reshape", ("z", "chunk_shape"), "action"),
            node("MatMul", ("phase", "R"), "next"),
        ),
        "initializers": (
            tensor("W", weight()),
            tensor("R", ROTATION),
            tensor("chunk_shape", np.array([1, 1, 6], np.int64)),
            *((tensor("nothing", np.zeros(1, np.float32)),
               tensor("one", np.ones(1, np.float32))) if lasts else ()),
        ),
        "inputs": (
            *(value_info(name, (1, size)) for name, size in INPUTS.items()),
            value_info("phase", (1, 2)),
            *((value_info("left", (1, 1)),) if lasts else ()),
        ),
        "outputs": (
            value_info("action", (1, 1, 6)), value_info("next", (1, 2)),
            *((value_info("left_next", (1, 1)),) if lasts else ()),
        ),
    }  # fmt: skip
    return Files(
        {
            "policy.onnx": make_onnx({CONTRACT_KEY: contract.canonical_json()}, **parts),
            "contract.yaml": contract.to_yaml().encode(),
            "golden.safetensors": write_golden(_answers(12, 5, lasts)),
            "leapp.yaml": b"models: {}\n",
        }
    )


def write_swinging(path: Path, **overrides: Any) -> Path:
    """Write a good bundle and return its folder."""
    return swinging_files(swinging_contract(**overrides)).write(path)


def write_turning_nan(path: Path, ticks: int) -> Path:
    """Write a bundle whose network answers NaN from tick number `ticks` + 1 on; 12 are replayed."""
    phase = swinging_contract().states
    left = StateSpec(name_in="left", name_out="left_next", shape=(1,), initial=(float(ticks),))
    return swinging_files(swinging_contract(states=(*phase, left)), lasts=ticks).write(path)


def write_one_byte_changed(path: Path) -> Path:
    """Write a bundle of which one byte in the middle of the graph was changed afterwards."""
    folder = write_swinging(path)
    model = bytearray((folder / "policy.onnx").read_bytes())
    model[len(model) // 2] ^= 1
    (folder / "policy.onnx").write_bytes(model)
    return folder


def write_field_changed(path: Path) -> Path:
    """Write a bundle whose contract.yaml has one other number, in a manifest that fits it."""
    contract = swinging_contract()
    faster = replace(contract.limits, dq_max=(3.0, *contract.limits.dq_max[1:]))
    files = swinging_files(contract)
    files.contents["contract.yaml"] = replace(contract, limits=faster).to_yaml().encode()
    return files.write(path)
