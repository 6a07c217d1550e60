"""`sim2arm import lerobot DATASET --map FILE`: demonstrations of others, in radians and metres.

A LeRobot v3 dataset says neither what arm its numbers are of nor in which units. The map, a YAML
file, says it; then each row is what this arm would have measured and been asked for, and
`sim2arm train act|diffusion` learns from it what `ros up` can run:

    robot: so101
    joints:            # value of the element -> scale * value + offset [rad]
      shoulder_pan: {element: shoulder_pan.pos, scale: 0.01745329, offset: 0.0}
    gripper: {element: gripper.pos, closed: 0.0, opened: 100.0}
    pictures: {front: observation.images.front}

The same command goes on with an existing dataset where it ended.
"""

# pyright: standard

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from tyro.conf import Positional, arg

from sim2arm.core.contract import ActionSpec, Contract, Provenance
from sim2arm.core.driver_stage import DriverStage
from sim2arm.core.joint_targets import JointTargetsCfg
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.plain import from_plain, load_yaml, to_plain
from sim2arm.core.robot_files import find_robot
from sim2arm.core.robots import Robot
from sim2arm.core.spec import ArraySpec
from sim2arm.policies.dataset.columns import column_of
from sim2arm.policies.dataset.files import DatasetError
from sim2arm.policies.dataset.layout import PICTURES, DatasetSpec, Feature
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.dataset.writer import DatasetWriter
from sim2arm.sim.specs import arm_specs, gripper_spec, law_of

from .errors import UserError, user_input
from .outputs import check_folder
from .parse import parse, unknown
from .progress import Progress

STATE, ACTION = "observation.state", "action"
AGE = 0.2
"""Oldest picture that the policy takes [s]; the dataset does not say how old its are."""
TOGETHER = 64
"""Pictures of a column that are read at once."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class JointMap:
    """Where a joint is in state and action."""

    element: str
    """Its name there, or its place as a number where they have no names."""
    scale: float = 1.0
    """Radians per unit."""
    offset: float = 0.0
    """Position where the value is 0 [rad]."""

    def __post_init__(self) -> None:
        """Refuse what is no map."""
        if not (math.isfinite(self.scale) and math.isfinite(self.offset) and self.scale):
            raise ValueError(
                f"{self.element}: expected finite numbers and a scale other than 0, got "
                f"{self.scale}, {self.offset}"
            )


@dataclass(frozen=True, kw_only=True)
class GripperMap:
    """Where the gripper is in state and action."""

    element: str
    """See `JointMap`."""
    closed: float
    """Value where it is closed."""
    opened: float
    """Value where it is open."""

    def __post_init__(self) -> None:
        """Refuse what is no map."""
        if not (math.isfinite(self.closed) and math.isfinite(self.opened)):
            raise ValueError("gripper: expected finite numbers")
        if self.closed == self.opened:
            raise ValueError(f"gripper: closed and opened are both {self.closed}")


@dataclass(frozen=True, kw_only=True)
class LerobotMap:
    """What the numbers of a dataset are."""

    robot: str
    """Name of the arm."""
    joints: dict[str, JointMap]
    """All joints of it, by name."""
    gripper: GripperMap | None = None
    """The gripper, if it acts."""
    pictures: dict[str, str] = field(default_factory=dict[str, str])
    """Name for the policy -> column."""


@dataclass(frozen=True, kw_only=True)
class ImportLerobotCfg:
    """Make a LeRobot v3 dataset one of an arm that is known here."""

    data: Annotated[Positional[Path], arg(metavar="DATASET")]
    """Its folder."""
    map: Path
    """YAML file that says what its numbers are."""
    out: Path
    """Folder of the new dataset."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, import and print what became of it."""
    cfg = parse(ImportLerobotCfg, argv, "sim2arm import lerobot")
    check_folder("--out", cfg.out)
    try:
        print(f"{cfg.out}: {run(cfg)}")
    except (DatasetError, OSError) as error:
        raise UserError(str(error)) from error
    return 0


