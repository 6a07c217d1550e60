# pyright: standard
"""The wire format byte by byte: CDR, names, type hashes, user data, discovery."""

import contextlib
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclonedds.qos import Policy

from sim2arm_ros.dds.codec import CodecError, decoder, encoder
from sim2arm_ros.dds.cyclone import parse_user_data
from sim2arm_ros.dds.definitions import packages, type_hash, typestore
from sim2arm_ros.dds.discovery import cyclone_config, domain_id
from sim2arm_ros.dds.endpoints import new_service_id
from sim2arm_ros.dds.messages import message_class, service_class
from sim2arm_ros.dds.names import dds_service, dds_topic, dds_type, ros_service, ros_type
from sim2arm_ros.dds.qos import QoSProfile, to_dds


def make(name: str, /, **fields: Any) -> Any:
    return message_class(name)(**fields)


# Written by hand from the XCDR1 rules: little endian, each number aligned to its size counted
# from the end of the 4-byte header, strings with length (final zero included) and final zero.
GOLDEN = [
    ("std_msgs/msg/String", {"data": "hi"}, "00010000 03000000 686900"),
    ("std_msgs/msg/String", {}, "00010000 01000000 00"),
    ("std_msgs/msg/Float64", {"data": 1.0}, "00010000 000000000000f03f"),
    ("builtin_interfaces/msg/Time", {"sec": -1, "nanosec": 5}, "00010000 ffffffff 05000000"),
    # bool, 3 bytes of padding, length 2, 'a', 0
    (
        "std_srvs/srv/Trigger_Response",
        {"success": True, "message": "a"},
        "00010000 01000000 02000000 6100",
    ),
    # an empty structure carries one byte
    ("std_srvs/srv/Trigger_Request", {}, "00010000 00"),
    ("std_srvs/srv/SetBool_Request", {"data": True}, "00010000 01"),
]


@pytest.mark.parametrize(("name", "fields", "golden"), GOLDEN)
def test_golden_bytes(name: str, fields: dict[str, Any], golden: str) -> None:
    message = make(name, **fields)
    data = bytes.fromhex(golden)
    assert bytes(encoder(name)(message)) == data
    assert decoder(name)(data) == message


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


def test_every_defined_type_has_a_class_a_codec_and_a_hash() -> None:
    for package, kinds in packages().items():
        for short in kinds.get("msg", ()):
            name = f"{package}/msg/{short}"
            message = message_class(name)()
            assert decoder(name)(bytes(encoder(name)(message))) == message, name
            assert type_hash(name).startswith("RIHS01_")
        for short in kinds.get("srv", ()):
            assert service_class(f"{package}/srv/{short}").Request() is not None


def test_names() -> None:
    assert dds_topic("/arm/joint_states") == "rt/arm/joint_states"
    assert dds_service("/arm/go") == ("rq/arm/goRequest", "rr/arm/goReply")
    assert dds_type("sensor_msgs/msg/JointState") == "sensor_msgs::msg::dds_::JointState_"
    assert dds_type("std_srvs/srv/Trigger_Request") == "std_srvs::srv::dds_::Trigger_Request_"
    assert ros_type("std_srvs::srv::dds_::Trigger_Request_") == "std_srvs/srv/Trigger_Request"
    assert ros_service("rr/arm/goReply") == "/arm/go"


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
