"""Parallel grippers between a command and the fingers: delay, busy state, thresholds.

The simulation takes from `GripperModel` the width that the fingers are driven to; on a robot the
same object says when a command may be sent and when the gripper is free again. `GripperAdapter`
turns policy actions into commands as the contract's `GripperSpec` says.

The Franka Hand obeys one command at a time. libfranka's `Gripper::move` and `grasp` return when
they are done and nothing interrupts them: `stop` waits as well (libfranka issues 18, 28, 52, 111).
A `move` that meets an object hangs for a minute or two (libfranka issue 18, franka_ros issue 281),
so that on the hand closing is a `grasp` with open tolerances, which ends at the object. An FR3 has
been seen to take 1 s per command (libfranka issue 226): measure `delay_s` on the robot at hand.
"""

# pyright: standard

from __future__ import annotations

import math

from array_api_compat import device

from .contract import GripperSpec
from .robots import Gripper
from .transforms import Array, namespace

ARRIVED_WITHIN = 0.001
"""A command is done when the measured width is this near to it [m] (ours)."""
STILL_SPEED = 0.001
"""Below this mean speed of the width the fingers stand [m/s]: the default
`stall_velocity_threshold` of ros2_control's gripper controllers."""
STILL_TIME_S = 0.2
"""After standing for this long before the goal, a command is done: the fingers hold an object or
are blocked [s]. An assumption: Franka publishes no figure, ros2_control's default is 1 s."""


