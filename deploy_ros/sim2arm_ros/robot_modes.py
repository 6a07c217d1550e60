"""What a robot says of its own state, and why its arm must not move because of it. No ROS.

A robot that was stopped by its own safety functions, runs no program or runs slower than it is
told does not do what it is commanded. Each kind of robot is judged by a pure function of what its
topics said last; `RobotModes` keeps that and watches over silence. What was well once and no longer
is, the gate answers with a fault that only the operator leaves.

Sources: franka_ros2 (Apache-2.0), `franka_msgs/msg/{FrankaRobotState,Errors}.msg`;
Universal_Robots_ROS2_Driver (BSD-3-Clause), `ur_dashboard_msgs/msg/{RobotMode,SafetyMode}.msg`,
`ur_controllers/src/{gpio_controller,speed_scaling_state_broadcaster}.cpp`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Values = Mapping[str, Any]
"""Plain data of one message: numbers, truth values, texts and lists of these."""
Kind = Literal["franka", "universal_robots", "status"]
MODES = "robot modes"
"""Name of the gate's standing problem with them."""
_SLACK = 1.0
"""How far a speed scaling may be below what is asked for [%]: it is a product of two fractions."""


@dataclass(frozen=True, kw_only=True)
class ModeTopic:
    """One topic on which a kind of robot tells its state."""

    type: str
    """Of its messages."""
    latched: bool = False
    """Said when it changes, and to who listens later; silent else. What is watched then is that
    somebody publishes it."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing that a robot says of itself."""

    name: str
    expected: str
    measured: str
    """Empty when it was not said."""
    ok: bool
    note: str = ""
    """What to do about it."""

    def line(self) -> str:
        """Return it as a reason, one line."""
        note = f" ({self.note})" if self.note else ""
        return f"{self.name}: expected {self.expected}, got {self.measured or 'nothing'}{note}"


FRANKA_MODES = ("OTHER", "IDLE", "MOVE", "GUIDING", "REFLEX", "USER_STOPPED",
                "AUTOMATIC_ERROR_RECOVERY")  # fmt: skip
UR_ROBOT_MODES = {
    -1: "NO_CONTROLLER", 0: "DISCONNECTED", 1: "CONFIRM_SAFETY", 2: "BOOTING", 3: "POWER_OFF",
    4: "POWER_ON", 5: "IDLE", 6: "BACKDRIVE", 7: "RUNNING", 8: "UPDATING_FIRMWARE",
}  # fmt: skip
UR_SAFETY_MODES = {
    1: "NORMAL", 2: "REDUCED", 3: "PROTECTIVE_STOP", 4: "RECOVERY", 5: "SAFEGUARD_STOP",
    6: "SYSTEM_EMERGENCY_STOP", 7: "ROBOT_EMERGENCY_STOP", 8: "VIOLATION", 9: "FAULT",
    10: "VALIDATE_JOINT_ID", 11: "UNDEFINED_SAFETY_MODE", 12: "AUTOMATIC_MODE_SAFEGUARD_STOP",
    13: "SYSTEM_THREE_POSITION_ENABLING_STOP",
}  # fmt: skip


def franka_facts(said: Mapping[str, Values], least_speed: float) -> list[Fact]:
    """Judge a Franka arm by `robot_state`: robot_mode, current_errors, last_motion_errors.

    It must be in MOVE, which it is while a controller commands it, and without errors.
    `least_speed` has no meaning for it.
    """
    state = said.get("robot_state", {})
    mode = _named(dict(enumerate(FRANKA_MODES)), state.get("robot_mode"))
    errors = list(state["current_errors"]) if "current_errors" in state else None
    before = list(state.get("last_motion_errors", []))
    note = {
        "IDLE": "activate its controller", "USER_STOPPED": "release the user stop",
        "REFLEX": f"recover from {', '.join(before) or 'its error'}", "GUIDING": "let go of it",
    }.get(mode, "")  # fmt: skip
    return [
        Fact(name="robot mode", expected="MOVE", measured=mode, ok=mode == "MOVE", note=note),
        Fact(name="errors of the robot", expected="none", ok=errors == [],
             measured="" if errors is None else ", ".join(errors) or "none"),
    ]  # fmt: skip


def ur_facts(said: Mapping[str, Values], least_speed: float) -> list[Fact]:
    """Judge a Universal Robots arm by robot_mode, safety_mode, program_running, speed_scaling.

    Args:
        said: per topic `data` or `mode` of the message; speed scaling is in percent.
        least_speed: least share of its full speed that the policy allows, up to 1.
    """
    mode = _named(UR_ROBOT_MODES, said.get("robot_mode", {}).get("mode"))
    safety = _named(UR_SAFETY_MODES, said.get("safety_mode", {}).get("mode"))
    runs = said.get("program_running", {}).get("data")
    speed = said.get("speed_scaling", {}).get("data")
    fast = speed is not None and speed >= 100.0 * least_speed - _SLACK  # false for NaN
    return [
        Fact(name="robot mode", expected="RUNNING", measured=mode, ok=mode == "RUNNING",
             note="power it on and release the brakes"),
        Fact(name="safety mode", expected="NORMAL", measured=safety, ok=safety == "NORMAL",
             note="unlock or restart it on the pendant"),
        Fact(name="program of the robot", expected="running", ok=runs is True,
             measured="" if runs is None else "running" if runs else "stopped",
             note="start External Control on the pendant"),
        Fact(name="speed scaling", expected=f">= {100.0 * least_speed:g} %", ok=fast,
             measured="" if speed is None else f"{speed:.3g} %",
             note="move the speed slider of the pendant up"),
    ]  # fmt: skip


