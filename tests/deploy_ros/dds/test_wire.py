# pyright: standard
"""The wire format byte by byte: CDR, names, type hashes, user data, discovery."""

import contextlib
import random
import re
import struct
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclonedds.qos import Policy

from sim2arm_ros.dds.action_server import ActionServer
from sim2arm_ros.dds.codec import CodecError, decoder, encoder
from sim2arm_ros.dds.context import Context
from sim2arm_ros.dds.cyclone import parse_user_data
from sim2arm_ros.dds.definitions import message_spec, packages, type_hash, typestore
from sim2arm_ros.dds.discovery import cyclone_config, domain_id
from sim2arm_ros.dds.endpoints import new_service_id
from sim2arm_ros.dds.messages import action_class, message_class, service_class
from sim2arm_ros.dds.names import dds_service, dds_topic, dds_type, ros_service, ros_type
from sim2arm_ros.dds.node import Node
from sim2arm_ros.dds.qos import QoSProfile, to_dds


def make(name: str, /, **fields: Any) -> Any:
    kinds = {field.name: field.base for field in message_spec(name).fields}
    return message_class(name)(**{key: _made(kinds[key], value) for key, value in fields.items()})


def _made(kind: str, value: Any) -> Any:
    """Return messages for dictionaries, also in lists."""
    if isinstance(value, dict):
        return make(kind, **value)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [make(kind, **entry) for entry in value]
    return value


GOLDEN: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parent / "golden" / "wire.yaml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", GOLDEN["cdr"], ids=lambda c: f"{c['type']} {c['fields']}")
def test_golden_bytes(case: dict[str, Any]) -> None:
    name, data = case["type"], bytes.fromhex(case["bytes"])
    message = make(name, **case["fields"])
    assert bytes(encoder(name)(message)) == data
    assert decoder(name)(data) == message


@pytest.mark.parametrize("case", GOLDEN["service_samples"], ids=lambda c: c["type"])
def test_golden_bytes_of_requests_and_replies(case: dict[str, Any]) -> None:
    """The header (client, sequence number) stands in front of the body."""
    name, data = case["type"], bytes.fromhex(case["bytes"])
    header = struct.pack("<Qq", case["client"], case["sequence"])
    message = make(name, **case["fields"])
    assert bytes(encoder(name)(message, header)) == data
    assert decoder(name)(data, 16) == message


def test_golden_bytes_of_a_joint_state() -> None:
    message = make("sensor_msgs/msg/JointState", name=["j"], position=[0.5])
    message.header.stamp.sec = 1
    message.header.frame_id = "b"
    golden = (
        "00010000"
        "01000000 00000000"  # stamp: 1 s, 0 ns
        "02000000 6200 0000"  # frame 'b', padding to 4
        "01000000 02000000 6a00 0000"  # one name 'j', padding to 4
        "01000000"  # one position; this count ends at offset 32, a multiple of 8: no padding
        "000000000000e03f"
        "00000000 00000000"  # no velocity, no effort
    )
    assert bytes(encoder("sensor_msgs/msg/JointState")(message)) == bytes.fromhex(golden)


def test_golden_bytes_of_a_camera_info() -> None:
    message = make("sensor_msgs/msg/CameraInfo", height=2, width=3, distortion_model="plumb_bob")
    message.d, message.p = [0.5], [0.0] * 11 + [1.0]
    message.roi.width, message.roi.do_rectify = 3, True
    golden = (
        "00010000"
        "00000000 00000000 01000000 00 000000"  # stamp, empty frame, padding to 4
        "02000000 03000000"  # height, width
        "0a000000 706c756d625f626f6200 0000"  # 'plumb_bob', padding to 4
        "01000000"  # one number; this count ends at offset 44: 4 bytes of padding
        "00000000 000000000000e03f"
        + "0000000000000000"
        * 29  # k (9), r (9), p (11 of 12)
        + "000000000000f03f"
        "00000000 00000000"  # binning
        "00000000 00000000 00000000 03000000 01"  # x, y, height, width, do_rectify
    )
    assert bytes(encoder("sensor_msgs/msg/CameraInfo")(message)) == bytes.fromhex(golden)
    assert decoder("sensor_msgs/msg/CameraInfo")(bytes.fromhex(golden)) == message


