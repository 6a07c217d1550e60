"""graph.yaml: the one of the package fits, everything else is one clear line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.cli.table import Row
from sim2arm.core.contract import TrainedRange
from sim2arm.core.driver_stage import DriverStage
from sim2arm.core.plain import from_plain, to_plain
from sim2arm.core.robots import FR3
from sim2arm.core.spec import ArraySpec
from sim2arm.sim.specs import gripper_spec
from sim2arm_ros.graph import JOINT_STATE, POSE_STAMPED, Graph, InputBinding, is_name
from sim2arm_ros.graph_file import DEFAULT_GRAPH, read_graph
from sim2arm_ros.pictures import COMPRESSED_IMAGE, IMAGE
from sim2arm_ros.requests import Request, make_tag, parse_request_tag, parse_tag, request_tag
from tests.mutations import mutated
from tests.tables import Table

from .swinging import swinging_contract

CONTRACT = swinging_contract()
CHANGES = 80_000
STOPS = b"""
forces:
  - {name: wrist, topic: wrench, type: geometry_msgs/msg/WrenchStamped, most: 40, most_torque: 5}
heartbeat: {topic: dead_man, timeout_s: 0.1}
"""


def test_the_graph_of_the_package_binds_all_inputs() -> None:
    graph = read_graph()
    bindings = graph.bindings(CONTRACT)
    assert set(bindings) == {"joint_position", "joint_velocity", "goal_pose"}  # ee_pose is derived
    assert graph.controller.command_topic == "joint_trajectory_controller/joint_trajectory"


def test_a_gripper_that_acts_is_measured_whether_it_is_seen_or_not() -> None:
    acting = replace(CONTRACT, gripper=gripper_spec(FR3, acts=True))
    assert set(read_graph().bindings(acting)) == {*read_graph().bindings(CONTRACT), "gripper_width"}
    graph = read_graph()
    blind = {name: b for name, b in graph.inputs.items() if name != "gripper_width"}
    with pytest.raises(ValueError, match="input 'gripper_width' has no binding"):
        replace(graph, inputs=blind).bindings(acting)
    other = InputBinding(topic="/x", type=JOINT_STATE, field="gripper_width")
    wrong = replace(graph, inputs=graph.inputs | {"joint_position": other})
    with pytest.raises(ValueError, match=r"a width is \(1,\) in m, not \(7,\) in 'rad'"):
        wrong.bindings(CONTRACT)


def _changed(**changes: Any) -> Any:
    graph = read_graph()
    values: dict[str, Any] = {"topic": "/x", "type": JOINT_STATE, "field": "position"} | changes
    inputs = graph.inputs | {"joint_position": InputBinding(**values)}
    return replace(graph, inputs=inputs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": POSE_STAMPED}, "has no field 'position'"),
        ({"field": "pose"}, "has no field 'pose'"),
        ({"type": POSE_STAMPED, "field": "pose"}, "a pose is x y z"),
        ({"field": "velocity"}, "velocity is in rad/s, not 'rad'"),
        ({"field": "effort"}, "effort is in N m, not 'rad'"),
        ({"depth": 0}, "depth: expected 1 or more"),
        ({"topic": "/joint states"}, "topic: expected a ROS name such as .* got '/joint states'"),
    ],
)
def test_a_binding_that_cannot_feed_its_input(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _changed(**changes).bindings(CONTRACT)


def test_joints_need_names() -> None:
    inputs = tuple(
        replace(spec, element_names=()) if spec.name == "joint_velocity" else spec
        for spec in CONTRACT.inputs
    )
    with pytest.raises(ValueError, match="joints are found by name"):
        read_graph().bindings(replace(CONTRACT, inputs=inputs))


# -- pictures ----------------------------------------------------------------------------------

STAGE = DriverStage(width=64, height=48, crop=(8, 0, 48, 48), out_width=32, out_height=32)
EYE = ArraySpec(
    name="eye_rgb", kind="sensor", shape=(32, 32, 3), dtype="uint8", unit="1",
    frame="eye_optical", driver_stage=STAGE.text,
)  # fmt: skip
DEPTH = replace(
    EYE, name="eye_depth", shape=(32, 32), dtype="float32", unit="m",
    driver_stage=replace(STAGE, resample="nearest").text,
)  # fmt: skip
TOUCH = replace(
    EYE, name="touch_field", shape=(2, 14, 10, 3), dtype="float32", unit="N", driver_stage=None
)


def picture(spec: ArraySpec, *ranges: TrainedRange, **binding: Any) -> Any:
    """Return what a graph with one picture binds."""
    values: dict[str, Any] = {"topic": "/eye", "type": IMAGE, "field": "image"} | binding
    contract = replace(CONTRACT, inputs=(*CONTRACT.inputs, spec), ranges=ranges)
    graph = read_graph()
    inputs = graph.inputs | {spec.name: InputBinding(**values)}
    return replace(graph, inputs=inputs).bindings(contract)[spec.name]


@pytest.mark.parametrize(
    ("spec", "binding"),
    [
        (EYE, {"encoding": "rgb8"}),
        (EYE, {"encoding": "bgr8", "staged": True, "camera_info": "/eye/camera_info"}),
        (EYE, {"encoding": "rgb8", "type": COMPRESSED_IMAGE}),
        (DEPTH, {"encoding": "16UC1"}),
        (DEPTH, {"encoding": "16UC1", "type": COMPRESSED_IMAGE}),
        (DEPTH, {"encoding": "32FC1"}),
        (TOUCH, {"encoding": "32FC3"}),
        (TOUCH, {"encoding": "32FC3", "staged": True}),  # nothing to run either way
        (replace(TOUCH, name="gel", shape=(80, 60), unit="1", dtype="uint8"),
         {"encoding": "mono8"}),
    ],
)  # fmt: skip
def test_pictures_are_bound(spec: ArraySpec, binding: dict[str, Any]) -> None:
    assert picture(spec, **binding).encoding == binding["encoding"]


@pytest.mark.parametrize(
    ("spec", "binding", "message"),
    [
        (EYE, {}, "encoding: expected rgb8 or bgr8, got ''"),
        (EYE, {"encoding": "32FC1"}, "encoding: expected rgb8 or bgr8, got '32FC1'"),
        (EYE, {"encoding": "bgr8", "type": COMPRESSED_IMAGE},
         "JPEG and PNG do not store bgr8: expected rgb8"),
        (TOUCH, {"encoding": "32FC3", "type": COMPRESSED_IMAGE}, "bind the raw image"),
        (replace(TOUCH, shape=(3,)), {"encoding": "32FC3"},
         r"no image holds float32 of shape \[3\]"),
        (DEPTH, {"encoding": "mono8"}, "encoding: expected 32FC1 or 16UC1"),
        (replace(EYE, driver_stage="crop"), {"encoding": "rgb8"}, "driver stage 'crop': expected"),
        (replace(EYE, shape=(16, 16, 3)), {"encoding": "rgb8"}, r"does not make \[16, 16, 3\]"),
        (replace(EYE, driver_stage=replace(STAGE, undistort=True).text), {"encoding": "rgb8"},
         "camera_info: its driver stage undistorts"),
        (EYE, {"encoding": "rgb8", "camera_info": "/a b"}, "camera_info: expected a ROS name"),
        (EYE, {"field": "pose"}, "Image has no field 'pose'"),
        (EYE, {"type": JOINT_STATE}, "JointState has no field 'image'"),
        (EYE, {"type": JOINT_STATE, "field": "position", "staged": True}, "staged: .* has none"),
    ],
)  # fmt: skip
def test_pictures_that_no_binding_gives(
    spec: ArraySpec, binding: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"graph: input '{spec.name}': .*{message}"):
        picture(spec, **binding)


def test_trained_intrinsics_need_those_of_the_camera() -> None:
    focal = TrainedRange(name="calibration/camera_eye/fx", unit="pixel", low=20.0, high=30.0)
    other = replace(focal, name="calibration/camera_nose/fx")
    assert picture(EYE, other, encoding="rgb8").camera_info is None
    with pytest.raises(ValueError, match=r"'eye_rgb': camera_info: .*'calibration/camera_eye/fx'"):
        picture(EYE, focal, encoding="rgb8")
    bound = picture(EYE, focal, encoding="rgb8", camera_info="/eye/camera_info")
    assert bound.camera_info == "/eye/camera_info"


def test_pictures_of_the_package_s_graph_are_the_newest_only() -> None:
    graph = read_graph()
    pictures = {name: b for name, b in graph.inputs.items() if b.is_picture}
    assert {"scene_rgb", "scene_depth", "wrist_rgb", "wrist_depth", "touch_field"} < set(pictures)
    for name, binding in pictures.items():
        assert (binding.reliability, binding.depth) == ("best_effort", 1)
        assert binding.topic == f"sim_arm/{name}/image_raw"
        assert binding.camera_info in (None, f"sim_arm/{name}/camera_info")


def test_an_input_without_a_binding() -> None:
    graph = read_graph()
    inputs = {name: binding for name, binding in graph.inputs.items() if name != "goal_pose"}
    with pytest.raises(ValueError, match=r"'goal_pose' has no binding.*add it under inputs"):
        replace(graph, inputs=inputs).bindings(CONTRACT)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "graph.yaml"),
        ("inputs: [", "graph.yaml"),
        ("inputs: {}\nspeling: 1", "speling"),
        ("version: 2\ninputs: {}", "version: expected 1, got 2"),
        ("inputs: {a: {topic: /a, type: std_msgs/msg/String, field: position}}", "inputs.a.type"),
        ("inputs: {a: {topic: /a, type: sensor_msgs/msg/JointState}}", "field"),
        ("inputs: {a: {topic: 3, type: sensor_msgs/msg/JointState, field: effort}}", "topic"),
        ("controller: {name: /arm controller}\ninputs: {}", "controller.name: expected a ROS name"),
        ("!!python/object/apply:os.system [ls]", "graph.yaml"),
    ],
)
def test_files_that_are_not_graphs(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "graph.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read_graph(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "good"),
    [("/a", True), ("a_1/b", True), ("/a/b2", True), ("", False), ("/", False), ("/2a", False),
     ("a//b", False), ("/a/", False), ("/a b", False), ("/a__b", False), ("/ä", False)],
)  # fmt: skip
def test_names_that_ros_takes(name: str, good: bool) -> None:
    assert is_name(name) == good


def test_a_missing_or_binary_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        read_graph(tmp_path / "none.yaml")
    path = tmp_path / "graph.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="cannot be read: it is not UTF-8"):
        read_graph(path)


def changed_graphs(folder: Path, count: int, seed: int) -> tuple[int, int]:
    """Change graph.yaml; return how many were refused, and how many otherwise than in one line.

    Names of topics and frames may be any; a graph that is read is one that can be written.
    """
    good, random = DEFAULT_GRAPH.read_bytes() + STOPS, np.random.default_rng(seed)
    path, refused, wrong = folder / "graph.yaml", 0, 0
    for _ in range(count):
        path.write_bytes(mutated(good, random))
        try:
            graph = read_graph(path)
            wrong += from_plain(Graph, to_plain(graph)) != graph
        except ValueError as error:
            refused += 1
            wrong += "\n" in str(error) or len(str(error)) > 2000 or str(path) not in str(error)
    return refused, wrong


def test_changed_graphs_are_graphs_or_one_line(tmp_path: Path) -> None:
    refused, wrong = changed_graphs(tmp_path, 60, seed=0)
    assert wrong == 0 and refused > 20


@pytest.mark.faults
def test_thousands_of_changed_graphs_are_graphs_or_one_line(tmp_path: Path, table: Table) -> None:
    refused, wrong = changed_graphs(tmp_path, CHANGES, seed=1)
    case = "graph.yaml changed"
    table.none_of(case, "neither a graph nor one line", wrong, CHANGES, seed=1)
    table.add(Row(case=case, metric="refused", value=refused))
    assert wrong == 0 and refused > 0.2 * CHANGES


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), 11.0])
def test_a_skew_that_is_none_is_refused(wrong: float) -> None:
    assert replace(read_graph(), max_skew_s=0.05).max_skew_s == 0.05
    with pytest.raises(ValueError, match="max_skew_s: expected above 0 to 10"):
        replace(read_graph(), max_skew_s=wrong)


@pytest.mark.parametrize("tick", [0, 1, 999_999_999_999])
def test_tags_come_back(tick: int) -> None:
    assert parse_tag(make_tag("a1b2", tick)) == ("a1b2", tick)


@pytest.mark.parametrize(
    "tag",
    [
        "", "/", "a", "a/", "/1", "a/-1", "a/1.0", "a/ 1", "a/1e3", "a/²", "a/٣", "a/nan",
        "a/1000000000000", f"{'a' * 65}/1", "a/" + "9" * 5000, "a\n/1", "a b/1", "a/b/1",
    ],
)  # fmt: skip
def test_other_tags_are_errors(tag: str) -> None:
    with pytest.raises(ValueError, match="tag: expected <session>/<tick>") as error:
        parse_tag(tag)
    assert len(str(error.value)) < 200 and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "tag"),
    [
        ({}, "a1/7"),
        ({"after": 6}, "a1/7"),
        ({"after": 6, "told": True}, "a1/7/6!"),
        ({"after": 4}, "a1/7/4"),
        ({"after": 0, "told": True}, "a1/7/0!"),
    ],
)
def test_a_request_says_from_where_it_goes_on(fields: dict[str, Any], tag: str) -> None:
    request = Request(session="a1", tick=7, stamp_ns=0, q=np.zeros(1), dq=np.zeros(1), **fields)
    assert request_tag(request) == tag
    session, tick, after, told = parse_request_tag(tag)
    back = replace(request, session=session, tick=tick, after=after, told=told)
    assert back.goes_on_from == request.goes_on_from and back.told == request.told


@pytest.mark.parametrize("tag", ["", "a", "a/b", "a/7/", "a/7/!", "a/7/x", "a/7/6!!", "a/7/6/5"])
def test_what_names_no_request(tag: str) -> None:
    with pytest.raises(ValueError, match=r"^tag: expected <session>/<tick>, got "):
        parse_request_tag(tag)


@pytest.mark.parametrize("tag", ["a/7/7", "a/7/8!"])
def test_a_request_does_not_go_on_from_later(tag: str) -> None:
    with pytest.raises(ValueError, match=rf"^tag: expected a tick after {tag[4]}, got '{tag}'"):
        parse_request_tag(tag)