class GripperModel:
    """N grippers, each obeying one command at a time.

    A command waits `delay_s`, then the target width moves to it at twice the speed of a finger. The
    gripper is busy until the measured width has arrived, or has stood still before the goal (then
    `blocked`); the target stays at the goal, so that the fingers press with their force limit. A
    command to a busy gripper is dropped and counted. If the gripper is preemptible it replaces
    the running one instead: the fingers follow the old one until the new one's delay is over, and
    a command that replaces one still under way takes over its remaining delay.

    Attributes:
        goal: (N,) width of the last accepted command [m].
        target: (N,) width that the fingers are driven to now [m].
        busy: (N,) bool, whether a command is being carried out.
        blocked: (N,) bool, whether the last command ended with the fingers standing before the
            goal; after closing: an object is held.
        dropped: (N,) int64, commands that met a busy gripper since the reset.
    """

    def __init__(self, gripper: Gripper | GripperSpec, width: Array, *, looks: bool = True) -> None:
        """Stand at a width (N,) [m]; its array type and dtype are used from here on.

        Args:
            gripper: speed, delay, opening.
            width: to stand at.
            looks: whether arrays are looked at, for errors and to leave out work for grippers
                that rest. On a GPU that would wait for it.

        Raises:
            ValueError: the width is not (N,) or beyond the opening.
        """
        self.gripper, self._rate, self.looks = gripper, 2.0 * gripper.speed, looks
        if width.ndim != 1:
            raise ValueError(f"gripper width must have shape (N,), got {tuple(width.shape)}")
        self._xp, self._device = namespace(width), device(width)
        self._step: tuple[float, Array] | None = None
        self.reset(width)

    def reset(self, width: Array) -> None:
        """Stand at a width (N,) [m], free, with nothing dropped.

        Raises:
            ValueError: the width is beyond the opening.
        """
        xp, n = self._xp, width.shape[0]
        self._check(width)
        self.target = xp.asarray(width, copy=True)
        self.goal = self.target
        self.busy = xp.zeros(n, dtype=xp.bool, device=self._device)
        self.blocked, self.dropped = self.busy, xp.zeros(n, dtype=xp.int64, device=self._device)
        # A command under way: the rest of its delay, and the goal that is in force until then.
        self._pending, self._wait = self.busy, xp.zeros_like(self.target)
        self._former = self.target
        # The last measured width, and for how long it has stayed near which width.
        self._seen, self._mark, self._still = self.target, self.target, self._wait
        self._rests = True  # all stand at their goals: most of the time there is nothing to do

    def restart(self, rows: Array, width: float | Array) -> None:
        """Put the grippers `rows` (N,) bool to a width, (N,) or one [m], free, nothing dropped."""
        xp = self._xp
        for name in ("target", "goal", "_former", "_seen", "_mark"):
            setattr(self, name, xp.where(rows, width, getattr(self, name)))
        for name in ("_wait", "_still"):
            setattr(self, name, xp.where(rows, 0.0, getattr(self, name)))
        for name in ("busy", "blocked", "_pending"):
            setattr(self, name, getattr(self, name) & ~rows)
        self.dropped = xp.where(rows, 0, self.dropped)
        self._rests = False

    def command(self, width: Array, rows: Array | None = None) -> Array:
        """Command widths (N,) [m] to the grippers `rows` (N,) bool, all if None.

        Returns:
            Which of them took the command (N,) bool; the others were busy.

        Raises:
            ValueError: a width is not a number or beyond the opening, or the shape is wrong.
        """
        xp = self._xp
        if width.shape != self.goal.shape:
            expected, got = tuple(self.goal.shape), tuple(width.shape)
            raise ValueError(f"gripper width must have shape {expected}, got {got}")
        asked = xp.ones_like(self.busy) if rows is None else rows
        self._check(xp.where(asked, width, 0.0))
        taken = asked if self.gripper.preemptible else asked & ~self.busy
        self.dropped = self.dropped + xp.astype(asked & ~taken, xp.int64)
        fresh = taken & ~self._pending
        self._former = xp.where(fresh, self.goal, self._former)
        self._wait = xp.where(fresh, self.gripper.delay_s, self._wait)
        self._pending = self._pending | taken
        self._rests = False
        self.goal = xp.where(taken, width, self.goal)
        self.busy, self.blocked = self.busy | taken, self.blocked & ~taken
        return taken

    def stop(self) -> Array:
        """Let grippers that are busy stand where they were measured last, free.

        Returns:
            Which of them were busy (N,) bool.
        """
        xp, stopped, dropped = self._xp, self.busy, self.dropped
        here = xp.minimum(xp.maximum(self._seen, 0.0 * self._seen), self.gripper.open_width)
        self.restart(stopped, here)
        self.dropped = dropped
        return stopped

    def targets(self, ahead: Array) -> Array:
        """Return the target widths (N, S) at times `ahead` (S,) [s] from now, without commands.

        A command that takes effect starts from the measured width where the target had gone on
        behind it, into an object: opening does not first take back the grip.
        """
        xp = self._xp
        if self._rests:
            return xp.broadcast_to(self.target[:, None], (self.target.shape[0], ahead.shape[0]))
        pending, wait, goal = (x[:, None] for x in (self._pending, self._wait, self.goal))
        before = xp.where(pending, xp.where(wait < ahead, wait, ahead), 0.0)
        width = self._towards(self._former[:, None], self.target[:, None], before)
        seen = self._seen[:, None]
        start = xp.where(goal > seen, xp.maximum(width, seen), xp.minimum(width, seen))
        width = xp.where(pending & (wait < ahead), start, width)
        return self._towards(goal, width, ahead - before)

    def advance(self, dt: float, measured: Array) -> None:
        """Pass a time of `dt` [s] at whose end the widths `measured` (N,) [m] are seen."""
        xp = self._xp
        if not self._rests:
            self._pass(dt, measured)
            moving = self.busy | (self.target != self.goal)
            self._rests = self.looks and not bool(xp.any(moving))
        self._seen = xp.asarray(measured, copy=True)

    def _pass(self, dt: float, measured: Array) -> None:
        xp = self._xp
        if self._step is None or self._step[0] != dt:  # made once: a copy to a GPU waits for it
            self._step = dt, xp.asarray([dt], dtype=self.target.dtype, device=self._device)
        self.target = self.targets(self._step[1])[:, 0]
        begins = self._pending & (self._wait < dt)
        self._wait = xp.where(self._pending & ~begins, self._wait - dt, 0.0)
        self._pending = self._pending & ~begins
        moves = begins | (xp.abs(measured - self._mark) > STILL_SPEED * STILL_TIME_S)
        self._still = xp.where(moves, 0.0, self._still + dt)
        self._mark = xp.where(moves, measured, self._mark)
        running = self.busy & ~self._pending
        arrived = (self.target == self.goal) & (xp.abs(measured - self.goal) <= ARRIVED_WITHIN)
        stands = self._still >= STILL_TIME_S
        self.blocked = self.blocked | (running & stands & ~arrived)
        self.busy = self.busy & ~(running & (arrived | stands))

    def _towards(self, goal: Array, width: Array, time: Array) -> Array:
        """Return the width after moving towards a goal for a time; exactly the goal once there."""
        xp, reach = self._xp, self._rate * time
        return xp.minimum(xp.maximum(goal, width - reach), width + reach)

    def _check(self, width: Array) -> None:
        xp, widest = self._xp, self.gripper.open_width
        if self.looks and not bool(xp.all((width >= 0.0) & (width <= widest))):
            raise ValueError(f"gripper width must lie in 0 to {widest} m, got {width}")


def element_of(spec: GripperSpec, width: float) -> float:
    """Return the element of an action that wants a gripper to stay at a width [m]."""
    if spec.kind == "width":
        return width
    share = min(max(2.0 * width / spec.open_width - 1.0, -1.0), 1.0)
    return share if spec.kind == "share" else math.copysign(1.0, share)


