"""Forward kinematics and Jacobians of a `Chain`, for numpy and torch and any number of worlds.

The rotation of a joint is affine in the sine and the cosine of its angle, so the n link
transforms of all worlds come from two multiplications; only the product along the chain is a
loop, over the joints. Results have the type, device and precision of `q`.
"""

# pyright: standard

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from .robots import Chain
from .transforms import Array, cross


def forward(chain: Chain, q: Array) -> Array:
    """Return `T_base_tool` (..., 4, 4) [m] at joint angles q (..., n) [rad]."""
    return link_frames(chain, q)[..., -1, :, :]


def link_frames(chain: Chain, q: Array) -> Array:
    """Return the frames of the n joints and of the tool in the base, (..., n + 1, 4, 4) [m].

    A joint frame turns with its joint, so it is the frame of the link behind the joint.
    """
    xp = array_namespace(q)
    n = len(chain.joint_names)
    if q.shape[-1] != n:
        raise ValueError(
            f"q must have {n} angles on its last axis ({', '.join(chain.joint_names)}), "
            f"got shape {tuple(q.shape)}"
        )
    fixed, sine, cosine, _, T_last_tool = _constants(chain, xp, q.dtype, device(q))
    angle = q[..., None, None]
    local = fixed + xp.sin(angle) * sine + xp.cos(angle) * cosine  # (..., n, 4, 4)
    frames = [local[..., 0, :, :]]
    for i in range(1, n):
        frames.append(frames[-1] @ local[..., i, :, :])
    frames.append(frames[-1] @ T_last_tool)
    return xp.stack(frames, axis=-3)


def forward_and_jacobian(chain: Chain, q: Array) -> tuple[Array, Array]:
    """Return the pose of the tool and how fast the joints move it.

    Args:
        chain: the robot's chain.
        q: (..., n) joint angles [rad].

    Returns:
        `T_base_tool` (..., 4, 4) [m] and J (..., 6, n) with `(v, w) = J @ dq`: the velocity of
        the tool point [m/s] above the angular velocity of the tool [rad/s], both in the base.
    """
    xp = array_namespace(q)
    frames = link_frames(chain, q)
    axes = _constants(chain, xp, q.dtype, device(q))[3]
    turn = (frames[..., :-1, :3, :3] @ axes)[..., 0]  # (..., n, 3)
    arm = frames[..., -1:, :3, 3] - frames[..., :-1, :3, 3]
    J = xp.concat([cross(turn, arm), turn], axis=-1)  # (..., n, 6)
    return frames[..., -1, :, :], xp.matrix_transpose(J)


@lru_cache(maxsize=64)
def _constants(chain: Chain, xp: Any, dtype: Any, place: Any) -> tuple[Array, ...]:
    """Return the arrays of a chain in the library, precision and place of the angles.

    With R the rotation of a joint frame, a its axis and K the cross product with a, Rodrigues'
    formula gives `R (a a^T + K sin q + (I - a a^T) cos q)`.
    """
    T = chain.T_parent_joint
    R = T[:, :3, :3]
    a = chain.axes
    outer = a[:, :, None] * a[:, None, :]
    K = np.zeros((len(a), 3, 3))
    K[:, 0, 1], K[:, 0, 2], K[:, 1, 2] = -a[:, 2], a[:, 1], -a[:, 0]
    K -= np.swapaxes(K, -1, -2)
    fixed, sine, cosine = T.copy(), np.zeros_like(T), np.zeros_like(T)
    fixed[:, :3, :3] = R @ outer
    sine[:, :3, :3] = R @ K
    cosine[:, :3, :3] = R @ (np.eye(3) - outer)
    arrays = (fixed, sine, cosine, a[:, :, None], chain.T_last_tool)
    return tuple(xp.asarray(x.copy(), dtype=dtype, device=place) for x in arrays)
