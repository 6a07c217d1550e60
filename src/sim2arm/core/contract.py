"""The contract: everything that must be the same in training and on the robot, as one object.

The environment makes it, the checkpoint carries it, the ONNX file embeds it as canonical JSON, and
the robot refuses to activate when reality lies outside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from . import plain
from .robots import Chain, JointLimits
from .spec import ArraySpec, DTypeName

CONTRACT_VERSION = 1
Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class StateSpec:
    """A tensor that the policy carries from one call to the next."""

    name_in: str
    """Graph input, and the key in the state dictionary of the exported module."""
    name_out: str
    """Graph output that becomes the next `name_in`."""
    shape: tuple[int, ...]
    """Shape without the batch axis."""
    dtype: DTypeName = "float32"
    initial: tuple[float, ...] = (0.0,)
    """Value after a reset: one number for all elements, or one per element."""
    reset_when: Literal["episode", "activation"] = "episode"
    """`episode`: every reset of the policy; `activation`: only when the policy is loaded."""


@dataclass(frozen=True, kw_only=True)
class NoiseSpec:
    """How the noise inputs are drawn (the inputs of kind `noise`)."""

    distribution: Literal["standard_normal", "uniform"] = "standard_normal"
    sampler_steps: int = 1
    """Steps of the sampler inside the graph, for the record."""
    seed: int = 0
    """Seed of row 0, 0 to 2^62 - 1; row i has seed + i unless a reset says otherwise."""
    rule: Literal["philox-1"] = "philox-1"
    """Philox 4x64-10 raw words with key (seed) and counter (0, input index, call, episode); words
    become uniforms ((w >> 11) + 0.5) / 2^53 and pairs of them normals by Box-Muller."""


@dataclass(frozen=True, kw_only=True)
class ActionSpec:
    """What the policy returns: chunks (B, T, A) of actions."""

    kind: Literal["ee_delta", "ee_pose", "joint_delta", "joint_position"]
    dim: int
    """A, the number of actions."""
    low: tuple[float, ...]
    """Least action; with `high` the range in which parity and golden tolerances are measured."""
    high: tuple[float, ...]
    element_names: tuple[str, ...] = ()
    unit: str = "1"
    """Unit of an action before the scale."""
    scale: tuple[float, ...]
    """Per element: metres or radians of an action of 1."""
    frame: Literal["base", "tool", "joint"]
    """Frame in which translations and rotation vectors are expressed."""
    rotation_side: Literal["left", "right"] | None = None
    """left: the rotation vector turns about axes of the base; right: about those of the tool."""
    relative_to: Literal["absolute", "last_command", "chunk_start"]
    """What the action is added to."""
    horizon: int = 1
    """T, entries of a chunk."""
    t0_s: float = 0.0
    """Time of the first entry after the tick of its observation [s]."""
    dt_s: float
    """Time between entries [s]."""
    parameters: dict[str, float] = field(default_factory=dict[str, float])
    """Parameters of the controller that makes joint requests of actions, by field name."""


@dataclass(frozen=True, kw_only=True)
class ExecutorSpec:
    """How chunks become one action per tick."""

    kind: Literal["step", "receding", "ensemble", "ahead"] = "step"
    """step: T = 1; receding: `execute` entries, then a new chunk; ensemble: weighted overlap;
    ahead: a new chunk is asked for every `execute` entries and used `delay` entries later, while
    the last one goes on: the policy may take that long."""
    execute: int = 1
    """receding: entries used of each chunk, counted from its first; ahead: entries from one
    observation to the next."""
    delay: int = 0
    """ahead: entries of a chunk that are over when it is used."""
    decay: float = 0.0
    """ensemble: weight exp(-decay i) of a chunk observed i entries after the oldest, as in ACT."""


@dataclass(frozen=True, kw_only=True)
class LowLevelSpec:
    """The law that runs below the commands, in every physics step and in the robot's controller."""

    kind: Literal["joint_impedance", "cartesian_impedance", "position"]
    kp: tuple[float, ...]
    """Nominal stiffness [N m/rad; cartesian N/m and N m/rad]."""
    kd: tuple[float, ...]
    """Nominal damping [N m s/rad; cartesian N s/m and N m s/rad]."""
    kp_range: tuple[Range, ...]
    """Per entry the least and greatest stiffness in training."""
    kd_range: tuple[Range, ...]
    frame: str | None = None
    """Frame of a cartesian impedance."""


