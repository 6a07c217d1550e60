"""Observations to compare answers with, where none were recorded: drawn inside the contract."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.contract import Contract
from sim2arm.core.derive import Derivation
from sim2arm.core.spec import ArraySpec

Sequence = dict[str, NDArray[Any]]
SEQUENCES, LONGEST = 2, 32
"""How many there are, and their steps, fewer where pictures are large."""
MOST_BYTES = 2**24
"""Of one sequence."""


def probes(contract: Contract) -> list[Sequence]:
    """Return sequences of observations (L, *array_shape) by name, the same at every call.

    Numbers are uniform between least and greatest of the contract, from -1 to 1 where it has none;
    orientations are unit quaternions.
    """
    size = sum(
        math.prod(spec.array_shape) * np.dtype(spec.dtype).itemsize
        for spec in contract.observations
    )
    length = max(2, min(LONGEST, MOST_BYTES // max(1, size)))
    random, derivation = np.random.default_rng(0), Derivation(contract)
    sequences: list[Sequence] = []
    for _ in range(SEQUENCES):
        drawn = {spec.name: _draw(spec, length, random) for spec in derivation.sampled}
        sequences.append(derivation.complete(drawn))
    return sequences


def _draw(spec: ArraySpec, length: int, random: np.random.Generator) -> NDArray[Any]:
    shape = (length, *spec.array_shape)
    if spec.dtype == "uint8":
        return random.integers(0, 256, shape, dtype=np.uint8)
    low, high = (
        np.broadcast_to(np.asarray(numbers, dtype=np.float64), (spec.size,)).reshape(spec.shape)
        for numbers in (spec.low or (-1.0,), spec.high or (1.0,))
    )
    values = random.uniform(low, high, shape)
    names = spec.element_names
    if {"qw", "qx", "qy", "qz"} <= set(names):
        places = [i for i, name in enumerate(names) if name in ("qw", "qx", "qy", "qz")]
        values[..., places] = random.normal(size=(*shape[:-1], len(places)))
        values[..., places] /= np.linalg.norm(values[..., places], axis=-1, keepdims=True)
    return (
        np.round(values).astype(spec.dtype) if spec.dtype[0] in "ib" else values.astype(spec.dtype)
    )