def run(cfg: ImportLerobotCfg) -> str:
    """Import what is not there yet; say how much.

    Raises:
        UserError: the map does not fit dataset and robot.
        DatasetError: one of them is damaged, or the folder holds another.
        OSError: it cannot be written.
    """
    dataset = Dataset(cfg.data)
    with user_input("map", cfg.map):
        text = cfg.map.read_text(encoding="utf-8")
        mapped = from_plain(LerobotMap, load_yaml(text, str(cfg.map)), "map")
        source = Source(dataset, mapped, find_robot(mapped.robot))
    beyond = rows = 0
    with (
        DatasetWriter(cfg.out, source.spec) as writer,
        Progress("import", dataset.index.episodes, "episodes") as progress,
    ):
        first = writer.index.episodes
        for number in range(first, dataset.index.episodes):
            episode = writer.begin()
            for row, words in source.rows(number):
                while episode.full:
                    time.sleep(1e-3)
                episode.add(row, words)
                beyond += not source.within(row["action"])
                rows += 1
            episode.commit({"imported": cfg.data.name, "episode": number})
            progress.update(number + 1)
    line = f"{dataset.index.episodes - first} episodes, {rows} rows"
    if beyond:
        line += (
            f"; {beyond} of them ask for joints beyond the limits of the {mapped.robot}: if that "
            "is many, scale, offset or sign of a joint is wrong"
        )
    return line


