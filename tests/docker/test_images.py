"""Images and compose file: they call the scripts that a computer is set up with, and nothing else.

No Docker is asked: the files are read, and what they name must exist.
"""

from __future__ import annotations

import ast
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml

from sim2arm_ros.executables import NODES
from sim2arm_ros.launcher import enclave_of

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
TARGETS = ("train", "robot")
USER = "10001:10001"


def lines(target: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile: word and rest."""
    text = (DOCKER / f"Dockerfile.{target}").read_text().replace("\\\n", " ")
    kept = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in kept)]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


@pytest.mark.parametrize("target", TARGETS)
def test_images_run_scripts_and_make_targets_alone(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    commands = [rest for word, rest in lines(target) if word == "RUN"]
    assert len(commands) >= 3
    for command in commands:
        words = command.removeprefix("docker/scripts/enter ").split()
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), command
        else:
            path = ROOT / words[0]
            assert path.parent == DOCKER / "scripts" and path.is_file(), command
        assert not set("&|;") & set(command), command
    assert f"docker/scripts/install_packages {target}" in commands


@pytest.mark.parametrize("target", TARGETS)
def test_images_are_pinned_and_run_as_the_user_of_the_scripts(target: str) -> None:
    ((_, base),) = [line for line in lines(target) if line[0] == "FROM"]
    assert re.fullmatch(r"[a-z/]+:[\w.${}-]+", base) and not base.endswith("latest")
    users = [rest for word, rest in lines(target) if word == "USER"]
    assert users == [USER]
    assert f"id={USER.partition(':')[0]}" in (DOCKER / "scripts" / "create_user").read_text()
    order = [word for word, _ in lines(target)]
    assert order.index("USER") < len(order) - 1 - order[::-1].index("RUN")  # the last one is its
    for word, rest in lines(target):
        if word == "COPY":
            sources = [part for part in rest.split() if not part.startswith("--")][:-1]
            assert all((ROOT / source).exists() for source in sources)
        if word in ("HEALTHCHECK", "ENTRYPOINT"):
            (script,) = re.findall(r'"(docker/scripts/\w+)"', rest)
            assert (ROOT / script).is_file()


def test_the_robot_image_is_jazzy_with_cyclone() -> None:
    text = (DOCKER / "Dockerfile.robot").read_text()
    assert "ARG DISTRIBUTION=jazzy" in text and "RMW_IMPLEMENTATION=rmw_cyclonedds_cpp" in text
    (uri,) = re.findall(r"CYCLONEDDS_URI=file:///sim2arm/(\S+)", text)
    assert ElementTree.parse(ROOT / uri).getroot().tag.endswith("CycloneDDS")


def test_packages_have_names_that_apt_knows() -> None:
    """The distribution's own; those of ROS are in its archive, which this computer may not know."""
    plain: set[str] = set()
    for target in TARGETS:
        listed = subprocess.run(
            [DOCKER / "scripts" / "install_packages", target, "--list"],
            check=True, capture_output=True, text=True,
        ).stdout.split()  # fmt: skip
        assert listed == sorted(set(listed)) and len(listed) > 4
        assert all(re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", name) for name in listed)
        assert all("jazzy" in name for name in listed if name.startswith("ros-"))
        plain |= {name for name in listed if not name.startswith(("ros-", "python3-colcon"))}
    try:
        known = subprocess.run(
            ["apt-cache", "pkgnames"], capture_output=True, text=True, check=True
        ).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        known = []
    if "python3-venv" not in known:
        pytest.skip("apt has no lists of packages here (apt-get update)")
    assert plain <= set(known)


def test_packages_of_ros_are_those_that_the_nodes_depend_on() -> None:
    """ros-base has the others: std_msgs, sensor_msgs, launch_ros and so on."""
    depends = ElementTree.parse(ROOT / "deploy_ros" / "package.xml").getroot().iter("exec_depend")
    names = {str(element.text).replace("_", "-") for element in depends}
    listed = (DOCKER / "packages" / "robot.txt").read_text()
    for name in ("control-msgs", "controller-manager-msgs"):
        assert name in names and f"ros-@-{name}\n" in listed


# -- compose -----------------------------------------------------------------------------------


def test_containers_have_no_more_rights_than_they_need(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["user"] == USER, name
        assert service["cap_drop"] == ["ALL"] and "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service and service["init"] is True, name
        if service["image"] == "sim2arm-robot":
            assert service["read_only"] is True and service["restart"] == "no", name
            assert service["ulimits"] == {"rtprio": 99, "memlock": {"soft": -1, "hard": -1}}
            mounted = [volume.rpartition(":") for volume in service["volumes"]]
            writable = [volume for *_, volume in mounted if volume != "ro"]
            assert set(writable) <= {"/data"}, name


def test_containers_reach_named_machines_alone(compose: dict[str, Any]) -> None:
    for service in (compose["services"][name] for name in ("gate", "policy", "sensor")):
        env = service["environment"]
        assert env["ROS_AUTOMATIC_DISCOVERY_RANGE"].endswith(":-LOCALHOST}")
        assert env["RMW_IMPLEMENTATION"] == "rmw_cyclonedds_cpp"
        assert env["ROS_SECURITY_STRATEGY"] == "Enforce"
        assert service["network_mode"] == "host"


def test_what_containers_run_exists(compose: dict[str, Any]) -> None:
    launch = ROOT / "deploy_ros" / "launch" / "policy.launch.py"
    tree = ast.parse(launch.read_text())
    (arguments,) = [
        [ast.literal_eval(key) for key in node.value.keys if key is not None]
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
    ]
    for name in ("gate", "policy"):
        words = compose["services"][name]["command"].split()
        assert words[:4] == ["ros2", "launch", "sim2arm_ros", launch.name]
        given = dict(word.split(":=") for word in words[4:])
        assert set(given) <= set(arguments)
        other = {"gate": "policy", "policy": "gate"}[name]
        assert given[other] == "false" and name not in given
        test = compose["services"][name]["healthcheck"]["test"]
        assert test == ["CMD", "docker/scripts/healthy", f"{name}_node"]
    words = compose["services"]["sensor"]["command"].split()
    assert words[:4] == ["ros2", "run", "sim2arm_ros", "sensor_node"] and "sensor_node" in NODES
    assert enclave_of("sensor_node") in words
    for service in compose["services"].values():
        assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        for volume in service["volumes"]:
            source = volume.partition(":/")[0]
            name = re.sub(r"\$\{\w+:-(.*)\}", r"\1", source)
            assert name.startswith("/dev/") or name in compose["volumes"], volume


def test_training_has_gpus_and_shared_memory(compose: dict[str, Any]) -> None:
    train = compose["services"]["train"]
    (device,) = train["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert train["shm_size"] == "4gb"