@dataclass(frozen=True, kw_only=True)
class GripperSpec:
    """How the gripper is commanded and how fast it answers."""

    kind: Literal["fixed", "binary", "width", "share"]
    """fixed: holds what it holds; binary: one action element opens and closes; width: metres;
    share: -1 closed, 1 open, linear between."""
    action_element: int | None = None
    """Index of the gripper's element in the action."""
    open_above: float = 0.5
    """binary: opens when the element rises above this; the gap to close_below is the hysteresis."""
    close_below: float = -0.5
    least_change: float = 0.0
    """width, share: a wanted width that is no farther than this from the last is not a new one
    [m]; a gripper that nothing interrupts would otherwise be busy with noise."""
    open_width: float
    """[m]"""
    speed: float
    """[m/s]"""
    force: float
    """[N]"""
    delay_s: float
    """From the command to the first motion [s]."""
    preemptible: bool = False
    """Whether a new command interrupts a running one."""


PREFIX, PREFIX_KNOWN = "prefix", "prefix_known"
"""Names of the inputs of kind prefix: the actions that will be done whatever the policy answers
(T, A), and which entries those are (T,), 1 or 0."""
LEAD = "latency/lead"
"""Name of the range of the time from a tick to the start of its motion [s]."""
SPEED = "speed_scaling"
"""Name of the range of the share of its commanded speed at which an arm runs, 1 at full speed; arms
that are told to be slower (a speed slider) are refused without it."""


@dataclass(frozen=True, kw_only=True)
class TrainedRange:
    """One quantity of the real set-up and the range in which the policy was trained."""

    name: str
    """Path of the quantity: latency/action, calibration/camera_wrist/position, friction/peg."""
    unit: str
    low: float
    high: float

    def __post_init__(self) -> None:
        """Check the order."""
        if self.low > self.high:
            raise ValueError(f"low must not exceed high, got {self.low} and {self.high}")


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the policy comes from; nothing here decides anything."""

    experiment: str
    commit: str = ""
    versions: dict[str, str] = field(default_factory=dict[str, str])
    steps: int = 0
    """Environment steps of training."""
    seed: int = 0
    success: float | None = None
    """Measured success rate in [0, 1]."""
    success_interval: Range | None = None
    """95 % interval of the success rate."""
    episodes: int = 0
    """Episodes behind the success rate."""
    calibration_ids: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class CameraMount:
    """Where a camera was in training, about which `calibration/camera_<name>/...` ranges lie."""

    name: str
    """Of the camera; its arrays are `<name>_rgb` and `<name>_depth`."""
    frame: str
    """That carries it: the base or the tool frame of the chain."""
    pose: tuple[float, ...]
    """Of the optical frame in it, x y z [m], qw qx qy qz."""

    def __post_init__(self) -> None:
        """Check that it is a pose."""
        if len(self.pose) != 7 or abs(sum(v * v for v in self.pose[3:]) - 1.0) > 1e-6:
            raise ValueError(
                f"camera {self.name!r}: pose: expected x y z and a unit quaternion, got {self.pose}"
            )


@dataclass(frozen=True, kw_only=True)
class ArmSpec:
    """One of several arms of the contract's robot that a policy moves together."""

    prefix: str
    """Of the names of its joints and frames."""
    position: tuple[float, float, float]
    """Of its base, in the frame of the world, whose axes it has [m]."""


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What a policy expects of a robot, and what a robot gets from it."""

    version: int = CONTRACT_VERSION
    """Version of this format."""
    robot: str
    arms: tuple[ArmSpec, ...] = ()
    """Arms of this robot that move together, none for one arm alone. Vectors of what they measure
    and of actions then hold one part after the other; joints, chain, limits, gains and gripper
    are those of each."""
    joint_names: tuple[str, ...]
    chain: dict[str, Any]
    """The kinematic chain as `Chain.to_dict` gives it; `kinematic_chain` is the object."""
    control_hz: float
    inputs: tuple[ArraySpec, ...]
    """Every array that enters, noise included, in the order of the graph."""
    states: tuple[StateSpec, ...] = ()
    noise: NoiseSpec | None = None
    """Needed if and only if an input is of kind `noise`."""
    action: ActionSpec
    executor: ExecutorSpec = field(default_factory=ExecutorSpec)
    low_level: LowLevelSpec
    limits: JointLimits
    gripper: GripperSpec | None = None
    ranges: tuple[TrainedRange, ...] = ()
    """Calibration, latency and physics ranges of training."""
    cameras: tuple[CameraMount, ...] = ()
    """Cameras that the policy sees through and that the base or the tool carries."""
    golden_tolerance: float = 1e-4
    """Largest difference on replay: of actions in units of the action range, of states in units
    of the larger of 1 and the largest recorded magnitude."""
    provenance: Provenance

    def __post_init__(self) -> None:
        """Check that the parts agree with each other."""
        for problem in _problems(self):
            raise ValueError(problem)

    @property
    def kinematic_chain(self) -> Chain:
        """The chain as an object."""
        return Chain.from_dict(self.chain)

    @property
    def num_arms(self) -> int:
        """How many arms the policy moves."""
        return max(1, len(self.arms))

    @property
    def all_joint_names(self) -> tuple[str, ...]:
        """Joints of all arms, in the order of what they measure."""
        prefixes = [arm.prefix for arm in self.arms] or [""]
        return tuple(prefix + name for prefix in prefixes for name in self.joint_names)

    @property
    def grips(self) -> bool:
        """Whether an element of the action works the gripper."""
        return self.gripper is not None and self.gripper.kind != "fixed"

    @property
    def observations(self) -> tuple[ArraySpec, ...]:
        """The inputs that the caller of `act` provides: all but noise."""
        return tuple(spec for spec in self.inputs if spec.kind != "noise")

    @property
    def noises(self) -> tuple[ArraySpec, ...]:
        """The inputs of kind `noise`."""
        return tuple(spec for spec in self.inputs if spec.kind == "noise")

    @property
    def period(self) -> float:
        """Time between control ticks [s]."""
        return 1.0 / self.control_hz

    def input(self, name: str) -> ArraySpec:
        """Return an input by name.

        Raises:
            ValueError: no such input.
        """
        for spec in self.inputs:
            if spec.name == name:
                return spec
        raise ValueError(
            f"input {name!r} is not in the contract. Inputs: {[spec.name for spec in self.inputs]}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; whole numbers in place of floats become floats.

        Raises:
            ValueError: a field has the wrong type; one line with the key path.
        """
        return plain.to_plain(plain.from_plain(Contract, plain.to_plain(self)))

    @classmethod
    def from_dict(cls, data: Any) -> Contract:
        """Return the contract that plain data describes.

        Raises:
            ValueError: one line with the key path.
        """
        known = isinstance(data, Mapping)
        version = cast(Mapping[Any, Any], data).get("version") if known else None
        if isinstance(version, int) and version != CONTRACT_VERSION:
            raise ValueError(
                f"version: this program reads contracts of version {CONTRACT_VERSION}, "
                f"got {version}: export the policy again or update sim2arm"
            )
        return plain.from_plain(cls, data)

    def to_yaml(self) -> str:
        """Return the text of contract.yaml."""
        return plain.dump_yaml(self.to_dict())

    @classmethod
    def from_yaml(cls, text: str, source: str = "contract.yaml") -> Contract:
        """Return the contract of a YAML text; unknown keys are errors.

        Raises:
            ValueError: one line with the source and the key path.
        """
        data = plain.load_yaml(text, source)
        try:
            return cls.from_dict(data)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from error

    def canonical_json(self) -> str:
        """Return the form that is embedded in policy.onnx and compared at load."""
        return plain.canonical_json(self.to_dict())

    def differences(self, other: Contract) -> list[str]:
        """Return one line `path: here != there` for every field that differs."""
        return plain.differences(self.to_dict(), other.to_dict())


