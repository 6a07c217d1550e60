"""`sim2arm robot import`: an entry and a model in `robots/`, then usable by name."""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sim2arm.cli import main as cli
from sim2arm.cli.runs import read_config
from sim2arm.core.robot_files import ENTRY, MODEL, find_robot
from sim2arm.sim.robots import import_robot as _needs_the_train_extra  # noqa: F401
from tests.sim.import_files import CONTROLLERS, URDF

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run a command in a folder with the small arm; return exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    Path("arm.urdf").write_text(URDF)
    Path("controllers.yaml").write_text(CONTROLLERS)

    def command(*words: str) -> tuple[int, str, str]:
        code = cli.main(list(words))
        out, err = capsys.readouterr()
        return code, out, err

    return command


IMPORT = ("robot", "import", "arm.urdf", "--controllers", "controllers.yaml")


def test_an_imported_robot_is_listed_and_trained(run: Command) -> None:
    code, out, _ = run(*IMPORT, "--home", "elbow=0.5", "shoulder=0.2", "--acceleration", "8")
    assert code == 0
    assert "robot small: world to tip" in out
    assert "gripper grip and follow: 80.0 mm, 0.1 m/s, 20 N" in out
    assert "fingers: no task can hold anything with them: no primitive shape of left " in out
    assert "acceleration: 8 rad/s^2, an estimate" in out
    assert "1 meshes are left out" in out
    assert out.count("kinematics against MuJoCo's compile") == 2
    assert out.splitlines()[-1].endswith("next: sim2arm train reach-ppo --robot small")
    folder = Path("robots/small")
    assert sorted(path.name for path in folder.iterdir()) == [MODEL, ENTRY]
    robot = find_robot("small")
    assert robot.home == (0.2, 0.5) and robot.limits.ddq_max == (8.0, 8.0)
    entry = (folder / ENTRY).read_text()
    assert "description: arm.urdf sha256 " in entry and "jerk: 500 rad/s^3, an estimate" in entry

    assert "small                        imported, robots/small" in run("list", "robots")[1]
    code, out, err = run(
        "train", "reach-ppo", "--robot", "small", "--num-envs", "4", "--iterations", "1",
        "--trial-episodes", "2", "--algo.rollout", "8", "--algo.hidden", "8",
    )  # fmt: skip
    assert code == 0, err
    assert Path("runs/reach-ppo/checkpoint.safetensors").is_file()
    # Of a robot that was imported with other gains the run knows nothing.
    assert run(*IMPORT, "--home", "elbow=0.5", "shoulder=0.2", "--kp", "90", "--replace")[0] == 0
    for words in (("export", "runs/reach-ppo"), ("view", "runs/reach-ppo", "--video", "a.mp4")):
        code, _, err = run(*words)
        assert code == 2 and "robot 'small' was imported anew since this training" in err
    options = ("--home", "elbow=0.5", "shoulder=0.2", "--acceleration", "8", "--replace")
    assert run(*IMPORT, *options)[0] == 0  # as it was
    assert read_config(Path("runs/reach-ppo"))[1].robot == "small"


def test_a_robot_is_written_over_only_when_told(run: Command) -> None:
    assert run(*IMPORT)[0] == 0
    code, _, err = run(*IMPORT)
    assert code == 2
    assert "robots/small is there already: add --replace, or choose another --name" in err
    assert run(*IMPORT, "--replace", "--jerk", "100")[0] == 0
    assert find_robot("small").limits.dddq_max == (100.0, 100.0)
    assert run(*IMPORT, "--name", "other")[0] == 0
    assert find_robot("other").name == "other"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--name", "fr3"), "'fr3' is the name of a robot that we know: choose --name"),
        (("--name", "My Arm"), "robot name 'My Arm': expected lower-case letters"),
        (("--tool", "hand"), "robot: URDF: the tool frame 'hand' is not a link"),
        (
            ("--controllers", "arm.urdf"),
            "controllers: arm.urdf: expected the controllers of ros2_control",
        ),
        (("--controllers", "no.yaml"), "controllers: no such file or folder: no.yaml"),
        (("--kp", "stiff"), "--kp: expected joint=number, each joint once, got 'stiff'"),
        (("--controllers", "."), "controllers .: Is a directory"),
        (("--grip-force", "-3"), "--grip-force: expected a number above 0, got -3.0"),
        (("--grip-speed", "0"), "--grip-speed: expected a number above 0, got 0.0"),
        (("--jaw-length", "0"), "--jaw-length: expected a number above 0, got 0.0"),
        (("--kp", "9", "8"), "--kp: expected joint=number for each joint, got [9.0, 8.0]"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(
    words: tuple[str, ...], message: str, run: Command
) -> None:
    code, out, err = run(*IMPORT, *words)
    assert code == 2 and out == ""
    assert message in err and err.count("\n") == 1
    assert not Path("robots").exists()


def test_a_file_that_is_no_text_is_one_line(run: Command) -> None:
    Path("arm.urdf").write_bytes(b"\xca\xfe")
    code, _, err = run(*IMPORT)
    assert code == 2 and "arm.urdf: expected text in UTF-8: " in err and err.count("\n") == 1


def test_links_are_called_as_things_in_scenes_are(run: Command) -> None:
    for link in ("goal", "base"):
        Path("arm.urdf").write_text(URDF.replace('"upper"', f'"{link}"'))
        code, _, err = run(*IMPORT, "--replace")
        assert code == 0, err
    assert '"small_link_base"' in Path("robots/small", MODEL).read_text()


def test_a_robot_that_is_nowhere_is_one_line(run: Command) -> None:
    code, _, err = run("train", "reach-ppo", "--robot", "small")
    assert code == 2
    assert "robot 'small' is not known. Known: ['fr3', 'panda', 'so101', 'ur5e']" in err
    assert "`sim2arm robot import` writes others into robots/" in err
