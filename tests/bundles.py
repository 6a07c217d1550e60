"""A small policy bundle made without torch and without the onnx package.

The graph is `tanh(concat(joint_position, socket_pose, last) @ W + noise)`: inputs, a state that
is the last action, and a noise input. The ONNX file is written field by field, so that the
runtime is tested in the robot's environment, and its answers are known from numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.contract import Contract, NoiseSpec, StateSpec
from sim2arm.core.spec import ArraySpec
from sim2arm.policies.bundle import CONTRACT_KEY, MANIFEST, write_manifest
from sim2arm.policies.golden import Golden, write_golden
from sim2arm.policies.noise import draw_all

from .builders import make_contract

WEIGHT = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 6)).astype(np.float32)
FLOAT, INT64 = 1, 7  # TensorProto.DataType


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def proto(*fields: tuple[int, int | str | bytes]) -> bytes:
    """Return a protobuf message of (field number, value)."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def tensor(name: str, array: NDArray[Any], *more: tuple[int, int | str | bytes]) -> bytes:
    kind = FLOAT if array.dtype == np.float32 else INT64
    dims = [(1, size) for size in array.shape]
    return proto(*dims, (2, kind), (8, name), (9, array.tobytes()), *more)


def value_info(name: str, shape: Sequence[int | str], kind: int = FLOAT) -> bytes:
    sizes = [(1, proto((2 if isinstance(size, str) else 1, size))) for size in shape]
    tensor_type = proto((1, kind), (2, proto(*sizes)))
    return proto((1, name), (2, proto((1, tensor_type))))


def node(kind: str, inputs: Sequence[str], output: str, *attributes: bytes) -> bytes:
    names = [(1, name) for name in inputs]
    return proto(*names, (2, output), (4, kind), *((5, a) for a in attributes))


def int_attribute(name: str, value: int) -> bytes:
    return proto((1, name), (3, value), (20, 2))


def make_onnx(
    metadata: Mapping[str, str],
    *,
    nodes: Sequence[bytes] | None = None,
    initializers: Sequence[bytes] | None = None,
    inputs: Sequence[bytes] | None = None,
    outputs: Sequence[bytes] | None = None,
) -> bytes:
    """Return an ONNX file; each part can be replaced by a wrong one."""
    concat = ("joint_position", "socket_pose", "last")
    parts: list[tuple[int, Sequence[bytes]]] = [
        (
            1,
            nodes
            or (
                node("Concat", concat, "x", int_attribute("axis", 1)),
                node("MatMul", ("x", "W"), "y"),
                node("Add", ("y", "noise"), "z"),
                node("Tanh", ("z",), "last_next"),
                node("Reshape", ("last_next", "chunk_shape"), "action"),
            ),
        ),
        (
            5,
            initializers
            or (tensor("W", WEIGHT), tensor("chunk_shape", np.array([1, 1, 6], np.int64))),
        ),
        (
            11,
            inputs
            or (
                value_info("joint_position", (1, 7)),
                value_info("socket_pose", (1, 7)),
                value_info("last", (1, 6)),
                value_info("noise", (1, 6)),
            ),
        ),
        (12, outputs or (value_info("action", (1, 1, 6)), value_info("last_next", (1, 6)))),
    ]
    graph = proto((2, "policy"), *((number, item) for number, items in parts for item in items))
    entries = [(14, proto((1, key), (2, text))) for key, text in metadata.items()]
    opset = proto((1, ""), (2, 17))
    return proto((1, 8), (2, "sim2arm tests"), (7, graph), (8, opset), *entries)


def make_policy_contract(**overrides: Any) -> Contract:
    """Return the contract of the small policy."""
    base = make_contract()
    noise = ArraySpec(name="noise", kind="noise", shape=(6,), unit="1")
    values: dict[str, Any] = {
        "inputs": (*base.inputs, noise),
        "states": (StateSpec(name_in="last", name_out="last_next", shape=(6,)),),
        "noise": NoiseSpec(seed=5),
    }
    return replace(base, **(values | overrides))


def step(
    obs: Mapping[str, NDArray[np.float32]], last: NDArray[Any], noise: NDArray[Any]
) -> NDArray[np.float32]:
    """Return what the small policy answers, from numpy."""
    x = np.concatenate([obs["joint_position"], obs["socket_pose"], last]).astype(np.float64)
    return np.tanh(x @ WEIGHT.astype(np.float64) + noise).astype(np.float32)


def make_obs(rows: int, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    return {
        name: random.uniform(-1, 1, (rows, 7)).astype(np.float32)
        for name in ("joint_position", "socket_pose")
    }


def make_golden(contract: Contract, steps: int = 12, second_reset: int = 5) -> Golden:
    """Return golden sequences of the small policy, from numpy."""
    obs = make_obs(steps, seed=1)
    resets = np.zeros(steps, bool)
    resets[[0, second_reset]] = True
    last, episode, call = np.zeros(6, np.float32), -1, 0
    actions: list[NDArray[np.float32]] = []
    noises: list[NDArray[np.float32]] = []
    for i in range(steps):
        if resets[i]:
            last, episode, call = np.zeros(6, np.float32), episode + 1, 0
        noise = draw_all(contract, seed=5, call=call, episode=episode)["noise"]
        last = step({name: values[i] for name, values in obs.items()}, last, noise)
        actions.append(last)
        noises.append(noise)
        call += 1
    joined = np.stack(actions)
    return Golden(
        resets=resets,
        inputs={**obs, "noise": np.stack(noises)},
        actions=joined[:, None],
        states={"last_next": joined},
    )


@dataclass
class Files:
    """The bytes of a bundle; `write` puts them into a folder with a manifest that fits."""

    contents: dict[str, bytes]

    def write(self, path: Path) -> Path:
        path.mkdir()
        for name, data in {**self.contents, MANIFEST: write_manifest(self.contents)}.items():
            (path / name).write_bytes(data)
        return path


def make_files(**replaced: bytes) -> Files:
    """Return a good bundle, with files replaced by key: model, contract, golden, leapp."""
    contract = make_policy_contract()
    contents = {
        "policy.onnx": make_onnx({CONTRACT_KEY: contract.canonical_json()}),
        "contract.yaml": contract.to_yaml().encode(),
        "golden.safetensors": write_golden(make_golden(contract)),
        "leapp.yaml": b"models: {}\n",
    }
    names = {name.split(".")[0].replace("policy", "model"): name for name in contents}
    return Files(contents | {names[key]: data for key, data in replaced.items()})