def _problems(contract: Contract) -> list[str]:
    found: list[str] = []
    n = len(contract.joint_names)
    if contract.control_hz <= 0:
        found.append(f"control_hz: expected more than 0, got {contract.control_hz}")
    if contract.golden_tolerance <= 0:
        found.append(f"golden_tolerance: expected more than 0, got {contract.golden_tolerance}")
    try:
        chain = contract.kinematic_chain
    except (ValueError, TypeError) as error:
        found.append(f"chain: {error}")
    else:
        if chain.joint_names != contract.joint_names:
            found.append(
                f"chain.joint_names: expected {list(contract.joint_names)} (joint_names), "
                f"got {list(chain.joint_names)}"
            )
    prefixes = [arm.prefix for arm in contract.arms]
    if len(set(prefixes)) != len(prefixes) or len(prefixes) == 1:
        found.append(f"arms: expected none or several with prefixes of their own, got {prefixes}")
    if len(contract.limits.q_min) != n:
        found.append(f"limits: expected {n} joints, got {len(contract.limits.q_min)}")
    return found + _input_problems(contract) + _action_problems(contract)


def _input_problems(contract: Contract) -> list[str]:
    found: list[str] = []
    names = [spec.name for spec in contract.inputs]
    tensors = names + [
        name for state in contract.states for name in (state.name_in, state.name_out)
    ]
    for name, times in Counter([*tensors, "action"]).items():
        if times > 1:
            found.append(f"inputs, states: the name {name!r} is used {times} times")
    for spec in contract.inputs:
        if spec.anchor is not None and (spec.anchor not in names or spec.anchor == spec.name):
            found.append(f"input {spec.name!r}: sampling: {spec.anchor!r} is not another input")
    for state in contract.states:
        size = 1
        for length in state.shape:
            size *= length
        if size < 1 or len(state.initial) not in (1, size):
            found.append(
                f"state {state.name_in!r}: initial: expected 1 or {size} numbers, "
                f"got {len(state.initial)}"
            )
    if (contract.noise is None) != (not contract.noises):
        found.append("noise: expected if and only if an input is of kind noise")
    if contract.noise is not None and not 0 <= contract.noise.seed < 2**62:
        found.append(f"noise.seed: expected 0 to 2^62 - 1, got {contract.noise.seed}")
    if any(spec.dtype != "float32" for spec in contract.noises):
        found.append("noise: noise inputs are float32")
    return found


