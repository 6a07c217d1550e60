"""Images and compose file: they call the scripts that a computer is set up with, and nothing else.

No Docker is asked: the files are read, and what they name must exist.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sim2arm_ros.executables import NODES
from sim2arm_ros.graph_file import read_graph, robot_names
from sim2arm_ros.launcher import enclave_of

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
TARGETS = ("train", "robot")
COMPOSE = {"train": "compose.train.yaml", "robot": "compose.yaml"}
USER = "10001:10001"


def lines(target: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile: word and rest."""
    text = (DOCKER / f"Dockerfile.{target}").read_text().replace("\\\n", " ")
    kept = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in kept)]


def interpolated(node: Any, env: Mapping[str, str]) -> Any:
    """Return what Docker Compose makes of texts with variables.

    Raises:
        ValueError: one is required and not there.

    Source: the interpolation section of the Compose specification.
    """
    if isinstance(node, dict):
        found = cast("dict[str, Any]", node)
        return {key: interpolated(value, env) for key, value in found.items()}
    if isinstance(node, list):
        return [interpolated(value, env) for value in cast("list[Any]", node)]
    if not isinstance(node, str):
        return node

    def value(found: re.Match[str]) -> str:
        name, how, word = found.groups()
        if how == ":?" and not env.get(name):
            raise ValueError(f"required variable {name} is missing a value: {word}")
        if how == ":+":
            return word if env.get(name) else ""
        return env.get(name) or word

    text = re.sub(r"\$\{(\w+)(:[-+?])([^}]*)\}", value, node)
    assert "$" not in text, node
    return text


def composed(target: str, **env: str) -> dict[str, Any]:
    """Return the compose file of a target with variables."""
    return interpolated(yaml.safe_load((DOCKER / COMPOSE[target]).read_text()), env)


@pytest.fixture(scope="module")
def robot() -> dict[str, Any]:
    """The services of a robot of which nothing is told but which it is."""
    return composed("robot", ROBOT="fr3")["services"]


def mounts(service: Mapping[str, Any]) -> dict[str, tuple[str, bool]]:
    """Return the volumes of a service: source, and whether it may write, by where they are."""
    found: dict[str, tuple[str, bool]] = {}
    for volume in service["volumes"]:
        source, target, *options = volume.split(":")
        found[target] = (source, options != ["ro"])
    return found


def launched(service: Mapping[str, Any]) -> dict[str, str]:
    """Return the arguments of a service that launches policy.launch.py."""
    words = shlex.split(service["command"])
    assert words[:4] == ["ros2", "launch", "sim2arm_ros", "policy.launch.py"]
    given = dict(word.split(":=") for word in words[4:])
    assert len(given) == len(words) - 4
    assert all(given.values())  # `ros2 launch` ends with "malformed launch argument" at `name:=`
    return given


