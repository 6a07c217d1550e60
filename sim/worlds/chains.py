"""Poses that follow from the state alone: free bodies and frames at the end of a joint chain.

The engine computes a frame only together with all others and with collision detection, which is a
tenth of a control step. The frames that tasks read in every step need little more than their own
joints, so they are computed from the state with the model's own numbers.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
import torch
import warp as wp
from torch import Tensor

from sim2arm.core.robots import Chain, FloatArray
from sim2arm.core.transforms import pose, pose_to_matrix
from sim2arm.sim.chain_kernels import chain_kernel, link_poses
from sim2arm.sim.warp_device import recorded, warp_device

PARAMETERS = (
    "body_pos",
    "body_quat",
    "jnt_pos",
    "jnt_axis",
    "qpos0",
    "site_pos",
    "site_quat",
)
"""Model fields that a chain is made of: with values per world, the engine must compute it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SiteChain:
    """A site as the tool of a chain of hinges that stands on the world."""

    chain: Chain
    columns: tuple[int, ...]
    """Places of the joint angles in `qpos`."""


class ChainPose:
    """Poses of a site at the end of a chain in N worlds, straight from the state."""

    def __init__(self, chain: Chain, q: Tensor) -> None:
        """Take the live joint angles (N, n)."""
        n = q.shape[0]
        self._pose = torch.zeros((n, 7), dtype=q.dtype, device=q.device)
        real, device = wp.dtype_from_torch(q.dtype), warp_device(q.device)
        links, axes = (
            wp.array(values, dtype=real, device=device)
            for values in (link_poses(chain), np.asarray(chain.axes))
        )
        kernel = chain_kernel(real, len(chain.joint_names))
        self._launch = recorded(kernel, n, [q, links, axes], [self._pose], q.device)

    def __call__(self) -> Tensor:
        """Return the poses (N, 7) now; a copy."""
        self._launch()
        return self._pose.clone()


def site_chain(model: Any, site: int) -> SiteChain | None:
    """Return the chain from the world to a site; None where other joints than hinges move it.

    Args:
        model: `mujoco.MjModel`.
        site: its number.
    """
    path: list[int] = []
    body = int(model.site_bodyid[site])
    while body:
        path.append(body)
        body = int(model.body_parentid[body])
    T = np.eye(4)
    links: list[FloatArray] = []
    joints: list[int] = []
    for body in reversed(path):
        T = T @ _matrix(model.body_pos[body], model.body_quat[body])
        count, joint = int(model.body_jntnum[body]), int(model.body_jntadr[body])
        if model.body_mocapid[body] >= 0 or count > 1:
            return None
        if count == 1:
            if not _is_plain_hinge(model, joint):
                return None
            links.append(T)
            joints.append(joint)
            T = np.eye(4)
    if not joints:
        return None
    chain = Chain(
        base_frame="world",
        tool_frame=model.site(site).name,
        joint_names=tuple(model.joint(i).name for i in joints),
        T_parent_joint=np.stack(links),
        axes=model.jnt_axis[joints].copy(),
        T_last_tool=T @ _matrix(model.site_pos[site], model.site_quat[site]),
    )
    return SiteChain(chain=chain, columns=tuple(int(model.jnt_qposadr[i]) for i in joints))


def _is_plain_hinge(model: Any, joint: int) -> bool:
    """Return whether a joint is a hinge about the origin of its body, with angle 0 as built."""
    return bool(
        model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE
        and not model.jnt_pos[joint].any()
        and model.qpos0[model.jnt_qposadr[joint]] == 0.0
    )


def _matrix(position: FloatArray, turn: FloatArray) -> FloatArray:
    return pose_to_matrix(pose(position, turn / np.linalg.norm(turn)))