def _prefix_problems(contract: Contract) -> list[str]:
    """Committed actions are told as two inputs, and only where there are any."""
    action = contract.action
    expected = {PREFIX: (action.horizon, action.dim), PREFIX_KNOWN: (action.horizon,)}
    given = {spec.name: spec for spec in contract.inputs if spec.kind == "prefix"}
    if not given:
        return []
    if set(given) != set(expected):
        return [f"inputs of kind prefix: expected {sorted(expected)}, got {sorted(given)}"]
    found = [
        f"input {name!r}: expected shape {shape} (horizon of the action), got {given[name].shape}"
        for name, shape in expected.items()
        if given[name].shape != shape or given[name].history is not None
    ]
    if contract.executor.kind != "ahead":
        found.append("inputs of kind prefix: only an executor of kind ahead commits actions")
    return found


def _action_problems(contract: Contract) -> list[str]:
    found: list[str] = []
    action, law, executor = contract.action, contract.low_level, contract.executor
    for label in ("low", "high", "scale"):
        if len(getattr(action, label)) != action.dim:
            found.append(
                f"action.{label}: expected {action.dim} numbers (action.dim), "
                f"got {len(getattr(action, label))}"
            )
    if not found and any(a >= b for a, b in zip(action.low, action.high, strict=True)):
        found.append("action.low: must be less than action.high in every element")
    if action.element_names and len(action.element_names) != action.dim:
        found.append(f"action.element_names: expected {action.dim} names or none")
    if action.dim % contract.num_arms:
        found.append(f"action.dim: expected a multiple of {contract.num_arms} arms")
    if action.dim < 1 or action.horizon < 1 or action.dt_s <= 0:
        found.append("action: dim and horizon must be 1 or more and dt_s more than 0")
    if action.kind.startswith("ee_") and action.rotation_side is None:
        found.append(f"action.rotation_side: {action.kind} needs left or right")
    if executor.kind == "step" and action.horizon != 1:
        found.append(f"executor.kind: step needs action.horizon 1, got {action.horizon}")
    if executor.kind == "ensemble" and action.relative_to == "last_command":
        found.append(
            "executor.kind: steps from the last command cannot be ensembled; "
            "use absolute targets or targets relative to the chunk's start"
        )
    if not 1 <= executor.execute <= action.horizon:
        found.append(f"executor.execute: expected 1 to {action.horizon}, got {executor.execute}")
    if executor.delay < 0 or (executor.kind != "ahead" and executor.delay):
        found.append(
            f"executor.delay: expected 0, or 1 and more of kind ahead, got {executor.delay}"
        )
    if executor.kind == "ahead" and not 1 <= executor.delay <= executor.execute:
        found.append(
            f"executor.delay: kind ahead needs 1 to {executor.execute} (executor.execute), got "
            f"{executor.delay}"
        )
    if executor.kind == "ahead" and executor.execute + executor.delay > action.horizon:
        found.append(
            f"executor: execute and delay of kind ahead need a horizon of "
            f"{executor.execute + executor.delay}, got {action.horizon}"
        )
    found += _prefix_problems(contract)
    n = 6 if law.kind == "cartesian_impedance" else len(contract.joint_names)
    for label in ("kp", "kd"):
        gains, ranges = getattr(law, label), getattr(law, f"{label}_range")
        if len(gains) != n or len(ranges) != n:
            found.append(f"low_level.{label}, {label}_range: expected {n} entries")
        elif any(not low <= gain <= high for gain, (low, high) in zip(gains, ranges, strict=True)):
            found.append(f"low_level.{label}: must lie inside low_level.{label}_range")
    gripper = contract.gripper
    if gripper is not None and (gripper.kind == "fixed") != (gripper.action_element is None):
        found.append("gripper.action_element: expected unless gripper.kind is fixed")
    return found
