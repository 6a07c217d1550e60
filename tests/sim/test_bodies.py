"""Capsules of our robots against the shapes of their models, by MuJoCo's own distances."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import itertools
from typing import Any

import mujoco
import numpy as np
import pytest

from sim2arm.core.bodies import Clearances
from sim2arm.core.robots import ROBOTS, Robot
from sim2arm.sim.robots import models

SEEN = 2  # group of the geoms that are seen: covers, fingers


class Model:
    """The shapes of a robot, by link."""

    def __init__(self, robot: Robot) -> None:
        spec = mujoco.MjSpec()
        models.add_robot(spec, robot)
        self.robot, self.model = robot, spec.compile()
        self.data = mujoco.MjData(self.model)
        self._places = [self.model.joint(name).qposadr[0] for name in robot.joint_names]
        self._fingers = [self.model.joint(n).qposadr[0] for n in robot.gripper.joint_names]
        links = (self._link(int(body)) for body in self.model.geom_bodyid)
        self.shapes = [
            (geom, link)
            for geom, link in enumerate(links)
            if link is not None and self.model.geom_group[geom] == SEEN
        ]

    def _link(self, body: int) -> int | None:
        name = str(self.model.body(body).name).removeprefix(f"{self.robot.name}_")
        if name.startswith("link"):
            return int(name[4:])
        fingers = "finger" in name or name == "hand"
        return len(self.robot.joint_names) + 1 if fingers else None

    def move(self, q: np.ndarray, width: float) -> None:
        """Put the arm at q (n,) [rad] with the pads at a width [m]."""
        self.data.qpos[self._places] = q
        self.data.qpos[self._fingers] = self.robot.gripper.position(width)
        mujoco.mj_kinematics(self.model, self.data)

    def apart(self, far: float) -> float:
        """Return the least distance of links that are kept apart, up to `far` [m]."""
        assert self.robot.body is not None
        least, line = far, np.zeros(6)
        for (a, i), (b, j) in itertools.combinations(self.shapes, 2):
            if (min(i, j), max(i, j)) not in self.robot.body.pairs:
                continue
            centres = np.linalg.norm(self.data.geom_xpos[a] - self.data.geom_xpos[b])
            if centres > self.model.geom_rbound[a] + self.model.geom_rbound[b] + least:
                continue
            least = min(least, mujoco.mj_geomDistance(self.model, self.data, a, b, least, line))
        return least

    def lowest(self) -> float:
        """Return how low the covers of links behind the second reach, without fingers [m]."""
        names = ("finger", "hand")
        found = [
            self.data.geom_xpos[geom][2] - self._half_height(geom)
            for geom, link in self.shapes
            if link > 1
            and not any(n in self.model.body(self.model.geom_bodyid[geom]).name for n in names)
        ]
        return min(found)

    def _half_height(self, geom: int) -> float:
        R, size = self.data.geom_xmat[geom].reshape(3, 3), self.model.geom_size[geom]
        kinds: Any = mujoco.mjtGeom
        if self.model.geom_type[geom] == kinds.mjGEOM_BOX:
            return float(np.abs(R[2]) @ size)
        bar = abs(R[2, 2]) * size[1]
        if self.model.geom_type[geom] == kinds.mjGEOM_CAPSULE:
            return float(bar + size[0])
        return float(bar + np.hypot(R[2, 0], R[2, 1]) * size[0])


@pytest.mark.parametrize("name", sorted(ROBOTS))
def test_covers_never_meet_where_the_gate_lets_the_arm_go(name: str) -> None:
    robot = ROBOTS[name]
    assert robot.body is not None
    model, random = Model(robot), np.random.default_rng(1)
    clearances = Clearances(robot.chain, robot.body)
    q = random.uniform(robot.limits.q_min, robot.limits.q_max, (20_000, len(robot.home)))
    kept = np.nonzero(np.abs(clearances(q).itself - robot.body.margin) < 0.02)[0][:400]
    assert len(kept) > 100
    gaps = np.array([_gap(model, q[i], random) for i in kept])
    let_in = clearances(q[kept]).itself >= robot.body.margin
    assert gaps[let_in].min() > 0.0
    # Nor is it stopped far from anything: what the capsules add is theirs, not a guess.
    assert gaps[~let_in].max() < robot.body.margin + 0.1


def _gap(model: Model, q: np.ndarray, random: np.random.Generator) -> float:
    model.move(q, random.uniform(0.0, model.robot.gripper.open_width))
    return model.apart(0.3)


@pytest.mark.parametrize("name", sorted(ROBOTS))
def test_no_cover_reaches_the_table_where_the_gate_lets_the_arm_go(name: str) -> None:
    robot = ROBOTS[name]
    assert robot.body is not None
    model, random = Model(robot), np.random.default_rng(2)
    q = random.uniform(robot.limits.q_min, robot.limits.q_max, (300, len(robot.home)))
    told = Clearances(robot.chain, robot.body)(q).table
    for row, low in zip(q, told, strict=True):
        model.move(row, 0.0)
        # Franka's own capsules leave out up to 0.02 m of the covers that we draw.
        assert model.lowest() > low - 0.02
