# pyright: standard, reportMissingModuleSource=false
"""A policy that sees, through real processes: lock step to the bit, stale and foreign pictures."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.cli.errors import UserError
from sim2arm.cli.evaluation import of_bundle, run_episodes
from sim2arm.cli.ros_evaluation import run_through_ros, write_record
from sim2arm.core.camera_info import write_camera_info
from sim2arm.core.plain import dump_yaml, to_plain
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.sensors.replay import FRAMES, ReplayCfg, write_recording
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.tasks.base import Task
from sim2arm.sim.tasks.table import make_task
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from sensor_msgs.msg import CameraInfo, Image  # noqa: E402

from sim2arm_ros.activation import problems  # noqa: E402
from sim2arm_ros.launcher import NodeProcess  # noqa: E402
from sim2arm_ros.sensor_file import RecordingCfg, SensorFile  # noqa: E402

from .rig import Rig, assert_stopped_by_age  # noqa: E402
from .seeing import SIDE, STAGE, TOUCH, VISION, write_seeing  # noqa: E402

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    arm = SimulatedArm("reach", "fr3", vision=VISION)
    return write_seeing(tmp_path_factory.mktemp("seeing") / "bundle", arm)


def test_lock_step_is_the_same_as_in_process_to_the_bit(tmp_path: Path) -> None:
    """With pictures and forces that come at rates, phases and latencies of their own."""

    def task() -> Task:
        return make_task("peg-placement", "fr3", "max_steps: 30\n")

    arm = SimulatedArm(task(), "fr3", vision=VISION, touch=TOUCH)
    bundle, seeds = write_seeing(tmp_path / "bundle", arm), (0, 1)
    policy = OnnxPolicy(bundle)
    act = of_bundle(policy)
    with pytest.raises(UserError, match="'touch_field', which no camera or gel of this arm gives"):
        run_episodes(task(), policy.contract, act, seeds, num_arms=1, vision=VISION)
    inside = run_episodes(
        task(), policy.contract, act, seeds, num_arms=1,
        vision=VISION, touch=TOUCH,
    )  # fmt: skip
    outside = run_through_ros(
        bundle, task(), seeds, real_time=False, folder=tmp_path / "logs",
        vision=VISION, touch=TOUCH,
    )  # fmt: skip
    assert outside.episodes.steps.tolist() == inside.steps.tolist()
    assert outside.episodes.endings == inside.endings
    for through, alone in zip(outside.episodes.actions, inside.actions, strict=True):
        np.testing.assert_array_equal(through, alone)
        assert len(np.unique(alone, axis=0)) > len(alone) // 2  # what is seen changes what is done
    assert all(course.faults() == [] for course in outside.courses)


# -- in real time, over a wire that the test can change ----------------------------------------

PICTURE, INFO = "/sim_arm/scene_rgb/image_raw", "/sim_arm/scene_rgb/camera_info"


@pytest.fixture(scope="module")
def rig(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("rig")
    vision = write_record(folder / "vision.yaml", VISION)
    rig = Rig(bundle, folder / "logs", vision=vision, more={PICTURE: Image, INFO: CameraInfo})
    rig.bring_up()
    yield rig
    rig.close()


def halved(message: Image) -> Image:
    message.height //= 2
    message.data = array("B", bytes(message.data)[: message.step * message.height])
    return message


def changed(**fields: Any) -> Callable[[Any], Any]:
    """Return what changes fields of a message, or of its header."""

    def change(message: Any) -> Any:
        for name, value in fields.items():
            setattr(message.header if name == "frame_id" else message, name, value)
        return message

    return change


def longer(message: CameraInfo) -> CameraInfo:
    message.k = [1.01 * float(v) for v in message.k]
    return message


FOREIGN: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "encoding": (PICTURE, changed(encoding="bgr8"),
                 "scene_rgb: messages: .*expected encoding rgb8, got 'bgr8'"),
    "frame": (PICTURE, changed(frame_id="wrist_optical"),
              "scene_rgb: messages: .*expected frame 'scene_optical', got 'wrist_optical'"),
    "size": (PICTURE, halved,
             f"scene_rgb: messages: .*{SIDE} x {SIDE} pixels after its driver stage, got {SIDE} x"),
    "bytes": (PICTURE, changed(data=array("B", [0] * 7)),
              r"scene_rgb: messages: .*expected step \* height = .* got 7"),
    "focal length": (INFO, longer, "scene_rgb: fx: expected .* pixel, got"),
    "no calibration": (INFO, changed(k=[0.0] * 9), "scene_rgb: camera_info: .*not calibrated"),
}  # fmt: skip


@pytest.mark.parametrize("case", FOREIGN)
def test_foreign_pictures_are_refused_with_one_line(rig: Rig, case: str) -> None:
    topic, change, text = FOREIGN[case]
    rig.relay.changes = {topic: change}

    def refused() -> bool:
        rig.operator.reports.clear()
        if rig.operator.transition("policy_node", "activate"):  # the change has not come yet
            assert rig.operator.transition("policy_node", "deactivate")
            return False
        rig.wait(lambda: "policy_node" in rig.operator.reports, "report")
        lines = problems(rig.operator.reports["policy_node"])
        assert not any("\n" in line for line in lines)
        return any(re.search(text, line) for line in lines)

    rig.wait(refused, f"report with {text}")


def test_a_camera_that_stops_stops_the_arm(rig: Rig) -> None:
    def stop() -> None:
        rig.relay.changes = {PICTURE: lambda _: None}

    assert_stopped_by_age(rig, "scene_rgb", lambda: None, stop)


# -- a recording in place of the simulated camera ----------------------------------------------


def recording(bundle: Path, path: Path) -> Path:
    """Record pictures of the simulated camera for 30 s; return the file of sensor_node."""
    arm = SimulatedArm("reach", "fr3", vision=VISION)
    pictures: list[np.ndarray] = []
    for _ in range(4):
        pictures.append(arm.organs.newest()["scene_rgb"][0].copy())
        arm.step()
    count, period = 900, 33_333_333
    write_recording(path, [pictures[k % 4] for k in range(4)], [k * period for k in range(4)])
    # The same four files again and again.
    lines = [f"{k % 4:06}.png,{k * period}" for k in range(count)]
    (path / FRAMES).write_text("\n".join(["file,stamp_ns", *lines, ""]))
    trained = OnnxPolicy(bundle).contract.input("scene_rgb")
    done = replace(STAGE, width=SIDE, height=SIDE, crop=(0, 0, 0, 0))  # they are staged already
    cfg = ReplayCfg(stage=done, name=trained.name, frame=trained.frame, rate_hz=trained.rate_hz)
    write_camera_info(path.parent / "lens.yaml", "scene", arm.intrinsics["scene_rgb"])
    file = SensorFile(recording=RecordingCfg(path=str(path), cfg=cfg), camera_info="lens.yaml")
    where = path.parent / "sensor.yaml"
    where.write_text(dump_yaml(to_plain(file)))
    return where


def test_a_recording_drives_the_same_bundle(rig: Rig, bundle: Path, tmp_path: Path) -> None:
    """As another process, in place of the simulated camera."""
    parameters = {"sensor": str(recording(bundle, tmp_path / "recording")), "use_sim_time": True}
    node = NodeProcess(
        executable="sensor_node", parameters=parameters, remaps={"__node": "sim_arm"}
    )

    def begin() -> None:
        rig.relay.changes = {topic: lambda _: None for topic in (PICTURE, INFO)}
        old = rig.launch.processes.get("sensor_node")
        if old is None or old.poll() is not None:
            rig.launch.start(node, rig.env)

    assert_stopped_by_age(rig, "scene_rgb", begin, lambda: rig.end("sensor_node"))
