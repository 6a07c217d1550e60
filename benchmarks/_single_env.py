"""Peg insertion in one world, as a gymnasium user writes it: MjData, a loop, numpy.

The baseline of `bench env`. Scene, controller and start poses are those of the vectorised
environment; observation and reward are written for one world. A test compares the two.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

import gymnasium
import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2arm.core.controllers import EeDelta, EeDeltaCfg
from sim2arm.core.inverse import solve_pose
from sim2arm.core.robots import Robot
from sim2arm.core.transforms import pose_between, pose_compose, quat_from_rotvec, quat_mul
from sim2arm.sim.tasks.peg_insertion import PegInsertion, PegInsertionCfg
from sim2arm.sim.tasks.shapes import PAD_GAP, held_forces
from sim2arm.sim.worlds.compiled import pair_force_start

FloatArray = NDArray[np.float64]
SIZES = {
    "joint_position": 7,
    "joint_velocity": 7,
    "ee_pose": 7,
    "socket_pose": 7,
    "true_socket_pose": 7,
    "peg_in_socket": 7,
    "peg_force": 9,
}
"""The parts of the observation, in the order in which they are joined."""


class SinglePegInsertion(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    """One episode of peg insertion; the observation is one vector."""

    def __init__(self, robot: Robot, *, control_hz: float, substeps: int) -> None:
        """Compile the scene."""
        self.cfg, self.robot = PegInsertionCfg(), robot
        task = PegInsertion(self.cfg, robot)
        spec = task.scene()
        spec.option.timestep = 1.0 / (control_hz * substeps)
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        spec.option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        self.observation_space = gymnasium.spaces.Box(
            -np.inf, np.inf, (sum(SIZES.values()),), np.float32
        )
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (6,), np.float32)
        self._home = np.asarray(robot.home)[None]
        self._controller = EeDelta(robot, 1.0 / control_hz, EeDeltaCfg(), self._home)
        self._times = np.arange(1, substeps + 1)[:, None] * self.model.opt.timestep
        self._lead = np.asarray(robot.kd) / np.asarray(robot.kp)
        self._site = self.model.site(robot.chain.tool_frame).id
        self._peg = self.model.body("peg").id
        self._gripper = self.model.actuator(f"{robot.name}_gripper").id
        self._grip_width = task.grip_width
        first = self.model.joint(robot.joint_names[0]).id
        self._arm = slice(first, first + 7)
        fingers = [self.model.joint(name).qposadr[0] for name in robot.gripper.joint_names]
        self._fingers = np.array(fingers)
        pairs = held_forces(robot, "peg", "socket")
        starts = [pair_force_start(self.model, a, b) for a, b in pairs]
        self._forces = np.concatenate([np.arange(start, start + 3) for start in starts])
        self._peg_q = int(self.model.joint("peg").qposadr[0])
        depth = 0.5 * self.cfg.peg_length - 0.5 * self.cfg.grasp_depth
        self._grip = np.array([0.0, 0.0, depth, 1.0, 0.0, 0.0, 0.0])
        self._heights = np.linspace(-0.5, 0.5, 4) * self.cfg.peg_length
        self._seat = 0.002 + 0.5 * self.cfg.peg_length

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode with the peg in the hand above the table."""
        super().reset(seed=seed)
        cfg, random, data = self.cfg, self.np_random, self.data
        start = random.uniform(cfg.start_low, cfg.start_high)
        socket = random.uniform(cfg.socket_low, cfg.socket_high)
        self._error = random.uniform(-cfg.socket_noise, cfg.socket_noise, 3)
        x, y, z = (quat_from_rotvec(start[3 + i] * np.eye(3)[i]) for i in range(3))
        tool = np.concatenate([start[:3], quat_mul(z, quat_mul(y, x))])[None]
        q = solve_pose(self.robot, tool, self._home, iterations=6)
        mujoco.mj_resetData(self.model, data)
        data.qpos[self._arm] = q[0]
        data.qpos[self._fingers] = cfg.peg_radius + PAD_GAP
        data.qpos[self._peg_q : self._peg_q + 7] = pose_compose(tool, self._grip)[0]
        self._socket = np.array([*socket, 1.0, 0.0, 0.0, 0.0])
        data.mocap_pos[0], data.mocap_quat[0] = self._socket[:3], self._socket[3:]
        mujoco.mj_forward(self.model, data)
        self._controller.reset(q, np.arange(1))
        self._previous, self._steps, self._held = np.zeros(6), 0, 0
        self._closeness: float | None = None
        self._read()
        return self._observe(), {}

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Apply an action (6,) in [-1, 1] for one control period."""
        act = np.clip(action, -1.0, 1.0).astype(np.float64)
        control, t = self._controller, self._times
        control.step(act[None], self._tool[None])
        motion = control.motion
        q, dq, ddq, jerk = (
            value[0] for value in (motion.q_start, motion.dq_start, motion.ddq_start, motion.jerk)
        )
        path = q + t * (dq + t * (0.5 * ddq + t * jerk / 6.0))
        path += self._lead * (dq + t * (ddq + 0.5 * t * jerk))
        self.data.ctrl[self._gripper] = self._grip_width
        for row in path:
            self.data.ctrl[:7] = row
            mujoco.mj_step(self.model, self.data)
        mujoco.mj_kinematics(self.model, self.data)
        self._read()
        reward, terminated = self._judge(act)
        self._steps += 1
        truncated = self._steps >= self.cfg.max_steps and not terminated
        return self._observe(), reward, terminated, truncated, {}

    def _read(self) -> None:
        turn = np.empty(4)
        mujoco.mju_mat2Quat(turn, self.data.site_xmat[self._site])
        self._tool = np.concatenate([self.data.site_xpos[self._site], turn])
        self._peg_pose = np.concatenate([self.data.xpos[self._peg], self.data.xquat[self._peg]])

    def _observe(self) -> NDArray[np.float32]:
        data, socket = self.data, self._socket
        seen = socket.copy()
        seen[:3] += self._error
        relative = pose_between(socket, self._peg_pose)
        parts = [data.qpos[self._arm], data.qvel[self._arm], self._tool, seen, socket, relative]
        return np.concatenate([*parts, data.sensordata[self._forces]]).astype(np.float32)

    def _judge(self, act: FloatArray) -> tuple[float, bool]:
        """Return the reward and whether the episode is over: solved, or the peg is lost."""
        cfg, peg = self.cfg, self._peg_pose
        w, x, y, z = peg[3:]
        axis = np.array([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
        points = peg[:3] + self._heights[:, None] * axis
        away = points - self._socket[:3]
        away[:, 2] -= self._seat - self._heights
        distance = np.sqrt((away * away).sum(axis=-1)).mean()
        side = np.sqrt((away[:, :2] * away[:, :2]).sum(axis=-1)).mean()
        deep = 1.0 - np.tanh(cfg.depth_scale * abs(away[:, 2].mean()))
        aligned = 1.0 / (1.0 + (side / cfg.aligned_width) ** 2)
        far, beside = 1.0 - np.tanh(cfg.far_scale * distance), 1.0 - np.tanh(cfg.side_scale * side)
        now = 0.25 * (far + beside + 2.0 * aligned * deep)
        progress = 0.0 if self._closeness is None else now - self._closeness
        self._closeness = now
        offset = peg[:3] - self._tool[:3]
        lost = bool(np.sqrt(offset @ offset) > cfg.lost_distance)
        self._held = self._held + 1 if distance < cfg.success_distance else 0
        success = self._held >= cfg.hold_steps
        change = act - self._previous
        self._previous = act
        reward = progress - 0.002 + float(success) - float(lost) - 0.0002 * float(change @ change)
        return reward, success or lost
