"""Golden sequences: recorded inputs and answers that are replayed at every load.

One safetensors file holds T steps in a row: `reset` (T,) says before which steps the policy is
reset, `input/<name>` (T, ...) are inputs and noise, `action` (T, H, A) and `state/<name>` (T, ...)
the answers. The first step is a reset and so is a later one, so that resets are replayed as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from sim2arm.core.contract import Contract

from .bundle import BundleError

LONGEST = 4096
"""Most steps that are replayed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Golden:
    """T recorded steps."""

    resets: NDArray[np.bool_]
    """(T,) whether the policy is reset before the step."""
    inputs: dict[str, NDArray[Any]]
    """(T, *array_shape) of every input of the contract, noise included."""
    actions: NDArray[np.float32]
    """(T, horizon, dim)"""
    states: dict[str, NDArray[Any]]
    """(T, *shape) of every state after the step, by its output name."""


def write_golden(golden: Golden) -> bytes:
    """Return the bytes of golden.safetensors."""
    tensors: dict[str, NDArray[Any]] = {"reset": golden.resets, "action": golden.actions}
    tensors |= {f"input/{name}": values for name, values in golden.inputs.items()}
    tensors |= {f"state/{name}": values for name, values in golden.states.items()}
    return save({name: np.ascontiguousarray(values) for name, values in tensors.items()})


def read_golden(data: bytes, contract: Contract, source: str) -> Golden:
    """Return the golden sequences after comparing them with the contract.

    Raises:
        BundleError: not a safetensors file, or tensors that are not those of the contract.
    """
    try:
        tensors = load(data)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        text = " ".join(str(error).split())[:200]
        raise BundleError(f"{source}: not a valid safetensors file: {text}") from error
    action = contract.action
    expected: dict[str, tuple[tuple[int, ...], str]] = {
        "reset": ((), "bool"),
        "action": ((action.horizon, action.dim), "float32"),
    }
    for spec in contract.inputs:
        expected[f"input/{spec.name}"] = (spec.array_shape, spec.dtype)
    for state in contract.states:
        expected[f"state/{state.name_out}"] = (state.shape, state.dtype)
    if set(tensors) != set(expected):
        raise BundleError(f"{source}: expected {sorted(expected)}, got {sorted(tensors)}")
    steps = tensors["reset"].size
    for name, (shape, dtype) in expected.items():
        got = tensors[name]
        if got.shape != (steps, *shape) or got.dtype.name != dtype:
            raise BundleError(
                f"{source}: {name}: expected {dtype} {(steps, *shape)}, got {got.dtype.name} "
                f"{got.shape}"
            )
    resets = tensors["reset"]
    if not 1 <= steps <= LONGEST or not resets[0] or not resets[1:].any():
        raise BundleError(
            f"{source}: expected 2 to {LONGEST} steps with a reset at the first and at a later "
            f"one, got {steps} steps and {int(resets.sum())} resets"
        )
    return Golden(
        resets=resets,
        inputs={spec.name: tensors[f"input/{spec.name}"] for spec in contract.inputs},
        actions=tensors["action"],
        states={s.name_out: tensors[f"state/{s.name_out}"] for s in contract.states},
    )