def test_our_codec_writes_what_rosbags_writes() -> None:
    point = make("trajectory_msgs/msg/JointTrajectoryPoint", positions=[1.0, 2.0], velocities=[0.5])
    point.time_from_start.nanosec = 7
    name = "trajectory_msgs/msg/JointTrajectory"
    data = bytes(encoder(name)(make(name, joint_names=["a", "bcd"], points=[point, point])))
    theirs: Any = typestore().deserialize_cdr(data, name)
    assert theirs.joint_names == ["a", "bcd"]
    assert theirs.points[1].positions.tolist() == [1.0, 2.0]
    assert bytes(typestore().serialize_cdr(theirs, name)).rstrip(b"\0") == data.rstrip(b"\0")


@pytest.mark.parametrize(
    "kind", ["sensor_msgs/msg/JointState", "rcl_interfaces/msg/ParameterEvent"]
)
def test_every_truncation_and_any_noise_is_a_codec_error_or_a_message(kind: str) -> None:
    parameter = make("rcl_interfaces/msg/Parameter", name="gain")
    fields = {"name": ["a", "b"], "position": [1.0, 2.0]}
    if "Event" in kind:
        fields = {"node": "/n", "new_parameters": [parameter, parameter]}
    data = bytes(encoder(kind)(make(kind, **fields)))
    decode = decoder(kind)
    for size in range(len(data) - 3):
        with pytest.raises(CodecError):
            decode(data[:size])
    with pytest.raises(CodecError):
        decode(data + b"\0" * 4)
    noise = random.Random(0)
    for _ in range(2000):
        broken = bytearray(data)
        for _ in range(3):
            broken[noise.randrange(4, len(data))] = noise.randrange(256)
        with contextlib.suppress(CodecError):  # any other exception fails the test
            decode(bytes(broken))


def test_an_oversized_count_is_refused_without_allocating() -> None:
    huge = bytes.fromhex("00010000 ffffffff") + b"\0" * 8
    with pytest.raises(CodecError):
        decoder("std_msgs/msg/String")(huge)
    with pytest.raises(CodecError):
        decoder("tf2_msgs/msg/TFMessage")(huge)


def test_big_endian_samples_are_refused_by_name() -> None:
    with pytest.raises(CodecError, match="little-endian"):
        decoder("std_msgs/msg/Bool")(b"\0\0\0\0\1")


GOLDEN_HASHES: dict[str, str] = yaml.safe_load(
    (Path(__file__).parent / "golden" / "type_hashes.yaml").read_text()
)


@pytest.mark.parametrize("name", GOLDEN_HASHES)
def test_type_hashes(name: str) -> None:
    assert type_hash(name) == f"RIHS01_{GOLDEN_HASHES[name]}"


def test_an_action_is_a_name_for_its_messages() -> None:
    grasp: Any = action_class("franka_msgs/action/Grasp")
    goal = grasp.Goal(width=0.03, speed=0.1, force=20.0)
    assert (goal.epsilon.inner, goal.epsilon.outer) == (0.005, 0.005)  # defaults of the .msg
    request = grasp.Impl.SendGoalService.Request(goal=goal)
    assert request.get_fields_and_field_types() == {
        "goal_id": "unique_identifier_msgs/UUID",
        "goal": "franka_msgs/Grasp_Goal",
    }
    with pytest.raises(NotImplementedError, match=r"use Grasp\.Goal"):
        grasp()
    follow: Any = action_class("control_msgs/action/FollowJointTrajectory")
    assert follow.Result.GOAL_TOLERANCE_VIOLATED == -5


def test_every_defined_type_has_a_class_a_codec_and_a_hash() -> None:
    for package, kinds in packages().items():
        for short in kinds.get("msg", ()):
            name = f"{package}/msg/{short}"
            message = message_class(name)()
            assert decoder(name)(bytes(encoder(name)(message))) == message, name
            assert type_hash(name).startswith("RIHS01_")
        for short in kinds.get("srv", ()):
            assert service_class(f"{package}/srv/{short}").Request() is not None
        for short in kinds.get("action", ()):
            assert action_class(f"{package}/action/{short}").Goal() is not None


