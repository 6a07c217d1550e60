"""What `bench page` lets the page hear: joint states, the gate's state, and cameras if named.

Usage: _page_load.py [CAMERA ...]; ends when it is ended.
"""

# pyright: standard, reportMissingModuleSource=false

from __future__ import annotations

import sys
import time

import numpy as np

from sim2arm_ros.dds import install

install()

import rclpy  # noqa: E402
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from rclpy.node import Node  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402

from sim2arm.core.robots import FR3  # noqa: E402
from sim2arm_ros.convert import joint_state_message, status_message  # noqa: E402
from sim2arm_ros.convert_pictures import image_message  # noqa: E402
from sim2arm_ros.node_support import latched, streaming  # noqa: E402


def main(cameras: list[str]) -> None:
    """Publish on absolute deadlines of a millisecond."""
    rclpy.init()
    node = Node("page_load")
    joints = node.create_publisher(JointState, "/joint_states", streaming(10))
    gate = node.create_publisher(DiagnosticStatus, "/gate_node/state", latched())
    images = [
        node.create_publisher(Image, f"/sim_arm/{name}/image_raw", streaming(1)) for name in cameras
    ]
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    home, start = np.array(FR3.home), time.monotonic()
    for k in range(10**9):
        time.sleep(max(0.0, start + 1e-3 * k - time.monotonic()))
        stamp = node.get_clock().now().nanoseconds
        q = home + 0.3 * np.sin(2e-3 * np.pi * k)
        joints.publish(joint_state_message(FR3.joint_names, q, 0.0 * q, stamp))
        if k % 100 == 0:
            values = {"state": "ACTIVE", "active": True, "not_ready": "", "latency_s": 0.01}
            gate.publish(status_message(DiagnosticStatus.OK, "gate", "", values))
        if k % 33 == 0:
            for name, publisher in zip(cameras, images, strict=True):
                picture = np.roll(noise, k, axis=1)
                publisher.publish(image_message(picture, "rgb8", f"{name}_optical", stamp))


if __name__ == "__main__":
    main(sys.argv[1:])
