"""Publish a sensor of this computer: a camera, a RealSense camera, a gel, or a recording.

    ros2 launch sim2arm_ros sensor.launch.py sensor:=/path/to/scene.yaml name:=scene

Topics lie below the name: /scene/scene_rgb/image_raw, .../image_raw/compressed, .../camera_info.
Include it once per sensor in a launch file of your own. The file is a `sensor_file.SensorFile`. As
those of policy.launch.py, the node is found on this machine alone, unless
ROS_AUTOMATIC_DISCOVERY_RANGE says otherwise, and has an enclave of a secured domain.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
LOOPBACK = PythonExpression(["'", EnvironmentVariable(RANGE, default_value=""), "' or 'LOCALHOST'"])
ARGUMENTS = {
    "sensor": (None, "YAML file that says which sensor, an absolute path"),
    "name": ("sensor", "name of the node"),
    "use_sim_time": ("false", "stamp by /clock, as beside a simulated arm"),
    "jpeg_quality": ("95", "of compressed colours, 1 to 100"),
    "png_level": ("1", "of compressed depth, 0 to 9: smaller and slower, never another depth"),
}
TYPES = {"sensor": str, "use_sim_time": bool, "jpeg_quality": int, "png_level": int}


def generate_launch_description() -> LaunchDescription:
    """Return the node."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=what)
        for name, (default, what) in ARGUMENTS.items()
    ]
    values = {
        name: ParameterValue(LaunchConfiguration(name), value_type=kind)
        for name, kind in TYPES.items()
    }
    node = Node(
        package="sim2arm_ros",
        executable="sensor_node",
        name=LaunchConfiguration("name"),
        parameters=[values],
        ros_arguments=["--enclave", "/sim2arm/sensor_node"],
        additional_env={RANGE: LOOPBACK},  # of this node alone, whatever launches it beside others
        output="screen",
    )
    return LaunchDescription([*arguments, node])
