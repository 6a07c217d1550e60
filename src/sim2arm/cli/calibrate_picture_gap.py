"""`sim2arm calibrate gap DATASET --of pictures`: what cameras and gels of both arms see."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sim2arm.calibration.picture_gap_report import make_record, write_picture_gap
from sim2arm.core.calibration_record import CalibrationRecord, InputFile, input_file
from sim2arm.core.driver_stage import FloatArray
from sim2arm.policies.dataset.columns import column_of
from sim2arm.policies.dataset.files import DatasetError
from sim2arm.policies.dataset.layout import PICTURES
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.cameras import CameraCfg
from sim2arm.sim.picture_gap import (
    LOOKS,
    Moment,
    PictureGap,
    PictureReplay,
    State,
    measure_pictures,
    worlds_for,
)
from sim2arm.sim.randomize import model_of
from sim2arm.sim.touch import Touch
from sim2arm.sim.vision import Vision
from sim2arm.sim.worlds.compiled import find

from .calibrate_intrinsics import record_path
from .errors import UserError, user_input
from .progress import Progress
from .runs import find_cameras, find_touch
from .see_again import STATE
from .take import Stand, stand_of

EDGE_S = 0.2
"""At the ends of episodes, of which no pictures are compared: what was before is not known [s]."""


@dataclass(frozen=True, kw_only=True)
class PictureGapCfg:
    """What is compared; see `calibrate gap`."""

    data: Path
    cameras: str
    calibrations: tuple[Path, ...]
    touch: str
    task: str
    moments: int
    limit_grey: float
    out: Path | None


def compare(cfg: PictureGapCfg) -> tuple[Path, list[PictureGap], CalibrationRecord]:
    """Measure and write; return the file, what was found, and the record.

    Raises:
        UserError: it is no dataset, or holds no pictures that the simulated arm sees too.
    """
    if not (cfg.data / "meta" / "info.json").is_file():
        raise UserError(f"{cfg.data}: expected a dataset (sim2arm record, sim2arm convert LOG)")
    try:
        dataset = Dataset(cfg.data)
    except (DatasetError, OSError) as error:
        raise UserError(str(error)) from error
    stand = _stand(cfg, dataset)
    path = record_path(cfg.out, f"{stand.robot}-pictures", "gap", cfg.data)
    found = list[PictureGap]()
    arms = [(arm, camera, _names(dataset, stand, arm)) for arm, camera in _arms(cfg, stand)]
    for arm, camera, names in arms:
        replay = PictureReplay(arm, names, camera)
        try:
            moments = _moments(dataset, arm, names, cfg.moments)
        except DatasetError as error:
            raise UserError(str(error)) from error
        with Progress(f"compare {names[0]}", LOOKS * len(moments), "looks") as progress:
            found += measure_pictures(
                replay, moments, 1.0 / dataset.index.spec.fps, looked=progress.update
            )
    if not found:
        raise UserError(f"touch {stand.touch!r} sees no pictures, and there are no cameras")
    with user_input("calibrate gap", path):
        record = write_picture_gap(
            path, found,
            lambda pictures: make_record(
                found, device=stand.robot, limit_grey=cfg.limit_grey, inputs=_inputs(cfg, dataset),
                notes=_notes(dataset, stand), pictures=pictures,
            ),
        )  # fmt: skip
    return path, found, record


def _names(dataset: Dataset, stand: Stand, arm: SimulatedArm) -> list[str]:
    """Return the arrays with the pictures of an arm.

    Raises:
        UserError: the dataset has none of one of them, or of another size.
    """
    names = [name for name, spec in arm.organs.specs.items() if spec.dtype == "uint8"]
    if any(_column(arm, name) not in dataset.features for name in names):
        raise UserError(_missing(dataset, stand, arm))
    _check_sizes(arm, names, dataset)
    return names


def _missing(dataset: Dataset, stand: Stand, arm: SimulatedArm) -> str:
    """Return that pictures were asked for that are not there."""
    held = sorted(n for n, f in dataset.features.items() if f.dtype in PICTURES)
    asked = [_column(arm, name) for name, spec in arm.organs.specs.items() if spec.dtype == "uint8"]
    gone = [name for name in asked if name not in dataset.features]
    return (
        f"{dataset.root}: holds no {gone[0]}, of cameras {stand.cameras} and touch {stand.touch}, "
        f"only {', '.join(held) or 'no pictures'}: name others with --cameras and --touch, or none"
    )


def _notes(dataset: Dataset, stand: Stand) -> list[str]:
    """Return what a reader has to know of a dataset."""
    found: list[str] = []
    if any(feature.dtype == "video" for feature in dataset.features.values()):
        found.append("Videos lose a little of colour and of fine detail: a few grey levels.")
    if not any(name.startswith(STATE) for name in dataset.features):
        found.append(
            "The dataset holds no state of a simulation: joints are as measured, all else stands "
            f"where the task {stand.task} puts it, and counts as different where it was elsewhere."
        )
    if stand.touch != "none":
        found.append("Of gels dents are compared, not drag: printed dots stay where they are.")
    return found


def _stand(cfg: PictureGapCfg, dataset: Dataset) -> Stand:
    """Return what the simulated arm stands at.

    Raises:
        UserError: neither the options nor the dataset say it.
    """
    documents = dataset.index.spec.documents
    if "contract" not in documents:
        raise UserError(f"{dataset.root}: expected a dataset of sim2arm, which says of which robot")
    if "setting" in documents:
        stand = stand_of(dataset)
    elif not cfg.task:
        raise UserError(f"{dataset.root}: not of a simulated arm: say its surroundings with --task")
    else:
        stand = Stand(task=cfg.task, robot=documents["contract"]["robot"])
    if cfg.task and cfg.task != stand.task:
        stand = replace(stand, task=cfg.task, settings="")
    stand = replace(stand, cameras=cfg.cameras or stand.cameras, touch=cfg.touch or stand.touch)
    if stand.cameras == stand.touch == "none":
        raise UserError("--of pictures: expected --cameras or --touch, or a dataset that says them")
    return stand


def _arms(cfg: PictureGapCfg, stand: Stand) -> Iterator[tuple[SimulatedArm, CameraCfg | None]]:
    """Yield an arm for each camera, and one for the gels, with sensors that are never wrong."""
    touch = find_touch(stand.touch)
    soft = None  # where gels are not compared, the pads are as soft all the same
    if touch is not None:
        soft = replace(touch, sees=(), noise=None, shadows=False)
    files = [str(file) for file in cfg.calibrations]
    cameras = find_cameras(stand.cameras, files, stand.robot)
    sights = cameras.vision.sights if cameras is not None else ()
    for sight in sights:
        if "rgb" in sight.camera.outputs:
            camera = replace(sight.camera, outputs=("rgb",))
            clean = replace(sight, camera=camera, colour=None, depth=None, latency=(0.0, 0.0),
                            free_phase=False, history=1)  # fmt: skip
            yield stand.arms_with(Vision(sights=(clean,)), soft, worlds=worlds_for(camera)), camera
    if touch is not None and "image" in touch.sees:
        clean = _clean(touch)
        yield stand.arms_with(None, clean, worlds=worlds_for(None)), None


def _clean(touch: Touch) -> Touch:
    return replace(
        touch, sees=("image",), latency=(0.0, 0.0), free_phase=False, history=1, gain=1.0,
        deviation=0.0, noise=None, lost=0.0,
    )  # fmt: skip


def _column(arm: SimulatedArm, name: str) -> str:
    return column_of(replace(arm.organs.specs[name], history=None))[0]


def _check_sizes(arm: SimulatedArm, names: Sequence[str], dataset: Dataset) -> None:
    """Refuse pictures of another size.

    Raises:
        UserError: the recorded ones have one.
    """
    for name in names:
        mine, theirs = arm.organs.specs[name].shape, dataset.features[_column(arm, name)].shape
        if tuple(mine) != tuple(theirs):
            raise UserError(
                f"{dataset.root}: pictures of {name} are {list(theirs)}, the simulated ones "
                f"{list(mine)}: name the cameras or touch that it was recorded with"
            )


def _moments(dataset: Dataset, arm: SimulatedArm, names: Sequence[str], count: int) -> list[Moment]:
    """Return moments evenly over a dataset.

    Raises:
        DatasetError: a file is damaged.
        UserError: its episodes are too short.
    """
    lengths, fps = np.diff(dataset.starts), dataset.index.spec.fps
    edge = math.ceil(EDGE_S * fps)
    places = [(e, row) for e, n in enumerate(lengths) for row in range(edge, int(n) - edge)]
    if not places:
        raise UserError(f"{dataset.root}: expected episodes of {2 * edge + 1} rows or more")
    chosen = np.unique(np.linspace(0, len(places) - 1, count).round().astype(int))
    found, states = list[Moment](), dict[int, Callable[[float], State]]()
    for episode, row in (places[k] for k in chosen):
        if episode not in states:
            states[episode] = _state(dataset, episode, arm)
        pictures = {n: dataset.pictures(_column(arm, n), episode, [row])[0] for n in names}
        # Gels are read together, and a camera has an arm of its own: all are as old.
        at = row - _age(dataset.episode(episode), names[0], row) * fps
        found.append(Moment(
            pictures=pictures,
            state=lambda x, at=at, state=states[episode]: state(at + x * fps),
        ))  # fmt: skip
    return found


def _age(rows: Mapping[str, Any], name: str, row: int) -> float:
    """Return how long before its row a picture was taken [s]; 0 where that is not known."""
    column = f"sync.{name}.age"
    age = float(np.ravel(rows[column][row])[0]) if column in rows else 0.0
    return age if math.isfinite(age) else 0.0


def _state(dataset: Dataset, episode: int, arm: SimulatedArm) -> Callable[[float], State]:
    """Return the state of the physics by row, which may lie between two.

    Raises:
        UserError: the dataset holds neither a state nor joints.
    """
    rows = dataset.episode(episode)
    whole = {n.removeprefix(STATE): v for n, v in rows.items() if n.startswith(STATE)}
    if not whole:
        if "observation.state" not in rows:
            raise UserError(
                f"{dataset.root}: expected a column observation.state: where joints are"
            )
        whole = _by_joints(rows["observation.state"], dataset, arm)
    sizes = {name: arm.world.read(name)[0].numel() for name in whole}
    for name, values in whole.items():
        if values[0].size != sizes[name]:
            raise UserError(
                f"{dataset.root}: its states have {values[0].size} numbers {name}, those of this "
                f"task {sizes[name]}: expected the task that it was recorded at"
            )
    last = len(rows["index"]) - 1  # and not the rows, which hold pictures

    def state(row: float) -> dict[str, FloatArray]:
        row = min(max(row, 0.0), float(last))
        first = int(row)
        second, share = min(first + 1, last), row - first
        return {name: (1.0 - share) * v[first] + share * v[second] for name, v in whole.items()}

    return state


def _by_joints(
    measured: FloatArray, dataset: Dataset, arm: SimulatedArm
) -> Mapping[str, FloatArray]:
    """Return states (rows, ...) of what is measured of arms and grippers; all else as at a start.

    Raises:
        UserError: a column has no joint.
    """
    model, gripper = model_of(arm.world), arm.robot.gripper
    qpos = np.tile(arm.world.read("qpos")[0].double().numpy(), (len(measured), 1))
    names = dataset.features["observation.state"].names or ()
    with user_input("observation.state"):
        for name, values in zip(names, measured.T, strict=True):
            joints = [name]
            if name.endswith("gripper_width"):
                prefix, values = name.removesuffix("gripper_width"), gripper.position(values)
                joints = [prefix + finger for finger in gripper.joint_names]
            for joint in joints:
                qpos[:, model.jnt_qposadr[find(model, "joint", joint)]] = values
    return {"qpos": qpos, "qvel": np.zeros((len(measured), model.nv))}


def _inputs(cfg: PictureGapCfg, dataset: Dataset) -> tuple[InputFile, ...]:
    info = dataset.root / "meta" / "info.json"
    files = [(info, "what the dataset holds"), *((f, "calibration") for f in cfg.calibrations)]
    return tuple(input_file(Path(file), words) for file, words in files)
