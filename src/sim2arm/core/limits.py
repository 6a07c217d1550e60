"""Velocity limits of a joint where it stands, for numpy and torch."""

# pyright: standard

from __future__ import annotations

from functools import lru_cache
from typing import Any

from array_api_compat import device

from .robots import JointLimits
from .transforms import Array, namespace


def velocity_bounds(limits: JointLimits, q: Array) -> tuple[Array, Array]:
    """Return the lowest and the highest velocity allowed at q.

    Without a velocity profile these are -dq_max and dq_max. With one, the limit falls with the
    square root of the distance to the end of the range and is zero close to it; the velocity
    away from the end stays free.

    Args:
        limits: the limits of n joints.
        q: (..., n) joint angles [rad].

    Returns:
        low and high (..., n), low <= 0 <= high [rad/s].
    """
    xp = namespace(q)
    n = len(limits.q_min)
    if q.shape[-1] != n:
        raise ValueError(f"q must have {n} angles on its last axis, got shape {tuple(q.shape)}")
    dq_max, profile = _constants(limits, xp, q.dtype, device(q))
    if profile is None:
        high = xp.broadcast_to(dq_max, q.shape)
        return -high, high
    offset_up, gain_up, q_up, offset_low, gain_low, q_low = (profile[i] for i in range(6))
    zero = xp.zeros_like(q)
    up = offset_up + xp.sqrt(xp.maximum(gain_up * (q_up - q), zero))
    low = offset_low - xp.sqrt(xp.maximum(gain_low * (q - q_low), zero))
    return (
        xp.minimum(xp.maximum(low, -dq_max), zero),
        xp.maximum(xp.minimum(up, dq_max), zero),
    )


@lru_cache(maxsize=64)
def _constants(limits: JointLimits, xp: Any, dtype: Any, place: Any) -> tuple[Array, Array | None]:
    """Return dq_max (n,) and the profile (6, n) in the library and place of the angles."""
    dq_max = xp.asarray(limits.dq_max, dtype=dtype, device=place)
    if limits.velocity_profile is None:
        return dq_max, None
    columns = list(zip(*limits.velocity_profile, strict=True))
    return dq_max, xp.asarray(columns, dtype=dtype, device=place)