class Source:
    """Rows of a foreign dataset as an arm would have measured them.

    Attributes:
        spec: of the new dataset.
    """

    def __init__(self, dataset: Dataset, mapped: LerobotMap, robot: Robot) -> None:
        """See that the map fits.

        Raises:
            ValueError: it does not; one line.
        """
        self._dataset, self._robot, self._map = dataset, robot, mapped
        names = robot.chain.joint_names
        if set(mapped.joints) != set(names):
            raise ValueError(f"joints: expected {list(names)}, got {sorted(mapped.joints)}")
        self._maps = [mapped.joints[name] for name in names]
        elements = [joint.element for joint in self._maps]
        if mapped.gripper is not None:
            elements.append(mapped.gripper.element)
        self._places = {key: self._find(key, elements) for key in (STATE, ACTION)}
        for column in mapped.pictures.values():
            feature = dataset.features.get(column)
            if feature is None or feature.dtype not in PICTURES:
                known = [k for k, f in dataset.features.items() if f.dtype in PICTURES]
                raise ValueError(f"pictures: {unknown('picture', column, known)}")
        self._contract = self._make_contract()
        self.spec = self._make_spec()

    def rows(self, number: int) -> Iterator[tuple[dict[str, Any], str]]:
        """Yield the rows of an episode, and what is done in each."""
        dataset, found = self._dataset, self._dataset.episode(number)
        q, width = self._physical(found[STATE][:, self._places[STATE]])
        action, opening = self._physical(found[ACTION][:, self._places[ACTION]])
        if self._map.gripper is not None:  # from -1, closed, to 1, open
            share = 2.0 * opening / self._robot.gripper.open_width - 1.0
            action = np.concatenate([action, share], axis=1)
        poses, tasks = forward_pose(self._robot.chain, q), dataset.index.tasks
        stamps = np.round(found["timestamp"][:, 0].astype(np.float64) * 1e9).astype(np.int64)
        for first in range(0, len(q), TOGETHER):
            some = range(first, min(first + TOGETHER, len(q)))
            pictures = {
                self._columns[name]: dataset.pictures(column, number, some)
                for name, column in self._map.pictures.items()
            }
            for k in some:
                row = {
                    STATE: np.concatenate([q[k], width[k]]).astype(np.float32),
                    ACTION: action[k].astype(np.float32),
                    "measured.ee_pose": poses[k],
                    "sync.stamp_ns": stamps[k],
                    **{column: frames[k - first] for column, frames in pictures.items()},
                }
                yield row, tasks[int(found["task_index"][k, 0])]

    def within(self, action: NDArray[np.float32]) -> bool:
        """Return whether joints that are asked for lie within the limits of the arm."""
        spec = self._contract.action
        return bool(((action >= spec.low) & (action <= spec.high)).all())

    def _physical(self, values: NDArray[Any]) -> tuple[Floats, Floats]:
        """Return joints (F, n) [rad] and the opening of the gripper (F, 1) [m]."""
        values = values.astype(np.float64)
        n, gripper = len(self._maps), self._map.gripper
        scale, offset = (np.array([getattr(m, k) for m in self._maps]) for k in ("scale", "offset"))
        width = np.zeros((len(values), 1))
        if gripper is not None:
            share = (values[:, n:] - gripper.closed) / (gripper.opened - gripper.closed)
            width = self._robot.gripper.open_width * share.clip(0.0, 1.0)
        return values[:, :n] * scale + offset, width

    def _find(self, key: str, elements: Sequence[str]) -> list[int]:
        """Return the places of elements in a column."""
        feature = self._dataset.features.get(key)
        if feature is None or len(feature.shape) != 1:
            raise ValueError(f"expected a dataset with vectors {STATE} and {ACTION}, lacking {key}")
        names = feature.names or tuple(map(str, range(feature.shape[0])))
        for element in elements:
            if element not in names:
                raise ValueError(f"{key}: {unknown('element', element, names)}")
        return [names.index(element) for element in elements]

    def _make_contract(self) -> Contract:
        robot, acts = self._robot, self._map.gripper is not None
        specs = arm_specs(robot)
        kept = ["joint_position", "ee_pose", *(["gripper_width"] if acts else [])]
        inputs = [specs[name] for name in kept]
        fps = self._dataset.index.spec.fps
        for name, column in self._map.pictures.items():
            rows, cols, channels = self._dataset.features[column].shape
            stage = DriverStage(width=cols, height=rows, out_width=cols, out_height=rows)
            if channels != 3:
                raise ValueError(f"pictures: {column}: expected 3 channels, got {channels}")
            inputs.append(
                ArraySpec(
                    name=name, kind="sensor", shape=(rows, cols, 3), dtype="uint8", unit="1",
                    frame=f"{name}_optical", element_names=("r", "g", "b"), rate_hz=float(fps),
                    max_stamp_age_s=AGE, max_receipt_age_s=AGE, driver_stage=stage.text,
                )
            )  # fmt: skip
        gripper = gripper_spec(robot, acts=acts)
        n, more = len(robot.chain.joint_names), ("gripper",) * acts
        if acts:
            gripper = replace(gripper, action_element=n)
        action = ActionSpec(
            kind="joint_position", dim=n + acts,
            low=(*robot.limits.q_min, *(-1.0 for _ in more)),
            high=(*robot.limits.q_max, *(1.0 for _ in more)),
            element_names=(*robot.chain.joint_names, *more), unit="rad",
            scale=(*(1.0,) * n, *(0.5 * robot.gripper.open_width for _ in more)),
            frame="joint", relative_to="absolute", dt_s=1.0 / fps,
            parameters=asdict(JointTargetsCfg()),
        )  # fmt: skip
        return Contract(
            robot=robot.name, joint_names=robot.chain.joint_names, chain=robot.chain.to_dict(),
            control_hz=float(fps), inputs=tuple(inputs), action=action, low_level=law_of(robot),
            limits=robot.limits, gripper=gripper,
            provenance=Provenance(experiment="imported demonstrations"),
        )  # fmt: skip

    def _make_spec(self) -> DatasetSpec:
        contract, joints = self._contract, self._contract.joint_names
        columns = {
            spec.name: column_of(spec)
            for spec in contract.inputs
            if spec.name in self._map.pictures
        }
        self._columns = {name: key for name, (key, _) in columns.items()}
        names = (*joints, "gripper_width")
        features: Mapping[str, Feature] = {
            STATE: Feature(
                dtype="float32", shape=(len(names),), names=names,
                unit=" ".join([*["rad"] * len(joints), "m"]),
            ),
            ACTION: Feature(
                dtype="float32", shape=(contract.action.dim,), names=contract.action.element_names,
                unit=" ".join("rad" if n in joints else "1" for n in contract.action.element_names),
            ),
            "measured.ee_pose": Feature(dtype="float64", shape=(7,), frame="base"),
            "sync.stamp_ns": Feature(dtype="int64", shape=(1,), unit="ns"),
            **dict(columns.values()),
        }  # fmt: skip
        return DatasetSpec(
            fps=self._dataset.index.spec.fps, features=features, robot_type=contract.robot,
            documents={
                "contract": to_plain(contract), "robot": to_plain(self._robot.chain.to_dict()),
            },
        )  # fmt: skip