def of_node(service: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the executable of a service that runs a node, and its parameters."""
    words = shlex.split(service["command"])
    assert words[:3] == ["ros2", "run", "sim2arm_ros"] and words[3] in NODES
    assert words[4:7] == ["--ros-args", "--enclave", enclave_of(words[3])]
    flags, rest = words[7::2], words[8::2]
    assert len(flags) == len(rest) and set(flags) <= {"-p", "-r"}
    given = dict(word.split(":=") for word in rest)
    assert all(given.values())
    return words[3], given


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


def robot_extras() -> list[str]:
    """Return what `make robot`, and so the image, installs unless somebody says otherwise."""
    makefile = (ROOT / "Makefile").read_text()
    (extras,) = re.findall(r"^ROBOT_EXTRAS \?= (\S+)$", makefile, re.MULTILINE)
    return extras.split(",")


def needed(name: str, extras: Sequence[str], found: dict[str, set[str]]) -> None:
    """Gather the distributions that one needs, with Python 3.12, as those installed here say."""
    markers = {"python_version": "3.12", "python_full_version": "3.12.3"}
    seen = found.setdefault(canonicalize_name(name), set())
    new = {"", *extras} - seen
    seen |= new
    for line in metadata.requires(name) or () if new else ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**markers, "extra": extra}) for extra in new):
            needed(requirement.name, sorted(requirement.extras), found)


def test_all_that_make_robot_installs_has_a_version() -> None:
    """Jazzy's Python 3.12: the page of the operator too, on a robot set up as README says."""
    assert {"view", "vision", "sign"} <= set(robot_extras())
    if importlib.util.find_spec("viser") is None:
        pytest.skip("without the extra view nobody here knows what it needs")
    found: dict[str, set[str]] = {}
    needed("sim2arm", robot_extras(), found)
    assert {"viser", "websockets", "trimesh", "cryptography"} < set(found)
    pins: dict[str, list[Requirement]] = {}
    for line in (ROOT / "constraints-robot.txt").read_text().splitlines():
        if not line.startswith("#"):
            pin = Requirement(line)
            pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    here = {"python_version": "3.12", "python_full_version": "3.12.3"}
    for name in set(found) - {"sim2arm"}:
        held = [p for p in pins.get(name, ()) if p.marker is None or p.marker.evaluate(here)]
        assert len(held) == 1 and held[0].specifier, name
    for name in sorted(found):  # nobody asks for another version than is held
        for line in metadata.requires(name) or ():
            wanted = Requirement(line)
            pinned = pins.get(canonicalize_name(wanted.name), ())
            exact = [s.version for p in pinned if p.marker is None or p.marker.evaluate(here)
                     for s in p.specifier if s.operator == "=="]  # fmt: skip
            asked = wanted.marker is None or wanted.marker.evaluate({**here, "extra": ""})
            assert not asked or all(wanted.specifier.contains(v) for v in exact), (name, line)


def test_the_constraints_are_renewed_for_all_that_is_installed() -> None:
    text = (ROOT / ".ci" / "renew_constraints").read_text().replace("\\\n", " ")
    (resolved,) = re.findall(r"^robot=\$\(resolve (.*?)\|", text, re.MULTILINE)
    assert set(robot_extras()) <= set(re.findall(r"--extra (\w+)", resolved))


# -- compose -----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_containers_have_no_more_rights_than_they_need(target: str) -> None:
    for name, service in composed(target, ROBOT="fr3")["services"].items():
        assert service["user"] == USER, name
        assert service["cap_drop"] == ["ALL"] and "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service and service["init"] is True, name
        assert service["image"] == f"sim2arm-{target}", name
        if target == "robot":
            assert service["read_only"] is True and service["restart"] == "no", name
            assert service["ulimits"] == {"rtprio": 99, "memlock": {"soft": -1, "hard": -1}}


def test_nodes_can_write_their_logs_and_nothing_else(robot: dict[str, Any]) -> None:
    """A service with volumes of its own has none of the anchor's: rcl then cannot make its logs."""
    assert {"gate", "policy", "page", "sensor"} == set(robot)
    for name, service in robot.items():
        env, mounted = service["environment"], mounts(service)
        writable = {target for target, (_, writes) in mounted.items() if writes}
        assert writable == {env["ROS_HOME"]} == {"/data"}, name
        assert mounted[env["ROS_SECURITY_KEYSTORE"]] == ("keystore", False), name


def test_containers_reach_named_machines_alone(robot: dict[str, Any]) -> None:
    asked = composed("robot", ROBOT="fr3", ROS_AUTOMATIC_DISCOVERY_RANGE="SUBNET")["services"]
    for name, service in robot.items():
        env = service["environment"]
        assert env["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
        assert asked[name]["environment"]["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "SUBNET"
        assert env["RMW_IMPLEMENTATION"] == "rmw_cyclonedds_cpp"
        assert env["ROS_SECURITY_STRATEGY"] == "Enforce"
        assert service["network_mode"] == "host"


def test_no_arm_is_started_before_somebody_says_which_it_is() -> None:
    """The names of graph.yaml alone have no modes: a reflex of the robot would stop nothing."""
    for env in ({}, {"ROBOT": ""}):
        with pytest.raises(
            ValueError, match="ROBOT is missing a value: say which robot: fr3, ur5e"
        ):
            composed("robot", **env)
    assert set(composed("train")["services"]) == {"train"}
    for name in robot_names():
        services = composed("robot", ROBOT=name)["services"]
        assert launched(services["gate"])["robot"] == launched(services["policy"])["robot"] == name
        assert of_node(services["page"])[1]["robot"] == name
        modes = read_graph(robot=name).modes
        assert modes is not None


def test_what_containers_run_exists(robot: dict[str, Any]) -> None:
    launch = ROOT / "deploy_ros" / "launch" / "policy.launch.py"
    tree = ast.parse(launch.read_text())
    (arguments,) = [
        [ast.literal_eval(key) for key in node.value.keys if key is not None]
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
    ]
    for name in ("gate", "policy"):
        given = launched(robot[name])
        assert set(given) <= set(arguments)
        other = {"gate": "policy", "policy": "gate"}[name]
        assert given[other] == "false" and name not in given
        test = robot[name]["healthcheck"]["test"]
        assert test == ["CMD", "docker/scripts/healthy", f"{name}_node"]
    assert of_node(robot["page"]) == ("operator_node", {"bundle": "/bundle", "robot": "fr3"})
    assert of_node(robot["sensor"]) == (
        "sensor_node", {"__node": "sensor", "sensor": "/sensor.yaml"},
    )  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_sources_of_images_and_volumes_exist(target: str) -> None:
    found = composed(target, ROBOT="fr3")
    for service in found["services"].values():
        assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        for source, _ in mounts(service).values():
            assert source.startswith("/dev/") or source in found["volumes"], source
        for device in service.get("devices", ()):
            assert device.startswith("/dev/"), device


def test_what_is_told_of_a_set_up_reaches_its_nodes() -> None:
    """Every file that is told is mounted where the arguments say, and is read only."""
    told = {"GRAPH": "/home/me/graph.yaml", "TRUSTED_KEYS": "/home/me/keys",
            "SERVOS": "/home/me/servos.yaml", "BUNDLE": "/home/me/bundle"}  # fmt: skip
    services = composed("robot", ROBOT="so101", PORT="/dev/ttyACM1", **told)["services"]
    gate, policy = launched(services["gate"]), launched(services["policy"])
    page = of_node(services["page"])[1]
    for given, service in ((gate, "gate"), (policy, "policy"), (page, "page")):
        mounted = mounts(services[service])
        for argument in ("graph", "trusted_keys", "bundle"):
            assert mounted[given[argument]] == (told[argument.upper()], False)
    assert mounts(services["gate"])[gate["servos"]] == (told["SERVOS"], False)
    assert services["gate"]["devices"] == [f"/dev/ttyACM1:{gate['port']}"]
    assert services["gate"]["group_add"] == ["dialout"]
    assert "port" not in policy  # the bus has one master, where the gate is
    own = composed("robot", ROBOT="/robot.yaml", ROBOT_FILE="/home/me/arm.yaml")["services"]
    for name in ("gate", "policy"):
        assert mounts(own[name])[launched(own[name])["robot"]] == ("/home/me/arm.yaml", False)


def test_cameras_and_gels_are_containers_of_their_own() -> None:
    words = {"SENSOR_NAME": "scene", "SENSOR": "/home/me/scene.yaml", "CAMERA": "/dev/video2"}
    sensor = composed("robot", ROBOT="fr3", **words)["services"]["sensor"]
    name, given = of_node(sensor)
    assert (name, given["__node"]) == ("sensor_node", "scene")
    assert mounts(sensor)[given["sensor"]] == ("/home/me/scene.yaml", False)
    assert sensor["devices"] == ["/dev/video2"] and sensor["group_add"] == ["video"]


def test_training_has_gpus_and_shared_memory() -> None:
    train = composed("train")["services"]["train"]
    (device,) = train["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert train["shm_size"] == "4gb"