def test_names() -> None:
    names = GOLDEN["names"]
    for ros, dds in names["topics"].items():
        assert dds_topic(ros) == dds
    for ros, dds in names["services"].items():
        assert list(dds_service(ros)) == dds
        assert [ros_service(d) for d in dds] == [ros, ros]
    for ros, dds in names["types"].items():
        assert dds_type(ros) == dds
        assert ros_type(dds) == ros
    assert ros_type("Plain::Type") is None
    assert ros_service("rt/chatter") is None


def test_the_hidden_entities_of_an_action_on_the_wire() -> None:
    """DDS names, types and user data of an action's server."""
    context = Context()
    context.init([])
    node = Node("serves", context=context, start_parameter_services=False)
    gripper: Any = action_class("control_msgs/action/GripperCommand")
    server = ActionServer(node, gripper, "grip", lambda _: gripper.Result())

    def served() -> dict[str, tuple[str, str]]:
        return {
            e.topic: (e.type_name, e.user_data["typehash"])
            for writers in (True, False)
            for e in context.graph.endpoints(writers)
            if "/_action/" in e.topic
        }

    expected = GOLDEN["action_entities"]
    assert context.graph.wait_until(lambda: served().keys() == expected.keys(), 5.0)
    for topic, (dds_name, kind) in expected.items():
        assert served()[topic] == (dds_name, type_hash(kind)), topic
    server.destroy()
    node.destroy_node()
    context.try_shutdown()


def test_user_data_on_the_wire() -> None:
    """What discovery shows of a node, its publisher, its service and its client."""
    context = Context()
    context.init([])
    node = Node("announced", context=context, start_parameter_services=False)
    node.create_publisher(message_class("std_msgs/msg/String"), "words", 1)
    trigger = service_class("std_srvs/srv/Trigger")
    node.create_service(trigger, "go", lambda _, r: r)
    node.create_client(trigger, "go")
    patterns = GOLDEN["user_data"]

    def seen(topic: str, writers: bool) -> list[str]:
        found: list[Any] = [e for e in context.graph.endpoints(writers) if e.topic == topic]
        return sorted(e.qos[Policy.Userdata].data.decode() for e in found)

    for case in patterns["endpoints"]:
        where = (case["topic"], case["writer"])
        assert context.graph.wait_until(lambda w=where: len(seen(*w)) == 1, 5.0)
        assert re.fullmatch(case["match"], seen(*where)[0]), where
    participant: Any = context.participant.entity.get_qos()[Policy.Userdata]
    assert participant.data.decode() == patterns["participant"]
    node.destroy_node()
    context.try_shutdown()


def test_user_data_and_representation_of_an_endpoint() -> None:
    identity = new_service_id(bytes(range(16)))
    # the first byte padded to two with a blank, as std::setw(2) does
    assert identity.split(".")[:12] == [" 0", *"123456789ab"]
    assert len(identity.split(".")) == 16
    assert identity != new_service_id(bytes(range(16)))
    qos = to_dds(QoSProfile(depth=3), "typehash=RIHS01_00;", writer=True)
    user_data: Any = qos[Policy.Userdata]
    assert user_data.data == b"typehash=RIHS01_00;"
    assert qos[Policy.DataRepresentation] == Policy.DataRepresentation(True, False)  # XCDR1 only
    assert parse_user_data(b"clientid=1.2;typehash=x;junk") == {"clientid": "1.2", "typehash": "x"}


def test_discovery_configuration() -> None:
    local = cyclone_config({})
    assert '<NetworkInterface address="127.0.0.1"/>' in local
    assert "<AllowMulticast>false</AllowMulticast>" in local
    subnet = cyclone_config(
        {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "ROS_STATIC_PEERS": "10.0.0.2"}
    )
    assert "127.0.0.1" not in subnet
    assert '<Peer Address="10.0.0.2"/>' in subnet
    appended = cyclone_config({"CYCLONEDDS_URI": "<CycloneDDS/>"})
    assert appended == f"{local},<CycloneDDS/>"
    assert domain_id({"ROS_DOMAIN_ID": "42"}) == 42
    with pytest.raises(ValueError, match="0 to 232, got '300'"):
        domain_id({"ROS_DOMAIN_ID": "300"})
    with pytest.raises(ValueError, match="expected one of"):
        cyclone_config({"ROS_AUTOMATIC_DISCOVERY_RANGE": "EVERYWHERE"})
