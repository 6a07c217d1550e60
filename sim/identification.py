"""Which numbers of an arm explain how it followed what it was told: replays of a recording.

The arm is simulated again and again with the low-level law and the trajectory that its controller
was told, each time with other numbers (friction, rotor inertia, gains, payload, delay), and the
numbers under which the joints move as they were measured are the arm's. All candidates of a step
run together (`mujoco.rollout`); steps are those of `mujoco.minimize`, as in `mujoco.sysid`.

What is known stays: masses of the links, their centres and inertias. What a recording does not tell
is found out by its Jacobian (`calibration.identified`) and left as the model has it.
"""

# MuJoCo's extension modules have no stubs, SciPy's are incomplete.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import mujoco
import numpy as np
import numpy.typing as npt
from mujoco import minimize, rollout
from scipy.interpolate import CubicHermiteSpline

from sim2arm.calibration.identified import (
    Identified,
    Number,
    numbers_of,
    robust_weights,
    told_by,
)
from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.robots import Robot

from .actuators import gain_places
from .measured_terms import PAYLOAD, TINY, add_payload, payload_inertia
from .robots.models import add_robot
from .worlds.compiled import compile_scene, find

TIMESTEP = 1.0 / 480.0
SETTLE = 0.5
"""At the start, not compared: what the arm did before is not known [s]."""
GAP = 0.2
"""Longest time between two messages of a controller [s]."""
STANDS = 1e-3
"""Speed below which an arm is told to stand [rad/s]."""
PASSES = 3
STEP = 1e-4
"""Of finite differences, in units of each number's scale."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """What a controller was told and what its arm did."""

    told_stamps: FloatArray
    """(T,) rising [s]."""
    told_q: FloatArray
    """(T, n) [rad]."""
    told_dq: FloatArray
    """(T, n) [rad/s]."""
    stamps: FloatArray
    """(S,) rising, of what was measured [s]."""
    q: FloatArray
    """(S, n) [rad]."""

    def __post_init__(self) -> None:
        """Check that it is one."""
        for name, stamps, values in (
            ("told", self.told_stamps, (self.told_q, self.told_dq)),
            ("measured", self.stamps, (self.q,)),
        ):
            if len(stamps) < 50 or not (np.diff(stamps) > 0).all():
                raise ValueError(f"{name}: expected 50 stamps or more that rise")
            for one in values:
                if one.ndim != 2 or len(one) != len(stamps) or not np.isfinite(one).all():
                    raise ValueError(f"{name}: expected ({len(stamps)}, n) finite numbers")
        if self.told_q.shape[1] != self.q.shape[1]:
            raise ValueError(f"expected {self.told_q.shape[1]} joints, got {self.q.shape[1]}")


def longest_run(recording: Recording, robot: Robot) -> Recording:
    """Return the longest part of a recording in which nothing jumps, from where the arm rests on.

    Raises:
        ValueError: in no part does the arm stand still for a moment before it moves; one line.
    """
    t, q, dq = recording.told_stamps, recording.told_q, recording.told_dq
    step = np.diff(t)
    jumps = (
        np.abs(np.diff(q, axis=0)) > 1.5 * np.asarray(robot.limits.dq_max) * step[:, None] + 1e-3
    )
    breaks = np.flatnonzero(jumps.any(axis=1) | (step > GAP)) + 1
    best: tuple[float, float] | None = None
    for rows in np.split(np.arange(len(t)), breaks):
        still = rows[(np.abs(dq[rows]) < STANDS).all(axis=1)]
        if not len(still):
            continue
        moves = rows[(np.abs(dq[rows]) >= STANDS).any(axis=1) & (rows > still[0])]
        # The last moment at rest before it begins to move.
        begin = still[still < moves[0]][-1] if len(moves) else still[0]
        first = max(t[rows[0]], t[begin] - SETTLE)
        if best is None or t[rows[-1]] - first > best[1] - best[0]:
            best = (float(first), float(t[rows[-1]]))
    if best is None:
        raise ValueError(
            "the arm is never told to stand still: begin the recording before it moves"
        )
    told = (t >= best[0]) & (t <= best[1])
    seen = (recording.stamps >= best[0]) & (recording.stamps <= best[1])
    return Recording(
        told_stamps=t[told], told_q=q[told], told_dq=dq[told],
        stamps=recording.stamps[seen], q=recording.q[seen],
    )  # fmt: skip


class ArmReplay:
    """Runs a recording on the simulated arm with other numbers.

    Attributes:
        numbers: what may be found, in order: each with its value in the model.
    """

    def __init__(
        self,
        robot: Robot,
        recording: Recording,
        *,
        width: float | None = None,
        delay: tuple[float, float] = (0.0, 0.1),
        threads: int = 2,
    ) -> None:
        """Build the arm and what it is told.

        Args:
            robot: the arm; its model is what is known of it.
            recording: of it.
            width: of its gripper [m]; open by default.
            delay: between which the delay of its motion lies [s].
            threads: of the physics.
        """
        self.robot, self.recording = robot, recording
        spec = mujoco.MjSpec()
        add_robot(spec, robot)
        add_payload(spec, robot.chain.tool_frame)
        self.model = compile_scene(spec, TIMESTEP)
        joints = robot.joint_names
        self._joints = [find(self.model, "joint", name) for name in joints]
        self._dofs = self.model.jnt_dofadr[self._joints]
        self._qpos = self.model.jnt_qposadr[self._joints]
        self._rows = [find(self.model, "actuator", name) for name in joints]
        self._payload = find(self.model, "body", PAYLOAD)
        self.numbers = _numbers(robot, self.model, self._dofs, delay)
        self._models: list[mujoco.MjModel] = []
        self._data = [mujoco.MjData(self.model) for _ in range(max(1, threads))]
        self._prepare(width)

    def _prepare(self, width: float | None) -> None:
        told = self.recording
        self._curve = CubicHermiteSpline(told.told_stamps, told.told_q, told.told_dq, axis=0)
        self._start = max(told.told_stamps[0], told.stamps[0])
        end = min(told.told_stamps[-1], told.stamps[-1])
        self.steps = int((end - self._start) / TIMESTEP)
        if self.steps * TIMESTEP < 3.0:
            raise ValueError(
                f"{max(0.0, end - self._start):.1f} s of what was told and measured overlap, "
                "expected 3 or more: record half a minute"
            )
        times = told.stamps
        last = self._start + (self.steps - 1) * TIMESTEP
        self.rows = (times > self._start + SETTLE) & (times < last)
        self._times = self._start + TIMESTEP * np.arange(self.steps)
        # Between which steps measurements lie: the state after step k is that at k + 1.
        place = (times[self.rows] - self._start) / TIMESTEP - 1.0
        self._before = np.floor(place).astype(np.int64)
        self._share = (place - self._before)[:, None]
        data = self._data[0]
        mujoco.mj_resetData(self.model, data)
        data.qpos[self._qpos] = told.q[np.searchsorted(times, self._start)]
        self._ctrl = np.zeros(self.model.nu)
        gripper = self.robot.gripper
        if gripper.joint_names:
            row = find(self.model, "actuator", f"{self.robot.name}_gripper")
            self._ctrl[row] = gripper.open_width if width is None else width
            self._open_fingers(data, self._ctrl[row])
        size = mujoco.mj_stateSize(self.model, mujoco.mjtState.mjSTATE_FULLPHYSICS)
        self._state = np.zeros(size)
        mujoco.mj_getState(self.model, data, self._state, mujoco.mjtState.mjSTATE_FULLPHYSICS)
        self._first_q = 1 + self._qpos  # after the time
        self._first_dq = 1 + self.model.nq + self._dofs

    def _open_fingers(self, data: mujoco.MjData, width: float) -> None:
        """Let the fingers stand where they are held, so that they do not shake the arm."""
        arm = data.qpos[self._qpos].copy()
        data.ctrl[:] = self._ctrl
        for _ in range(240):
            data.qpos[self._qpos], data.qvel[self._dofs] = arm, 0.0
            mujoco.mj_step(self.model, data)
        data.qpos[self._qpos], data.qvel[:] = arm, 0.0
        data.time = 0.0

    @property
    def measured(self) -> FloatArray:
        """(R, n) what was measured, of the rows that are compared [rad]."""
        return self.recording.q[self.rows]

    @property
    def times(self) -> FloatArray:
        """(R,) their stamps [s]."""
        return self.recording.stamps[self.rows]

    def run(self, values: FloatArray) -> FloatArray:
        """Return the joints (K, R, n) [rad] of K candidates (K, P), at the times of `measured`."""
        count = len(values)
        while len(self._models) < count:
            self._models.append(copy.deepcopy(self.model))
        models = self._models[:count]
        controls = np.tile(self._ctrl, (count, self.steps, 1))
        for model, control, row in zip(models, controls, values, strict=True):
            self._write(model, control, {n.name: v for n, v in zip(self.numbers, row, strict=True)})
        state = np.asarray(rollout.rollout(models, self._data, self._state, controls)[0])
        return self._between(state[..., self._first_q], state[..., self._first_dq])

    def restarted(self, values: FloatArray, window: float, speeds: FloatArray) -> FloatArray:
        """Return the joints (R, n) [rad] of an arm that is put back to where it was measured.

        Args:
            values: (P,) of the arm.
            window: time between restarts [s].
            speeds: (S, n) of the measured joints [rad/s].
        """
        model, control = copy.deepcopy(self.model), np.tile(self._ctrl, (self.steps, 1))
        self._write(model, control, {n.name: v for n, v in zip(self.numbers, values, strict=True)})
        each = max(2, round(window / TIMESTEP))
        count = -(-self.steps // each)
        controls = np.tile(control[-1], (count * each, 1))
        controls[: self.steps] = control
        times = self._start + window * np.arange(count)
        states = np.tile(self._state, (count, 1))
        told = self.recording
        for k, joint in enumerate(self._first_q):
            states[:, joint] = np.interp(times, told.stamps, told.q[:, k])
            states[:, self._first_dq[k]] = np.interp(times, told.stamps, speeds[:, k])
        found = np.asarray(
            rollout.rollout([model] * count, self._data, states, controls.reshape(count, each, -1))[
                0
            ]
        )
        flat = found.reshape(count * each, -1)[None]
        return self._between(flat[..., self._first_q], flat[..., self._first_dq])[0]

    def _between(self, q: FloatArray, dq: FloatArray) -> FloatArray:
        """Return the joints (K, R, n) at the times of `measured`, of those after each step."""
        a, b = q[:, self._before], q[:, self._before + 1]
        da, db = (TIMESTEP * dq[:, self._before + k] for k in (0, 1))
        s = self._share
        return (
            (1 + 2 * s) * (1 - s) ** 2 * a + s * (1 - s) ** 2 * da
            + s * s * (3 - 2 * s) * b + s * s * (s - 1) * db
        )  # fmt: skip

    def _write(self, model: mujoco.MjModel, control: FloatArray, values: dict[str, float]) -> None:
        """Write numbers into a model, and what it is told with them (steps, nu)."""
        n = len(self._dofs)
        kp, kd = np.empty(n), np.empty(n)
        for k, (name, dof, row) in enumerate(
            zip(self.robot.joint_names, self._dofs, self._rows, strict=True)
        ):
            model.dof_frictionloss[dof] = values[f"coulomb/{name}"]
            model.dof_damping[dof] = values[f"viscous/{name}"]
            model.dof_armature[dof] = values[f"armature/{name}"]
            kp[k] = self.robot.kp[k] * values["kp"]
            kd[k] = self.robot.kd[k] * values["kd"]
            stiff, damping = gain_places(model, row)
            for places, gain in ((stiff, kp[k]), (damping, kd[k])):
                for field, number, sign in places:
                    getattr(model, field)[row, number] = sign * gain
        model.body_mass[self._payload] = values["payload/mass"] + TINY
        model.body_ipos[self._payload] = [values[f"payload/{axis}"] for axis in "xyz"]
        model.body_inertia[self._payload] = payload_inertia(values["payload/mass"])
        mujoco.mj_setConst(model, self._data[0])
        late = self._times + TIMESTEP - values["delay"]
        late = late.clip(self.recording.told_stamps[0], self.recording.told_stamps[-1])
        control[:, self._rows] = self._curve(late) + (kd / kp) * self._curve(late, 1)


def identify(
    replay: ArmReplay,
    names: Sequence[str],
    *,
    held_out: float = 0.25,
    say: Callable[[str], None] = lambda _: None,
) -> Identified:
    """Return the numbers of an arm.

    Args:
        replay: of a recording of it.
        names: how the numbers that are looked for begin; the others stay as the model has them.
        held_out: share at the end that is only compared.
        say: told how far it is.

    Raises:
        ValueError: nothing is looked for or told, the arm does something else than it is told, or
            a number comes out at the end of what it may be.
    """
    chosen = [k for k, n in enumerate(replay.numbers) if n.name.startswith(tuple(names))]
    if not chosen:
        known = sorted({n.name.partition("/")[0] for n in replay.numbers})
        raise ValueError(f"numbers: expected some of {', '.join(known)}, got {', '.join(names)}")
    start = np.array([n.value for n in replay.numbers])
    before = replay.run(start[None])[0] - replay.measured
    _check(before, replay.measured, replay.robot)
    missing: list[str] = []
    while True:
        found = _fit(replay, chosen, before, held_out, say)
        _check_ends(found)
        told = found.told
        if told.all():
            break
        missing += [n.name for n, fine in zip(found.numbers, told, strict=True) if not fine]
        chosen = [k for k, fine in zip(chosen, told, strict=True) if fine]
        if not chosen:
            raise ValueError("the motion told none of the numbers: record faster and wider motion")
        say(f"not told: {', '.join(missing)}; once more without them")
    return replace(found, missing=tuple(missing))


def _fit(
    replay: ArmReplay, chosen: Sequence[int], before: FloatArray, held_out: float,
    say: Callable[[str], None],
) -> Identified:  # fmt: skip
    """Return chosen numbers; `before` is (R, n) simulated less measured without them [rad]."""
    numbers = [replay.numbers[k] for k in chosen]
    start = np.array([n.value for n in replay.numbers])
    scales = np.array([n.scale for n in numbers])
    times, measured = replay.times, replay.measured
    fitted = times < times[0] + (1.0 - held_out) * (times[-1] - times[0])
    weights = np.full(measured.shape, 1.0 / np.sqrt(np.mean(before**2, axis=0)).clip(1e-9))

    def off(x: FloatArray) -> FloatArray:
        """Return (R n, K) weighted residuals of the fitted rows of numbers (P, K) in scales."""
        values = np.tile(start, (x.shape[1], 1))
        values[:, chosen] = (x * scales[:, None]).T
        found = replay.run(values)
        return ((found - measured) * weights)[:, fitted].reshape(x.shape[1], -1).T

    x = start[list(chosen)] / scales
    low = np.array([n.low for n in numbers]) / scales
    high = np.array([n.high for n in numbers]) / scales
    for k in range(PASSES):
        x, trace = minimize.least_squares(
            x.clip(low, high), off, bounds=[low, high], eps=STEP, max_iter=12 if k == 0 else 4,
            xtol=1e-4, gtol=1e-6, verbose=0, x_scale="jac",
        )  # fmt: skip
        x = np.asarray(x).ravel()
        values = start.copy()
        values[list(chosen)] = x * scales
        found = replay.run(values[None])[0]
        weights = robust_weights(found - measured, fitted)
        say(f"pass {k + 1} of {PASSES}: {len(trace)} steps, "
            f"{_mrad(found - measured, fitted):.3f} mrad")  # fmt: skip
    moves, after = jacobian(replay, start, chosen, x, scales)
    return told_by(
        numbers_of(numbers, x * scales), moves / scales, after - measured, before, weights, times,
        fitted,
    )  # fmt: skip


def jacobian(
    replay: ArmReplay, start: FloatArray, chosen: Sequence[int], x: FloatArray, scales: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return by how much joints move per number (R, n, P) in scales, and where they are (R, n).

    Differences to both sides, one-sided where a number is at its end.
    """
    count = len(chosen)
    steps = np.concatenate([np.eye(count), -np.eye(count), np.zeros((1, count))]) * 10.0 * STEP
    low, high = (
        np.array([getattr(replay.numbers[k], end) for k in chosen]) / scales
        for end in ("low", "high")
    )
    values = np.tile(start, (len(steps), 1))
    tried = (x + steps).clip(low, high)
    values[:, chosen] = tried * scales
    found = replay.run(values)
    spans = np.diagonal(tried[:count]) - np.diagonal(tried[count : 2 * count])
    moves = (found[:count] - found[count : 2 * count]) / spans[:, None, None]
    return np.moveaxis(moves, 0, -1), found[-1]


