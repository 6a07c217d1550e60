"""leapp.yaml: the semantics of the contract in the vocabulary of LEAPP (config version 1.3).

Kinds that LEAPP does not know (images, touch, gripper) are free strings, as its format allows.
The contract stays the authority; nothing reads this file back.
"""

from __future__ import annotations

import hashlib
from typing import Any

from sim2arm.core import plain
from sim2arm.core.contract import Contract
from sim2arm.core.spec import ArraySpec

CONFIG_VERSION = "1.3"
_BY_UNIT = {
    "rad": "state/joint/position",
    "rad/s": "state/joint/velocity",
    "N m": "state/joint/effort",
}
_OUTPUTS = {
    "ee_delta": "target/body/pose_delta",
    "ee_pose": "target/body/pose",
    "joint_delta": "target/joint/position_delta",
    "joint_position": "target/joint/position",
}


def leapp_yaml(contract: Contract, model: bytes, model_path: str) -> bytes:
    """Return the bytes of leapp.yaml for an exported model."""
    action = contract.action
    inputs = [_input(spec, contract) for spec in contract.inputs]
    outputs: list[dict[str, Any]] = [
        {
            "name": "action",
            "shape": [1, action.horizon, action.dim],
            "dtype": "float32",
            "kind": _OUTPUTS[action.kind],
            "element_names": [list(action.element_names)] if action.element_names else None,
            "unit": action.unit,
            "scale": list(action.scale),
            "frame": action.frame,
        }
    ]
    for state in contract.states:
        common = {"shape": [1, *state.shape], "dtype": state.dtype, "kind": "state/feedback"}
        inputs.append({"name": state.name_in, **common, "initial": list(state.initial)})
        outputs.append({"name": state.name_out, **common})
    low_level = contract.low_level
    description = {
        "models": {
            "policy": {
                "inputs": inputs,
                "outputs": outputs,
                "parameters": {
                    "model_path": model_path,
                    "md5sum": hashlib.md5(model, usedforsecurity=False).hexdigest(),
                    "sha256sum": hashlib.sha256(model).hexdigest(),
                    "backend": "onnx",
                    "kp": list(low_level.kp),
                    "kd": list(low_level.kd),
                },
            }
        },
        "pipeline": {
            "data_flow": {},
            "feedback_flow": {
                f"policy/{state.name_out}": [f"policy/{state.name_in}"] for state in contract.states
            },
            "inputs": {"policy": [spec.name for spec in contract.inputs]},
            "outputs": {"policy": ["action"]},
            "configs": {"frequency": contract.control_hz},
        },
        "system information": {
            "leapp config version": CONFIG_VERSION,
            **{f"{name} version": text for name, text in contract.provenance.versions.items()},
        },
    }
    return plain.dump_yaml(_without_none(description)).encode()


def _input(spec: ArraySpec, contract: Contract) -> dict[str, Any]:
    ticks = spec.history is not None and spec.history.of == "ticks"
    return {
        "name": spec.name,
        "shape": [1, *spec.array_shape],
        "dtype": spec.dtype,
        "kind": _kind(spec),
        "element_names": [list(spec.element_names)] if spec.element_names else None,
        "temporal_period_ms": 1000.0 * contract.period if ticks else None,
        "unit": spec.unit or None,
        "frame": spec.frame,
    }


def _kind(spec: ArraySpec) -> str:
    if spec.kind == "noise":
        return "noise"
    pose = {"qw", "qx", "qy", "qz"} <= set(spec.element_names)
    if spec.kind == "goal":
        return "command/body/pose" if pose else "command/vector"
    if pose:
        return "state/body/pose"
    return _BY_UNIT.get(spec.unit, f"state/{spec.name}")


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}  # pyright: ignore
    return [_without_none(v) for v in value] if isinstance(value, list) else value  # pyright: ignore
