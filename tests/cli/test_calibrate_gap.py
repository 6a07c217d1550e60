"""What `calibrate gap --of pictures` says of datasets."""

# pyright: standard

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim2arm.cli import main as cli
from sim2arm.cli import record as _needs_the_train_extra  # noqa: F401
from sim2arm.core.calibration_file import read_record
from sim2arm.policies.dataset.layout import PICTURES
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.dataset.writer import DROPPED, DatasetWriter

OWN = {"timestamp", "frame_index", "episode_index", "index", "task_index", DROPPED}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("recorded") / "pegs"
    words = ["peg-placement", "--episodes", "1", "--cameras", "scene", "--touch", "image-field"]
    assert cli.main(["record", *words, "--out", str(out)]) == 0
    return out


def gap(data: Path, out: Path, *words: str) -> int:
    words = ("calibrate", "gap", str(data), "--of", "pictures", "--out", str(out), *words)
    return cli.main(list(words))


def test_a_simulated_arm_sees_what_it_saw(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "gap.yaml"
    assert gap(recorded, out, "--moments", "8") == 0
    said = capsys.readouterr().out
    assert all(f"{name}: " in said for name in ("scene_rgb", "touch_left_rgb", "touch_right_rgb"))
    record = read_record(out)
    scene, *gels = record.value("difference")
    assert scene < 2.0  # what the video loses
    delay = record.values.get("scene_rgb_delay")
    assert delay is None or abs(delay.numbers[0]) < 2e-3  # the age of pictures is known
    assert max(gels) < 0.5
    pictures = {picture.file for picture in record.pictures}
    assert pictures == {
        f"gap-{name}{end}.png" for name in ("scene_rgb", "touch_left_rgb", "touch_right_rgb")
        for end in ("", "-explained")
    }  # fmt: skip
    assert out.with_suffix(".html").is_file()


def as_of_a_real_arm(recorded: Path, out: Path) -> None:
    """Write the dataset without what only a simulation knows, darker."""
    old = Dataset(recorded)
    spec = old.index.spec
    kept = {n: f for n, f in spec.features.items() if n not in OWN and not n.startswith("sim.")}
    documents = {name: text for name, text in spec.documents.items() if name != "setting"}
    with DatasetWriter(out, replace(spec, features=kept, documents=documents)) as writer:
        rows, episode = old.episode(0), writer.begin()
        length = len(rows["index"])
        pictures = {
            n: old.pictures(n, 0, range(length)) for n, f in kept.items() if f.dtype in PICTURES
        }
        dark = "observation.images.scene_rgb"
        pictures[dark] = (0.7 * pictures[dark]).astype(np.uint8)
        for k in range(length):
            row = {n: pictures[n][k] if n in pictures else rows[n][k] for n in kept}
            while episode.full:
                pass
            episode.add(row, old.task(0))
        episode.commit({})


def test_pictures_of_a_real_arm(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real, out = tmp_path / "real", tmp_path / "gap.yaml"
    as_of_a_real_arm(recorded, real)
    assert gap(real, out) == 2
    assert "say its surroundings with --task" in capsys.readouterr().err
    assert gap(real, out, "--task", "peg-placement") == 2
    assert "expected --cameras or --touch" in capsys.readouterr().err
    words = ("--task", "peg-placement", "--cameras", "scene", "--moments", "8")
    assert gap(real, out, *words) == 1  # not small
    said = capsys.readouterr().out
    assert "holds no state of a simulation" in said and "scene_rgb: what alone explains" in said
    assert "not accepted: scene_rgb" in said and "next, for scene_rgb: " in said
    factor, _ = read_record(out).value("scene_rgb_brightness")
    assert factor == pytest.approx(0.7, abs=0.05)


def test_what_is_no_dataset_or_has_other_pictures(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, said in (
        (("--moments", "0"), "--moments: expected more than 0, got 0"),
        (("--cameras", "scen"), "unknown cameras 'scen'"),
        (("--cameras", "wrist", "--touch", "none"), "holds no observation.images.wrist_rgb"),
        (("--cameras", "scene-wrist"), "holds no observation.images.wrist_rgb"),
        (("--touch", "none", "--task", "reach"), "expected the task that it was recorded at"),
        (("--robot", "ur5e"), "--robot: goes with --of joints"),
        (("--touch", "image-deep"), "unknown touch"),
        (("--width", "0.02"), "--width: goes with --of joints"),
    ):
        assert gap(recorded, tmp_path / "gap.yaml", *words) == 2
        err = capsys.readouterr().err
        assert said in err and err.count("\n") == 1
    assert cli.main(["calibrate", "gap", str(recorded)]) == 2
    assert "a dataset: expected a raw log, or --of pictures" in capsys.readouterr().err
    assert cli.main(["calibrate", "gap", str(tmp_path), "--task", "reach"]) == 2
    assert "--task: goes with --of pictures" in capsys.readouterr().err
    assert gap(tmp_path, tmp_path / "gap.yaml") == 2
    assert capsys.readouterr().err.count("\n") == 1