def _numbers(
    robot: Robot, model: mujoco.MjModel, dofs: Sequence[int], delay: tuple[float, float]
) -> list[Number]:
    """Return everything that may be found of an arm."""
    found: list[Number] = []
    for name, dof, torque in zip(robot.joint_names, dofs, robot.limits.tau_max, strict=True):
        most = 0.3 * torque
        for kind, value, high, unit, scale in (
            ("coulomb", model.dof_frictionloss[dof], most, "N m", 0.01 * torque),
            ("viscous", model.dof_damping[dof], most, "N m s/rad", 0.01 * torque),
            ("armature", model.dof_armature[dof], 2.0, "kg m^2", 0.1),
        ):
            found.append(Number(name=f"{kind}/{name}", value=float(value), low=0.0, high=high,
                                unit=unit, scale=scale))  # fmt: skip
    found += [
        Number(name="kp", value=1.0, low=0.3, high=3.0, unit="1", scale=0.1),
        Number(name="kd", value=1.0, low=0.3, high=3.0, unit="1", scale=0.1),
        Number(name="payload/mass", value=0.0, low=0.0, high=5.0, unit="kg", scale=0.2),
        *(Number(name=f"payload/{axis}", value=0.0, low=-0.2, high=0.2, unit="m", scale=0.1)
          for axis in "xyz"),
        Number(name="delay", value=delay[0], low=delay[0], high=delay[1], unit="s",
               scale=0.005),
    ]  # fmt: skip
    return found


