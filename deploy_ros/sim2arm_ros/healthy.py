"""Whether a lifecycle node answers: what the health checks of containers ask.

    python -m sim2arm_ros.healthy gate_node

Exit code 0 and its state if it answers within 5 s, 1 if not, 2 for no name.
"""

from __future__ import annotations

import sys
import time

from .dds import RosImportError, install
from .graph import is_name

_PATIENCE_S = 5.0


def main() -> int:
    """Ask the node that the first argument names."""
    words = sys.argv[1:]
    if len(words) != 1 or not is_name(words[0]):
        print(f"sim2arm_ros.healthy: expected the name of a node, got {words}", file=sys.stderr)
        return 2
    try:
        install()
    except RosImportError as error:
        print(f"sim2arm_ros.healthy: {error}", file=sys.stderr)
        return 2
    return ask(words[0].strip("/"))


def ask(name: str) -> int:
    """Print the state of a node; return the exit code."""
    import rclpy
    from lifecycle_msgs.srv import GetState
    from rclpy.context import Context
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node

    from .launcher import enclave_of

    context = Context()
    rclpy.init(args=["--ros-args", "--enclave", enclave_of("operator")], context=context)
    node = Node("healthy", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        client = node.create_client(GetState, f"/{name}/get_state")
        end, future = time.monotonic() + _PATIENCE_S, None
        while time.monotonic() < end:
            if future is None and client.service_is_ready():
                future = client.call_async(GetState.Request())
            if future is not None and future.done():
                print(f"{name}: {future.result().current_state.label}")
                return 0
            executor.spin_once(0.05)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)
    print(f"sim2arm_ros.healthy: {name} does not answer within {_PATIENCE_S:g} s", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
