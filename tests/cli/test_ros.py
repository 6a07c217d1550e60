# pyright: standard
"""`sim2arm ros up` as a person uses it: one line per error, a stopped arm and no process left."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim2arm.cli import arm_options, ros
from sim2arm.cli import main as cli
from sim2arm.cli.cameras import CAMERAS
from sim2arm.cli.errors import UserError
from sim2arm.core.plain import from_plain, load_yaml
from sim2arm.core.spec import ArraySpec
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.verify import load_contract
from sim2arm.sim.vision import Vision
from sim2arm_ros.bag.reader import Log
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.graph_file import read_graph
from tests.deploy_ros.swinging import swinging_contract, write_swinging

PATIENCE = 90.0
"""Longest wait for what takes seconds on an idle machine [s]."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_swinging(tmp_path_factory.mktemp("ros") / "bundle")


def make_cfg(bundle: Path, **overrides: Any) -> ros.RosUpCfg:
    return replace(ros.RosUpCfg(bundle=bundle, sim="reach"), **overrides)


# -- what is refused before anything starts ----------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "missing --bundle"),
        (["--bundle", "BUNDLE", "--simm", "reach"], "unrecognised option --simm"),
        (["--bundle", "nowhere", "--sim", "reach"], "neither a policy bundle nor a run with one"),
        (["--bundle", "BUNDLE", "--sim", "reech"], "unknown task 'reech'; perhaps you meant reach"),
        (["--bundle", "BUNDLE", "--yes", "--lock-step"], "--lock-step needs --sim TASK"),
        (["--bundle", "BUNDLE", "--yes", "--episodes", "2"], "--episodes needs --sim TASK"),
        (["--bundle", "BUNDLE", "--yes", "--cameras", "scene"], "--cameras needs --sim TASK"),
        (["--bundle", "BUNDLE", "--sim", "reach", "--cameras", "seen"], "unknown cameras 'seen'"),
        (["--bundle", "BUNDLE", "--sim", "reach", "--duration", "-1"], "must be 0 or more"),
        (["--bundle", "BUNDLE", "--sim", "reach", "--settings", "none"], "no such file: none"),
        (
            ["--bundle", "BUNDLE", "--sim", "reach", "--settings", "BROKEN"],
            "unknown key. Known keys: ['goal_high'",
        ),
        (["--bundle", "BUNDLE", "--sim", "reach", "--logs", "BROKEN"], "is not a folder"),
        (["--bundle", "BUNDLE", "--sim", "reach", "--record", "BROKEN"], "is not a folder"),
        (["--bundle", "BUNDLE", "--sim", "reach", "--record", "BUNDLE"], "expected a new folder"),
        (["none.yaml", "--bundle", "BUNDLE", "--sim", "reach"], "none.yaml: cannot be read"),
        (["BROKEN", "--bundle", "BUNDLE", "--sim", "reach"], "inputs"),
        (["GRAPH", "--bundle", "BUNDLE", "--sim", "reach"], "got 'joint states'"),
        (["--bundle", "BUNDLE", "--sim", "reach", "--seed", "-1"], "--seed: expected 0 or more"),
        (
            ["--bundle", "BUNDLE", "--sim", "reach", "--teleop", "gamepat"],
            "unknown device 'gamepat",
        ),
        (["--bundle", "BUNDLE", "--sim", "reach", "--teleop", "terminal"], "has no terminal"),
        (
            ["--bundle", "BUNDLE", "--sim", "reach", "--teleop", "gamepad", "--lock-step"],
            "leave out --lock-step",
        ),
        (
            ["--bundle", "BUNDLE", "--sim", "reach", "--teleop-settings", "BROKEN"],
            "--teleop-settings needs --teleop or --intervene DEVICE",
        ),
        (
            ["--bundle", "BUNDLE", "--sim", "reach", "--intervene", "gamepat"],
            "unknown device 'gamepat",
        ),
        (
            ["--bundle", "BUNDLE", "--sim", "reach", "--intervene", "gamepad", "--lock-step"],
            "--intervene: a hand does not wait for commands",
        ),
        (
            ["--bundle", "BUNDLE", "--sim", "reach", "--intervene", "gamepad", "--teleop", "x"],
            "--teleop: it asks in place of the policy, and --intervene beside it",
        ),
        (
            ["--bundle", "BUNDLE", "--sim", "peg-insertion"],
            "the policy needs goal_pose, and peg-insertion gives socket_pose",
        ),
        (["--bundle", "BUNDLE", "--sim", "reach", "--sensors", "BROKEN"], "unknown key"),
        (["--bundle", "BUNDLE", "--sim", "reach", "--sensors", "no-name.yaml"], "names of ROS nod"),
        (
            ["--bundle", "BUNDLE", "--sim", "reach", "--sensors", "a/x.yaml", "b/x.yaml"],
            "expected files of different names",
        ),
        (
            ["--bundle", "BUNDLE", "--sim", "reach", "--robot", "kuka"],
            "robot: expected one of ['fr3', 'so101', 'ur5e'] or the path of a .yaml file",
        ),
        (
            ["--bundle", "BUNDLE", "--sim", "reach", "--robot", "ur5e"],
            "this graph is of a ur5e, the bundle is for a fr3",
        ),
        (
            ["--bundle", "BUNDLE", "--yes", "--robot", "fr3", "--port", "/dev/x"],
            "--port: this robot has a driver of its own",
        ),
        (["--bundle", "BUNDLE", "--sim", "reach", "--port", "/dev/x"], "a simulated arm has none"),
        (["--bundle", "BUNDLE", "--sim", "reach", "--namespace", "1 2"], "a name such as left"),
        (["--bundle", "BUNDLE", "--sim", "reach", "--prefix", "1_"], "prefix: expected letters"),
        (
            ["--bundle", "BUNDLE", "--sim", "reach", "--only", "policy", "--without", "policy"],
            "--only and --without: this machine runs one side",
        ),
        (["--bundle", "BUNDLE", "--sim", "reach", "--only", "gate"], "invalid choice 'gate'"),
        (
            ["--bundle", "BUNDLE", "--sim", "reach", "--without", "policy", "--lock-step"],
            "--without: lock step would wait for the network",
        ),
        (
            ["--bundle", "BUNDLE", "--sim", "reach", "--only", "policy"],
            "--only: set ROS_DOMAIN_ID to the same number on both machines",
        ),
        (
            ["--bundle", "BUNDLE", "--only", "policy", "--duration", "3"],
            "--duration: the other machine operates",
        ),
        (
            ["--bundle", "BUNDLE", "--only", "policy", "--peers", "robot;evil"],
            "--peers: expected names or addresses of machines, got 'robot;evil'",
        ),
        (
            ["--bundle", "BUNDLE", "--only", "policy", "--keystore", "nowhere"],
            "enclaves/sim2arm/operator/permissions.p7s is missing; make it with",
        ),
        (
            ["--bundle", "BUNDLE", "--sim", "reach", "--trusted-keys", "nowhere"],
            "the file of trusted keys cannot be read",
        ),
        (
            ["--bundle", "BUNDLE", "--sim", "reach", "--trusted-keys", "TRUSTED"],
            "is not signed, and only bundles signed with a key of",
        ),
        (["--bundle", "BUNDLE"], "answer at a terminal, or pass --page or --yes"),
        (["--bundle", "BUNDLE", "--page", "--yes"], "--yes: with --page the person starts"),
        (["--bundle", "BUNDLE", "--sim", "reach", "--page", "--lock-step"], "--lock-step: with"),
        (["--bundle", "BUNDLE", "--sim", "reach", "--page", "--episodes", "2"], "--episodes: with"),
        (
            ["--bundle", "BUNDLE", "--page", "--page-port", "70000"],
            "expected 0 to 65535, got 70000",
        ),
        (["--bundle", "BUNDLE", "--page", "--page-host", "203.0.113.7"], "cannot be had"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: str,
) -> None:
    broken = tmp_path / "graph.yaml"
    broken.write_text("version: 1\ninputs: {joint_position: {topic: /x}}\n")
    graph = tmp_path / "names.yaml"
    graph.write_text(ros.DEFAULT_GRAPH.read_text().replace("joint_states", "joint states"))
    trusted = tmp_path / "trusted"
    trusted.write_text(f"ed25519 {'A' * 43}= ada\n")
    known = {"BUNDLE": str(bundle), "BROKEN": str(broken), "GRAPH": str(graph),
             "TRUSTED": str(trusted)}  # fmt: skip
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    assert cli.main(["ros", "up", *(known.get(word, word) for word in words)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert said in line


def test_a_changed_bundle_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_swinging(tmp_path / "bundle")
    data = bytearray((folder / "contract.yaml").read_bytes())
    data[-2] ^= 1
    (folder / "contract.yaml").write_bytes(bytes(data))
    assert cli.main(["ros", "up", "--bundle", str(folder), "--sim", "reach"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "contract.yaml" in line


def test_a_robot_refuses_the_fallback_unless_told(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []

    def up(cfg: ros.RosUpCfg, nodes: list[Any], env: dict[str, str]) -> int:
        started.append((nodes, env))
        return 0

    monkeypatch.delenv(ros.RANGE, raising=False)
    monkeypatch.setattr(ros, "_up", up)
    monkeypatch.setattr(arm_options, "install", lambda: "rclpy: fallback over Cyclone DDS 11")
    with pytest.raises(UserError, match="needs a ROS 2 installation, this is the fallback"):
        ros.main(["--bundle", str(bundle), "--yes"])
    assert started == []
    assert ros.main(["--bundle", str(bundle), "--yes", "--allow-fallback"]) == 0
    monkeypatch.setattr(arm_options, "install", lambda: "rclpy: /opt/ros/jazzy")
    assert ros.main(["--bundle", str(bundle), "--yes"]) == 0
    for (nodes, env), allowed in zip(started, (True, False), strict=True):
        by_name = {node.executable: dict(node.parameters) for node in nodes}
        assert set(by_name) == {"gate_node", "policy_node"}
        assert by_name["gate_node"]["real_hardware"] is True
        assert by_name["gate_node"]["allow_fallback_on_hardware"] is allowed
        assert all(values["use_sim_time"] is False for values in by_name.values())
        assert env == {ros.RANGE: "LOCALHOST"}


def test_a_simulated_arm_is_never_in_the_domain_of_a_robot(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE", raising=False)
    env = ros.environment(make_cfg(bundle))
    assert 1 <= int(env["ROS_DOMAIN_ID"]) <= 101
    assert env["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")
    assert ros.environment(make_cfg(bundle))["ROS_DOMAIN_ID"] == "7"
    assert ros.environment(make_cfg(bundle))["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


def test_a_robot_is_found_on_its_own_machine_alone(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """ROS itself would let the whole subnet join."""
    cfg = make_cfg(bundle, sim=None)
    for before, expected in ((None, "LOCALHOST"), ("", "LOCALHOST"), ("SUBNET", "SUBNET")):
        monkeypatch.delenv(ros.RANGE, raising=False)
        if before is not None:
            monkeypatch.setenv(ros.RANGE, before)
        assert ros.environment(cfg) == {ros.RANGE: expected}
    # Peers of the environment, as ROS has them, stay: both machines need nothing else.
    monkeypatch.delenv(ros.RANGE)
    monkeypatch.setenv("ROS_STATIC_PEERS", "robot")
    assert ros.environment(cfg) == {ros.RANGE: "LOCALHOST"}
    monkeypatch.setattr(ros, "_up", lambda *_: 0)
    monkeypatch.setattr(arm_options, "install", lambda: "rclpy: /opt/ros/jazzy")
    assert ros.main(["--bundle", str(bundle), "--yes"]) == 0
    assert "range LOCALHOST" in capsys.readouterr().out


def test_named_peers_are_the_only_ones(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE", raising=False)
    cfg = make_cfg(bundle, sim=None, peers=("robot", "10.0.0.2"))
    expected = {
        "ROS_STATIC_PEERS": "robot;10.0.0.2", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }  # fmt: skip
    assert ros.environment(cfg) == expected
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    assert ros.environment(cfg)["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "SUBNET"


def test_a_keystore_secures_every_process(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ros.RANGE, raising=False)
    for name in ("operator", "gate_node"):
        folder = tmp_path / "enclaves" / "sim2arm" / name
        folder.mkdir(parents=True)
        (folder / "permissions.p7s").touch()
    cfg = make_cfg(bundle, sim=None, yes=True, keystore=tmp_path)
    ros.check(cfg)
    assert ros.environment(cfg) == {
        "ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce",
        "ROS_SECURITY_KEYSTORE": str(tmp_path), ros.RANGE: "LOCALHOST",
    }  # fmt: skip
    with pytest.raises(UserError, match=r"sim2arm/policy_node/permissions\.p7s is missing"):
        ros.check(replace(cfg, only="policy"))


def test_each_side_starts_its_own_nodes(bundle: Path, tmp_path: Path) -> None:
    contract = load_contract(bundle)

    def started(**sides: str) -> list[str]:
        cfg = make_cfg(bundle, record=tmp_path / "log", trusted_keys=tmp_path / "keys", **sides)
        nodes = ros.nodes(cfg, bundle, contract, read_graph())
        for node in nodes:
            if node.executable in ("gate_node", "policy_node", "teleop_node"):
                assert node.parameters["trusted_keys"] == str(tmp_path / "keys")
        return sorted(node.executable for node in nodes)

    assert started(only="policy") == ["policy_node", "recorder_node"]
    driven = ros.nodes(
        make_cfg(bundle, sim=None, only="policy"), bundle, contract, read_graph(robot="so101")
    )
    assert [node.executable for node in driven] == ["policy_node"]
    assert started(only="policy", teleop="keyboard") == ["recorder_node", "teleop_node"]
    assert started(without="policy") == ["gate_node", "recorder_node", "sim_arm_node"]


def test_the_simulated_arm_is_the_robot_of_the_contract(bundle: Path) -> None:
    cfg = make_cfg(bundle, lock_step=True, seed=3)
    arm, *others = ros.nodes(cfg, bundle, load_contract(bundle), read_graph())
    assert arm.executable == "sim_arm_node"
    expected = {
        "task": "reach", "robot": "fr3", "control_hz": 60.0, "lock_step": True, "episode_seed": 3,
    }  # fmt: skip
    assert dict(arm.parameters).items() >= expected.items()
    assert all(node.parameters["lock_step"] is True for node in others)
    gate = next(node for node in others if node.executable == "gate_node")
    assert gate.parameters["real_hardware"] is False


def test_the_simulated_arm_has_the_cameras_that_the_policy_needs(
    bundle: Path, tmp_path: Path
) -> None:
    contract = load_contract(bundle)
    cfg = make_cfg(bundle, cameras="scene", logs=tmp_path / "logs")
    sensors = ros.write_sensors(cfg, contract)
    assert sensors["touch"] is None
    text = (tmp_path / "logs" / "vision.yaml").read_text()
    assert from_plain(Vision, load_yaml(text, "vision")) == CAMERAS["scene"].vision
    arm = ros.nodes(cfg, bundle, contract, read_graph(), **sensors)[0]
    assert arm.parameters["vision"] == str(tmp_path / "logs" / "vision.yaml")
    assert arm.parameters["touch"] == ""
    eye = ArraySpec(
        name="wrist_rgb", kind="sensor", shape=(84, 84, 3), dtype="uint8",
        driver_stage="driver_stage/1 640x480 crop 0,0,640,480 area 84x84",
    )  # fmt: skip
    seeing = replace(contract, inputs=(*contract.inputs, eye))
    for name, given in (("none", "nothing"), ("scene", "scene_rgb")):
        with pytest.raises(UserError, match=f"sees wrist_rgb, and {name} gives {given}"):
            ros.write_sensors(replace(cfg, cameras=name), seeing)


def test_a_run_is_found_by_its_bundle(bundle: Path) -> None:
    assert ros.find_bundle(bundle.parent) == ros.find_bundle(bundle) == bundle


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_end_it_as_ctrl_c_does(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), ros.signals_interrupt():
        os.kill(os.getpid(), number)
        time.sleep(1.0)
    assert signal.getsignal(number) == before


# -- with processes ----------------------------------------------------------------------------


class Up:
    """A running `sim2arm ros up`."""

    def __init__(self, *words: str, before: Sequence[str] = ()) -> None:
        command = [*before, sys.executable, "-m", "sim2arm.cli.main", "ros", "up", *words]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
            text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._threads = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.lines), (self.process.stderr, self.errors))
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: Any, into: list[str]) -> None:
        for line in stream:
            into.append(line.rstrip("\n"))

    def wait_for(self, pattern: str) -> str:
        """Return the first line with a pattern."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for line in list(self.lines):
                if re.search(pattern, line):
                    return line
            assert self.process.poll() is None, "\n".join(self.lines + self.errors)
            time.sleep(0.05)
        raise AssertionError(f"no {pattern!r} in:\n" + "\n".join(self.lines + self.errors))

    def children(self) -> dict[str, int]:
        """Return the processes of the nodes, by executable."""
        found: dict[str, int] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                words = (folder / "cmdline").read_text().split("\0")
            except (OSError, ValueError):
                continue
            if parent == self.process.pid and "sim2arm_ros.executables" in words:
                name = words[words.index("sim2arm_ros.executables") + 1]
                found[name] = int(folder.name)
        return found

    def end(self) -> int:
        """Wait for the end; return the exit code."""
        code = self.process.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        return code


@pytest.fixture
def short(tmp_path: Path) -> list[str]:
    """Arguments of a lock-step simulation with episodes of 30 steps."""
    settings = tmp_path / "task.yaml"
    settings.write_text("max_steps: 30\n")
    return ["--sim", "reach", "--lock-step", "--settings", str(settings),
            "--logs", str(tmp_path / "logs")]  # fmt: skip


@pytest.fixture
def running() -> Iterator[list[Up]]:
    started: list[Up] = []
    yield started
    for up in started:
        if up.process.poll() is None:
            up.process.kill()


def gone(pids: dict[str, int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids.values())


@pytest.mark.parametrize(
    "words",
    [[], ["--robot", "fr3", "--prefix", "left_", "--namespace", "left"]],
    ids=["graph", "robot"],
)
def test_episodes_run_and_end_by_themselves(
    bundle: Path, short: list[str], running: list[Up], words: list[str]
) -> None:
    log = Path(short[-1]).parent / "log"
    up = Up("--bundle", str(bundle), *short, "--seed", "5", "--episodes", "2", "--record", str(log),
            *words)  # fmt: skip
    running.append(up)
    assert up.end() == 0, up.errors
    text = "\n".join(up.lines)
    assert re.search(r"^rclpy +\S", text, re.MULTILINE)
    for node in ("gate_node", "policy_node"):
        assert f"\n{node}\n     item " in text
    assert "RED" not in text
    for seed in (5, 6):
        assert re.search(rf"^seed {seed}: failure after 30 steps  missed 0", text, re.MULTILINE)
    assert up.lines[-1] == "0 of 2 episodes succeeded"
    out = log.parent / "set"
    assert cli.main(["convert", str(log), "--out", str(out)]) == 0
    dataset = Dataset(out)
    assert [dataset.notes(k)["seed"] for k in range(2)] == [5, 6]
    assert len(dataset) == 60 and not dataset.episode(0)["next.success"].any()


def test_a_hand_in_place_of_the_policy(
    bundle: Path, short: list[str], running: list[Up], tmp_path: Path
) -> None:
    """It moves the arm in real time; the log says that a person asked."""
    Path(short[short.index("--settings") + 1]).write_text("max_steps: 180\n")
    script, log = tmp_path / "script.yaml", tmp_path / "log"
    script.write_text("- {seconds: 0.2}\n- {seconds: 60.0, twist: [0, 0.5, 0, 0, 0, 0]}\n")
    words = [word for word in short if word != "--lock-step"]
    up = Up("--bundle", str(bundle), *words, "--teleop", f"script:{script}", "--episodes", "1",
            "--record", str(log))  # fmt: skip
    running.append(up)
    up.wait_for("gate ACTIVE  hand ")
    assert "teleop_node" in up.children() and "policy_node" not in up.children()
    assert up.end() == 0, up.errors
    text = "\n".join(up.lines)
    assert "those that the steps press" in text and "\nteleop_node\n     item " in text
    assert re.search(r"^seed 0: failure after \d+ steps", text, re.MULTILINE)
    with Log(log) as recorded:
        asked = [message for message in recorded.messages if message.topic == "/teleop_node/action"]
    assert len(asked) > 30


def test_ctrl_c_stops_the_arm_and_ends_every_process(
    bundle: Path, short: list[str], running: list[Up]
) -> None:
    Path(short[short.index("--settings") + 1]).write_text("max_steps: 100000\n")
    up = Up("--bundle", str(bundle), *short, "--record", str(Path(short[-1]).parent / "log"))
    running.append(up)
    up.wait_for("gate ACTIVE  policy RUNNING")
    nodes = up.children()
    assert set(nodes) == {"sim_arm_node", "gate_node", "policy_node", "recorder_node"}
    os.kill(nodes["recorder_node"], signal.SIGKILL)
    up.wait_for("recording has ended: recorder_node ended with code -9")  # and nothing else
    up.process.send_signal(signal.SIGINT)
    assert up.end() == 0, up.errors
    assert "stopping" in up.lines
    assert up.lines[-1] == "stopped: gate HOLD, released by the policy"
    assert gone(nodes)


def test_a_node_that_dies_is_one_line_and_code_2(
    bundle: Path, short: list[str], running: list[Up]
) -> None:
    Path(short[short.index("--settings") + 1]).write_text("max_steps: 100000\n")
    up = Up("--bundle", str(bundle), *short)
    running.append(up)
    up.wait_for("gate ACTIVE  policy RUNNING")
    nodes = up.children()
    os.kill(nodes["gate_node"], signal.SIGKILL)
    assert up.end() == 2
    (line,) = up.errors
    assert "gate_node ended with code -9" in line
    assert gone(nodes)


def test_a_red_report_is_shown_and_its_red_lines_are_the_error(
    tmp_path: Path, short: list[str], running: list[Up]
) -> None:
    low = swinging_contract().low_level
    soft = replace(low, kp=(10.0,) * 7, kp_range=((9.0, 11.0),) * 7)  # the arm has 50 to 600
    bundle = write_swinging(tmp_path / "soft", low_level=soft)
    up = Up("--bundle", str(bundle), *short, "--patience", "10")
    running.append(up)
    assert up.end() == 2
    (line,) = up.errors
    assert "gate_node was not activated: kp of fr3_joint" in line
    assert any(text.startswith("RED  kp of fr3_joint") for text in up.lines)


def load_link() -> Any:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "_link.py"
    spec = importlib.util.spec_from_file_location("link_of_a_test", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_policy_on_another_machine_whose_link_is_cut(
    bundle: Path, short: list[str], running: list[Up], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The robot's side operates what the other side started; the cut ends it with the reason."""
    network = load_link()
    if network.why_not():
        pytest.skip(f"no second machine here: {network.why_not()}")
    link = network.Link()
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE", raising=False)
    Path(short[short.index("--settings") + 1]).write_text("max_steps: 100000\n")
    words = ["--bundle", str(bundle), *(word for word in short if word != "--lock-step")]
    logs = Path(words.pop())
    there = Up(*words, str(logs / "there"), "--only", "policy", "--peers", network.HERE,
               before=link.there)  # fmt: skip
    running.append(there)
    there.wait_for("operated from the other machine")
    here = Up(*words, str(logs / "here"), "--without", "policy", "--peers", network.THERE,
              before=link.here)  # fmt: skip
    running.append(here)
    assert "all but policy_node" in here.wait_for("^here ")
    here.wait_for("gate ACTIVE  policy RUNNING")
    there.wait_for("gate ACTIVE  policy RUNNING")
    assert set(there.children()) == {"policy_node"}
    assert set(here.children()) == {"sim_arm_node", "gate_node"}
    link.cut()
    there.wait_for("policy STOPPED")  # it hears of nothing any more
    assert here.end() == 2
    (line,) = [line for line in here.errors if line.startswith("sim2arm")]
    assert "policy_node is not heard any more, and the gate holds: no request for" in line
    assert gone(here.children())
