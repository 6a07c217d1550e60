"""Build of the ROS 2 package `sim2arm_ros` by colcon."""

from glob import glob

from setuptools import find_namespace_packages, setup

PACKAGE = "sim2arm_ros"
NODES = (
    "policy_node", "teleop_node", "gate_node", "sim_arm_node", "so101_node", "sensor_node",
    "recorder_node", "bag_node", "operator_node",
)  # fmt: skip

setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_namespace_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={"": ["*.yaml", "*.msg", "*.srv", "*.action"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/launch", sorted(glob("launch/*.launch.py"))),
        (f"share/{PACKAGE}/config", sorted(glob(f"{PACKAGE}/config/*.yaml"))),
        (f"share/{PACKAGE}/config/robots", sorted(glob(f"{PACKAGE}/config/robots/*.yaml"))),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    maintainer="The sim2arm authors",
    maintainer_email="maintainers@sim2arm.dev",
    description="ROS 2 nodes that run a sim2arm policy bundle on an arm, behind a safety gate.",
    license="Apache-2.0",
    entry_points={
        # Not the nodes' own `main`: the executables provide rclpy before a node imports it.
        "console_scripts": [f"{node} = {PACKAGE}.executables:{node}" for node in NODES],
    },
)
