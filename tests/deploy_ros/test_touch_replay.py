# pyright: standard, reportMissingModuleSource=false
"""Recordings in place of simulated gels: the same spec, the same bundle, through ROS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim2arm.cli.ros_evaluation import write_record
from sim2arm.core.plain import dump_yaml, to_plain
from sim2arm.core.spec import ArraySpec
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.sensors.replay import FRAMES, Replay, ReplayCfg, write_recording
from sim2arm.sensors.tactile import TACTILE_CAMERAS, tactile_cfg, tactile_stage
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.touch import IMAGES, Touch
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from sensor_msgs.msg import Image  # noqa: E402

from sim2arm_ros.launcher import NodeProcess  # noqa: E402
from sim2arm_ros.sensor_file import RecordingCfg, SensorFile  # noqa: E402

from .rig import Rig, assert_stopped_by_age  # noqa: E402
from .seeing import Feeling, write_seeing  # noqa: E402

pytestmark = pytest.mark.timeout(60)

TOUCH = Touch(sensor="digit", sees=("image",), latency=(0.02, 0.05), free_phase=True, max_age_s=0.5)
TOPICS = {name: f"/sim_arm/{name}/image_raw" for name in IMAGES}


def make_arm() -> SimulatedArm:
    return SimulatedArm("peg-placement", "fr3", touch=TOUCH)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    arm = make_arm()
    rows, cols, _ = arm.organs.specs[IMAGES[0]].shape
    return write_seeing(tmp_path_factory.mktemp("feeling") / "bundle", arm, Feeling(rows * cols))


def record(folder: Path) -> dict[str, Path]:
    """Record what the sensor in place of each gel would send, 640 x 480, for 30 s.

    The policy's picture is that made smaller, so each of its pixels becomes a square of equal ones.
    """
    arm, seen = make_arm(), {name: list[np.ndarray]() for name in IMAGES}
    for _ in range(4):
        for name, pictures in seen.items():
            pictures.append(arm.organs.newest()[name][0].copy())
        arm.step()
    camera, period = TACTILE_CAMERAS["digit"], round(1e9 / TACTILE_CAMERAS["digit"].rate_hz)
    for name, pictures in seen.items():
        size = camera.height // pictures[0].shape[0], camera.width // pictures[0].shape[1]
        raw = [picture.repeat(size[0], 0).repeat(size[1], 1) for picture in pictures]
        assert raw[0].shape == (camera.height, camera.width, 3)
        write_recording(folder / name, raw, [k * period for k in range(4)])
        # the same four files again and again
        lines = [f"{k % 4:06}.png,{k * period}" for k in range(900)]
        (folder / name / FRAMES).write_text("\n".join(["file,stamp_ns", *lines, ""]))
        np.save(folder / f"{name}.npy", np.stack(pictures))
    return {name: folder / name for name in IMAGES}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return record(tmp_path_factory.mktemp("recordings"))


def replay_cfg(trained: ArraySpec) -> ReplayCfg:
    camera, (rows, cols, _) = TACTILE_CAMERAS["digit"], trained.shape
    return ReplayCfg(
        stage=tactile_stage(camera, cols, rows), name=trained.name, frame=trained.frame,
        rate_hz=camera.rate_hz, max_age=TOUCH.max_age_s,
    )  # fmt: skip


@pytest.mark.parametrize("name", IMAGES)
def test_simulated_replayed_and_real_gels_have_one_spec(
    name: str, bundle: Path, recordings: dict[str, Path]
) -> None:
    """And a recorded picture becomes the simulated one to the bit."""
    trained = OnnxPolicy(bundle).contract.input(name)
    rows, cols, _ = trained.shape
    replayed = Replay(recordings[name], replay_cfg(trained))
    real = tactile_cfg("digit", width=cols, height=rows, name=name, max_age=TOUCH.max_age_s)
    for field in ("shape", "dtype", "unit", "kind", "frame", "driver_stage", "rate_hz"):
        assert getattr(replayed.spec[name], field) == getattr(trained, field), field
    assert real.stage.text == trained.driver_stage and real.rate_hz == trained.rate_hz
    first = np.load(recordings[name].with_suffix(".npy"))[0]
    np.testing.assert_array_equal(replayed.read().arrays[name], first)


@pytest.fixture(scope="module")
def rig(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("rig")
    touch = write_record(folder / "touch.yaml", TOUCH)
    more = dict.fromkeys(TOPICS.values(), Image)
    rig = Rig(bundle, folder / "logs", task="peg-placement", touch=touch, more=more)
    rig.bring_up()
    yield rig
    rig.close()


def test_simulated_gels_drive_it_and_it_stops_without_them(rig: Rig) -> None:
    def stop() -> None:
        rig.relay.changes = {TOPICS[IMAGES[1]]: lambda _: None}

    assert_stopped_by_age(rig, IMAGES[1], lambda: None, stop)


def test_recordings_drive_the_same_bundle(
    rig: Rig, bundle: Path, recordings: dict[str, Path], tmp_path: Path
) -> None:
    """As two more processes in place of the simulated gels; one of them ends."""
    nodes: list[NodeProcess] = []
    for name, path in recordings.items():
        trained = OnnxPolicy(bundle).contract.input(name)
        cfg = RecordingCfg(path=str(path), cfg=replay_cfg(trained))
        where = tmp_path / f"{name}.yaml"
        where.write_text(dump_yaml(to_plain(SensorFile(recording=cfg))))
        node = NodeProcess(
            executable="sensor_node",
            parameters={"sensor": str(where), "use_sim_time": True},
            remaps={"__node": name, f"/{name}/{name}/image_raw": TOPICS[name]},
        )
        nodes.append(replace(node, label=name))

    def begin() -> None:
        rig.relay.changes = dict.fromkeys(TOPICS.values(), lambda _: None)
        for node in nodes:
            old = rig.launch.processes.get(node.label)
            if old is None or old.poll() is not None:
                rig.launch.start(node, rig.env)

    assert_stopped_by_age(rig, IMAGES[0], begin, lambda: rig.end(IMAGES[0]))
