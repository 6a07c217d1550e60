"""Run a policy bundle behind the safety gate, on a robot or on a simulated arm.

    ros2 launch sim2arm_ros policy.launch.py robot:=fr3 bundle:=/path/to/bundle
    ros2 launch sim2arm_ros policy.launch.py robot:=fr3 bundle:=... sim:=true task:=peg-insertion
    ros2 launch sim2arm_ros policy.launch.py robot:=so101 bundle:=... port:=/dev/ttyACM0

`robot` is a name of config/robots (fr3, ur5e, so101) or the path of such a file; without it the
names of graph.yaml hold. `sim:=true` puts a simulated arm with the same names in place of the
hardware and changes nothing else. Two arms: one launch each, with `namespace:=left prefix:=left_`.

The policy is configured first, then the gate; the gate is activated, again every second while its
report is red; then, with `run`, the policy. On a robot `run` is off: look at the report of the
gate (`~/activation`), then `ros2 lifecycle set /policy_node activate`. When a node ends, all end,
but for the recorder (`record:=true log:=/path/to/folder`).

The nodes find each other on this machine alone, unless ROS_AUTOMATIC_DISCOVERY_RANGE or `discovery`
says otherwise. On two machines, with ROS_STATIC_PEERS naming the other one on each: `gate:=false`
where the policy runs, `policy:=false` at the robot, where the arm's own node runs too; then
activate the policy from either. `keystore:=/path` secures the domain: each node may do what its
enclave (docker/scripts/make_keystore) says, and no more.
"""

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
    TimerAction,
)
from launch.conditions import IfCondition, LaunchConfigurationNotEquals, UnlessCondition
from launch.events import matches_action
from launch.substitutions import (
    EnvironmentVariable,
    LaunchConfiguration,
    NotSubstitution,
    PythonExpression,
)
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from lifecycle_msgs.msg import Transition

PACKAGE = "sim2arm_ros"
ENCLAVES = "sim2arm"
AGAIN_S = 1.0
RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
LOOPBACK = PythonExpression(["'", EnvironmentVariable(RANGE, default_value=""), "' or 'LOCALHOST'"])
"""The range of this environment; a robot is not to be reached from the whole network unasked."""

ARGUMENTS = {
    "bundle": (None, "policy bundle, an absolute path"),
    "graph": ("", "graph.yaml of the set-up; the one of the package without it"),
    "calibrations": ("", "records of the robot's cameras, absolute paths, commas between"),
    "device": ("", "of a person who may take over from the policy, NAME or NAME:WHERE"),
    "settings": ("", "how the arm follows it: a YAML file, an absolute path"),
    "robot": ("", "what the robot calls its topics: a name of config/robots or the path of a file"),
    "prefix": ("", "of the robot's joints and frames, left_ for example"),
    "namespace": ("", "of the nodes of this arm"),
    "port": ("", "so101: serial port of its servos"),
    "servos": ("", "so101: YAML file with ids, signs and zeros of its servos"),
    "arm": ("fr3", "simulated arm without robot:=: robot of the bundle's contract"),
    "control_hz": ("60.0", "simulated arm: control rate of the bundle's contract [Hz]"),
    "sim": ("false", "start a simulated arm in place of the robot"),
    "task": ("peg-insertion", "simulated arm: what it does"),
    "vision": ("", "simulated arm: a YAML file with its cameras (sim.vision.Vision)"),
    "touch": ("", "simulated arm: a YAML file with its gels (sim.touch.Touch)"),
    "lock_step": ("false", "simulated arm: wait for every command"),
    "run": (LaunchConfiguration("sim"), "activate the policy as soon as the gate is active"),
    "record": ("false", "write a raw log of all messages"),
    "log": ("", "folder of the raw log, an absolute path; it must be empty or not there yet"),
    "policy": ("true", "start the policy here; false: it runs on another machine"),
    "gate": ("true", "start the gate here; false: it runs on another machine"),
    "trusted_keys": ("", "file of public keys: the bundle must be signed with one of them"),
    "discovery": (
        LOOPBACK,
        f"how far nodes look for others, {RANGE}: LOCALHOST (this machine, and those that "
        "ROS_STATIC_PEERS names), SUBNET",
    ),
    "keystore": ("", "SROS 2 keystore, an absolute path; the domain is open without it"),
    "allow_fallback": ("false", "robot: allow the DDS fallback in place of a ROS 2 installation"),
}


def text(name: str) -> ParameterValue:
    """Return an argument as a text; `graph:=1` stays a text."""
    return ParameterValue(LaunchConfiguration(name), value_type=str)


def flag(name: str) -> ParameterValue:
    """Return an argument as true or false."""
    return ParameterValue(LaunchConfiguration(name), value_type=bool)


CLOCK = [("/clock", "clock")]
"""Simulated time is one arm's own: in its namespace."""


def place() -> dict[str, ParameterValue]:
    """Return the parameters that say which arm it is."""
    return {name: text(name) for name in ("graph", "robot", "prefix")}


def enclave(name: str) -> list[str]:
    """Return the arguments that say which enclave a process has; `security.py` describes it."""
    return ["--enclave", f"/{ENCLAVES}/{name}"]


def secured() -> list[SetEnvironmentVariable]:
    """Return the environment of a secured domain, if there is a keystore: no key, no node."""
    given = LaunchConfigurationNotEquals("keystore", "")
    values = {
        "ROS_SECURITY_ENABLE": "true",
        "ROS_SECURITY_STRATEGY": "Enforce",
        "ROS_SECURITY_KEYSTORE": LaunchConfiguration("keystore"),
    }
    return [SetEnvironmentVariable(name, text, condition=given) for name, text in values.items()]