def _check_ends(found: Identified) -> None:
    """Refuse a number at the end of what it may be, but for 0, and the place of no payload.

    Raises:
        ValueError: so it is; names it.
    """
    for number in found.numbers:
        edge = 1e-6 * (number.high - number.low)
        at_low = number.low != 0.0 and number.value < number.low + edge
        if (at_low or number.value > number.high - edge) and number.name[:-1] != "payload/":
            raise ValueError(
                f"{number.name} comes out at the end of what is looked for ({number.value:g} "
                f"{number.unit}): is this the arm, and are these its topics?"
            )


def _check(off: FloatArray, measured: FloatArray, robot: Robot) -> None:
    """Refuse an arm that does something else than it is told.

    Raises:
        ValueError: so it is; names the joint.
    """
    apart = np.sqrt(np.mean(off**2, axis=0))
    moves = measured.std(axis=0)
    for k, name in enumerate(robot.joint_names):
        if apart[k] > max(0.5 * moves[k], math.radians(3.0)):
            raise ValueError(
                f"joint {name!r} is {math.degrees(apart[k]):.1f} deg from where it was told to be: "
                "are these of one run, and does the joint follow the right topic?"
            )


def _mrad(off: FloatArray, rows: npt.NDArray[np.bool_]) -> float:
    return 1e3 * float(np.sqrt(np.mean(off[rows] ** 2)))