def status_facts(said: Mapping[str, Values], least_speed: float) -> list[Fact]:
    """Judge a driver that says how its arm is by `status`: level and message of a DiagnosticStatus.

    Only level 0 (OK) is well. `least_speed` has no meaning for it.
    """
    status = said.get("status", {})
    level, text = status.get("level"), str(status.get("message", ""))
    measured = "" if level is None else text or f"level {level}"
    return [Fact(name="driver of the arm", expected="OK", ok=level == 0,
                 measured="OK" if level == 0 else measured)]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RobotKind:
    """How robots of a kind tell their state."""

    topics: Mapping[str, ModeTopic]
    facts: Callable[[Mapping[str, Values], float], list[Fact]]
    """(what each topic said last, least speed) -> every fact, well or not."""


KINDS: dict[Kind, RobotKind] = {
    "franka": RobotKind(
        topics={"robot_state": ModeTopic(type="franka_msgs/msg/FrankaRobotState")},
        facts=franka_facts,
    ),
    "universal_robots": RobotKind(
        topics={
            "robot_mode": ModeTopic(type="ur_dashboard_msgs/msg/RobotMode", latched=True),
            "safety_mode": ModeTopic(type="ur_dashboard_msgs/msg/SafetyMode", latched=True),
            "program_running": ModeTopic(type="std_msgs/msg/Bool", latched=True),
            "speed_scaling": ModeTopic(type="std_msgs/msg/Float64"),
        },
        facts=ur_facts,
    ),
    "status": RobotKind(
        topics={"status": ModeTopic(type="diagnostic_msgs/msg/DiagnosticStatus")},
        facts=status_facts,
    ),
}


@dataclass(frozen=True, kw_only=True)
class ModesCfg:
    """Where a robot tells its state, and how long it may be silent."""

    kind: Kind
    topics: dict[str, str]
    """Names of the topics, by what the kind calls them."""
    timeout_s: float = 0.1
    """Longest silence of a topic that is not latched [s]."""
    least_speed: float = 1.0
    """Least speed scaling that is well, a share of 1; the gate takes it from the contract."""

    def __post_init__(self) -> None:
        """Refuse a kind that is not known, and other topics than it has."""
        if self.kind not in KINDS:
            raise ValueError(f"modes.kind: expected one of {list(KINDS)}, got {self.kind!r}")
        if set(self.topics) != set(KINDS[self.kind].topics):
            wanted = sorted(KINDS[self.kind].topics)
            raise ValueError(f"modes.topics: expected {wanted}, got {sorted(self.topics)}")
        if not 0.0 < self.timeout_s <= 1.0:
            raise ValueError(f"modes.timeout_s: expected up to 1, got {self.timeout_s}")
        if not 0.0 < self.least_speed <= 1.0:
            raise ValueError(f"modes.least_speed: expected up to 1, got {self.least_speed}")


@dataclass(kw_only=True)
class _Topic:
    values: dict[str, Any] | None = None
    heard_ns: int = 0
    gone: bool = False


@dataclass
class RobotModes:
    """Watches over the state of one robot.

    Attributes:
        cfg: what is watched.
        was_well: everything was well at once, at least once; who watches sets it.
    """

    cfg: ModesCfg
    was_well: bool = False
    _topics: dict[str, _Topic] = field(default_factory=dict[str, _Topic])

    def __post_init__(self) -> None:
        """Begin knowing nothing."""
        self._topics = {name: _Topic() for name in self.cfg.topics}

    def hear(self, topic: str, values: Values | None, steady_ns: int) -> None:
        """Take what a topic says, or None: nobody publishes it any more."""
        known = self._topics[topic]
        if values is None:
            known.gone = True
            return
        self._topics[topic] = _Topic(values=dict(values), heard_ns=steady_ns)

    def facts(self) -> list[Fact]:
        """Return everything that the robot says of itself, well or not."""
        said = {n: t.values for n, t in self._topics.items() if t.values is not None and not t.gone}
        return KINDS[self.cfg.kind].facts(said, self.cfg.least_speed)

    def problem(self, steady_ns: int, *, timed: bool = True) -> str | None:
        """Return why the arm must not move, or None.

        Args:
            steady_ns: steady time [ns].
            timed: whether silence counts; it does not where a simulation waits for commands.
        """
        topics = KINDS[self.cfg.kind].topics
        for name, topic in self._topics.items():
            if topic.gone:
                return f"nobody publishes {self.cfg.topics[name]} any more"
            if topic.values is None:
                return f"{self.cfg.topics[name]} has not been heard"
            silent = (steady_ns - topic.heard_ns) / 1e9
            if timed and not topics[name].latched and silent > self.cfg.timeout_s:
                return f"{self.cfg.topics[name]} is silent for more than {self.cfg.timeout_s} s"
        return next((fact.line() for fact in self.facts() if not fact.ok), None)

    def state_dict(self) -> dict[str, Any]:
        """Return what it goes on from, as plain data."""
        topics = {name: dict(vars(topic)) for name, topic in self._topics.items()}
        return {"was_well": self.was_well, "topics": topics}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.was_well = bool(state["was_well"])
        self._topics = {str(name): _Topic(**topic) for name, topic in state["topics"].items()}


def _named(names: Mapping[int, str], number: Any) -> str:
    """Return the name of a mode, empty for none."""
    if number is None:
        return ""
    return names.get(int(number), f"an unknown one ({number})")