def reach() -> SetEnvironmentVariable:
    """Return how far the nodes look for others; ROS itself would take the whole subnet."""
    return SetEnvironmentVariable(RANGE, LaunchConfiguration("discovery"))


def at_the_arm(*which: object) -> IfCondition:
    """Return the condition of a node that is the arm: not where the policy runs alone.

    Args:
        which: parts of an expression of Python that must hold, too.
    """
    gate = ["'", LaunchConfiguration("gate"), "'.lower() in ('true', '1')"]
    return IfCondition(PythonExpression([*gate, " and ", *which]))


def lifecycle_node(name: str, **more: ParameterValue) -> LifecycleNode:
    """Return policy_node or gate_node; both read the same bundle and graph."""
    common = {
        "bundle": text("bundle"),
        **place(),
        "trusted_keys": text("trusted_keys"),
        "lock_step": flag("lock_step"),
        "use_sim_time": flag("sim"),
    }
    return LifecycleNode(
        package=PACKAGE,
        executable=name,
        name=name,
        namespace=LaunchConfiguration("namespace"),
        remappings=CLOCK,
        parameters=[{**common, **more}],
        ros_arguments=enclave(name),
        condition=IfCondition(LaunchConfiguration(name.removesuffix("_node"))),
        output="screen",
        on_exit=[Shutdown(reason=f"{name} ended")],
    )


def simulated_arm() -> Node:
    """Return the simulated arm: three nodes in one process, so it has no name here."""
    return Node(
        package=PACKAGE,
        executable="sim_arm_node",
        namespace=LaunchConfiguration("namespace"),
        remappings=CLOCK,
        ros_arguments=enclave("arm"),
        parameters=[
            {
                "task": text("task"),
                "robot": text("arm"),
                "as_robot": text("robot"),
                "graph": text("graph"),
                "prefix": text("prefix"),
                "vision": text("vision"),
                "touch": text("touch"),
                "control_hz": ParameterValue(LaunchConfiguration("control_hz"), value_type=float),
                "lock_step": flag("lock_step"),
            }
        ],
        output="screen",
        condition=at_the_arm("'", LaunchConfiguration("sim"), "'.lower() in ('true', '1')"),
        on_exit=[Shutdown(reason="sim_arm_node ended")],
    )


def so101() -> Node:
    """Return the driver of an SO-101: four nodes in one process; other robots have their own."""
    return Node(
        package=PACKAGE,
        executable="so101_node",
        namespace=LaunchConfiguration("namespace"),
        parameters=[{**place(), "port": text("port"), "servos": text("servos")}],
        ros_arguments=enclave("arm"),
        output="screen",
        condition=at_the_arm(
            "'", LaunchConfiguration("robot"), "' == 'so101' and '",
            LaunchConfiguration("sim"), "'.lower() not in ('true', '1')",
        ),
        on_exit=[Shutdown(reason="so101_node ended")],
    )  # fmt: skip


def recorder() -> Node:
    """Return the recorder; the others go on when it ends."""
    return Node(
        package=PACKAGE,
        executable="recorder_node",
        name="recorder_node",
        namespace=LaunchConfiguration("namespace"),
        remappings=CLOCK,
        ros_arguments=enclave("recorder_node"),
        parameters=[
            {
                "folder": text("log"),
                "bundle": text("bundle"),
                **place(),
                "use_sim_time": flag("sim"),
            }
        ],
        output="screen",
        condition=IfCondition(LaunchConfiguration("record")),
    )


def change(
    node: LifecycleNode, transition: int, **more: IfCondition | UnlessCondition
) -> EmitEvent:
    """Return the action that asks a node for a transition."""
    event = ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
    return EmitEvent(event=event, **more)


def after(node: LifecycleNode, start: str, goal: str, *actions: object) -> RegisterEventHandler:
    """Return the handler that does something when a node has changed from one state to another."""
    handler = OnStateTransition(
        target_lifecycle_node=node, start_state=start, goal_state=goal, entities=list(actions)
    )
    return RegisterEventHandler(handler)


def generate_launch_description() -> LaunchDescription:
    """Return the nodes and the order in which they come up."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=what)
        for name, (default, what) in ARGUMENTS.items()
    ]
    person = {name: text(name) for name in ("device", "settings")}
    policy = lifecycle_node("policy_node", calibrations=text("calibrations"), **person)
    gate = lifecycle_node(
        "gate_node",
        real_hardware=ParameterValue(NotSubstitution(LaunchConfiguration("sim")), value_type=bool),
        allow_fallback_on_hardware=flag("allow_fallback"),
    )
    activate, configure = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_CONFIGURE
    run = IfCondition(LaunchConfiguration("run"))
    steps = [after(policy, "configuring", "inactive", change(gate, configure))]
    steps.append(after(gate, "configuring", "inactive", change(gate, activate)))
    steps.append(after(gate, "activating", "active", change(policy, activate, condition=run)))
    for node in (gate, policy):  # a red report: from activating back to inactive
        again = TimerAction(period=AGAIN_S, actions=[change(node, activate)])
        steps.append(after(node, "activating", "inactive", again))
    here = LaunchConfiguration("policy")
    first = [
        change(policy, configure, condition=IfCondition(here)),
        change(gate, configure, condition=UnlessCondition(here)),
    ]
    # Handlers before what they listen to, the environment before the nodes.
    return LaunchDescription(
        [
            *arguments,
            reach(),
            *secured(),
            *steps,
            simulated_arm(),
            so101(),
            recorder(),
            gate,
            policy,
            *first,
        ]
    )
