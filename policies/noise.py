"""Noise inputs by the seed rule `philox-1` of the contract: the same numbers everywhere.

Only the raw words of Philox are used, which numpy keeps stable between versions; its ready-made
normal distribution may change. The exported graph draws nothing itself.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.contract import Contract


def draw(
    distribution: str, size: int, *, seed: int, input_index: int, call: int, episode: int
) -> NDArray[np.float32]:
    """Return the noise of one input, one row, one call.

    Args:
        distribution: `standard_normal` or `uniform` (in [0, 1)).
        size: how many numbers.
        seed: seed of the row, 0 or more.
        input_index: index of the input among the noise inputs.
        call: calls since the last reset of the row.
        episode: resets of the row since it was seeded.

    Raises:
        ValueError: unknown distribution.
    """
    words = 2 * math.ceil(size / 2)
    generator = np.random.Philox(key=seed, counter=[0, input_index, call, episode])
    raw = generator.random_raw(words)
    uniform = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    if distribution == "uniform":
        return uniform[:size].astype(np.float32)
    if distribution != "standard_normal":
        raise ValueError(f"unknown noise distribution {distribution!r}")
    radius = np.sqrt(-2.0 * np.log(uniform[0::2]))
    angle = 2.0 * np.pi * uniform[1::2]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    return pairs.reshape(-1)[:size].astype(np.float32)


def draw_all(
    contract: Contract, *, seed: int, call: int, episode: int
) -> dict[str, NDArray[np.float32]]:
    """Return every noise input (*array_shape) of one row and one call."""
    if contract.noise is None:
        return {}
    drawn: dict[str, NDArray[np.float32]] = {}
    for index, spec in enumerate(contract.noises):
        values = draw(
            contract.noise.distribution,
            math.prod(spec.array_shape),
            seed=seed,
            input_index=index,
            call=call,
            episode=episode,
        )
        drawn[spec.name] = values.reshape(spec.array_shape)
    return drawn