class WantedWidth:
    """The widths that the gripper's element of a policy's actions asks for.

    - fixed: the gripper holds what it holds.
    - binary: above `open_above` the gripper is wanted open, below `close_below` closed; between
      them, and until the first of the two, what was wanted last stays wanted.
    - width: the element is the wanted width [m], saturated at closed and open.
    - share: -1 is closed, 1 open, linear between, saturated beyond.

    A wanted width that is no farther than `least_change` from the last wanted one is that one.

    Attributes:
        value: (N,) width that is wanted [m].
    """

    def __init__(self, spec: GripperSpec, width: Array, *, looks: bool = True) -> None:
        """Want what the grippers stand at.

        Args:
            spec: what the element means.
            width: (N,) [m], saturated at closed and open.
            looks: see `GripperModel`.

        Raises:
            ValueError: the spec names no action element, or the thresholds are in the wrong order.
        """
        if spec.kind != "fixed" and spec.action_element is None:
            raise ValueError(f"gripper.action_element: expected an index for kind {spec.kind!r}")
        if spec.kind == "binary" and not spec.close_below <= spec.open_above:
            raise ValueError(
                "gripper.close_below must not exceed open_above, "
                f"got {spec.close_below} and {spec.open_above}"
            )
        xp = namespace(width)
        width = xp.where(width > spec.open_width, spec.open_width, width)
        self.spec, self.value, self._looks = spec, xp.where(width < 0.0, 0.0, width), looks

    def ask(self, action: Array, rows: Array | None = None) -> Array:
        """Return the widths (N,) [m] that are wanted from now on.

        Args:
            action: (N, A) of the policy.
            rows: grippers (N,) bool that are asked, all if None.

        Raises:
            ValueError: the gripper's element is not a number.
        """
        spec, last = self.spec, self.value
        if spec.kind == "fixed":
            return last
        xp, element = namespace(action), action[:, spec.action_element]
        if self._looks and not bool(xp.all(xp.isfinite(element))):
            raise ValueError(f"gripper element of the action: expected numbers, got {element}")
        if spec.kind == "binary":
            wanted = xp.where(element > spec.open_above, spec.open_width, last)
            wanted = xp.where(element < spec.close_below, 0.0, wanted)
        else:
            wanted = xp.astype(element, last.dtype)
            if spec.kind == "share":
                wanted = 0.5 * spec.open_width * (1.0 + wanted)
            wanted = xp.where(wanted > spec.open_width, spec.open_width, wanted)
            wanted = xp.where(wanted < 0.0, 0.0, wanted)
            wanted = xp.where(xp.abs(wanted - last) <= spec.least_change, last, wanted)
        self.value = wanted if rows is None else xp.where(rows, wanted, last)
        return self.value


class GripperAdapter:
    """Commands what actions want until the grippers take it.

    A change while a gripper is busy comes as soon as it is free, and every refused tick counts in
    `GripperModel.dropped`.
    """

    def __init__(self, spec: GripperSpec, model: GripperModel, width: Array | None = None) -> None:
        """Begin where the grippers stand.

        Args:
            spec: what the gripper's element of actions means.
            model: the grippers.
            width: (N,) at which they stand [m]; what they were told last if None.

        Raises:
            ValueError: see `WantedWidth`.
        """
        self.spec, self.model = spec, model
        stand = model.goal if width is None else width
        self._wanted = WantedWidth(spec, stand, looks=model.looks)
        self._told = self._wanted.value

    @property
    def wanted(self) -> Array:
        """Width (N,) that was asked for last [m]."""
        return self._wanted.value

    def reset(self, width: Array) -> None:
        """Start again with grippers that stand at a width (N,) [m]."""
        self.model.reset(width)
        self._wanted.value = self._told = self.model.goal

    def restart(self, rows: Array, width: float) -> None:
        """Start again with the grippers `rows` (N,) bool at a width [m]."""
        self.model.restart(rows, width)
        xp = namespace(rows)
        self._wanted.value = xp.where(rows, width, self.wanted)
        self._told = xp.where(rows, width, self._told)

    def command(self, action: Array, rows: Array | None = None) -> Array:
        """Command what actions (N, A) of one tick ask for; return who took a command (N,) bool.

        Args:
            action: of the policy.
            rows: grippers (N,) bool that are commanded, all if None.

        Raises:
            ValueError: the gripper's element is not a number.
        """
        model, xp = self.model, namespace(action)
        if self.spec.kind == "fixed":
            return xp.zeros_like(model.busy)
        wanted = self._wanted.ask(action, rows)
        news = wanted != self._told
        taken = model.command(wanted, news if rows is None else news & rows)
        self._told = xp.where(taken, wanted, self._told)
        return taken
