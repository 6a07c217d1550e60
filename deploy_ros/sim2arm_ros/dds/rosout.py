# pyright: standard
"""The topic /rosout: what the loggers of nodes say, for whoever listens."""

from __future__ import annotations

from typing import Any

from .codec import encoder
from .endpoints import Endpoints
from .messages import message_class
from .names import dds_topic
from .qos import DurabilityPolicy, QoSProfile
from .ros_logging import LogRecord, add_rosout, remove_rosout
from .ros_time import NS, Duration

ROSOUT_TOPIC = "/rosout"
_TYPE = "rcl_interfaces/msg/Log"
# rcl's profile: who comes late gets what was said in the last 10 s
ROSOUT_QOS = QoSProfile(
    depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL, lifespan=Duration(seconds=10)
)


class Rosout:
    """Publishes what the logger of one node and its children say."""

    def __init__(self, endpoints: Endpoints, logger_name: str) -> None:
        self._endpoints = endpoints
        self.dropped = 0
        """Messages that were not sent: no listener kept up, or the context was ending."""
        self._encode = encoder(_TYPE)
        self._log: Any = message_class(_TYPE)
        self._stamp: Any = message_class("builtin_interfaces/msg/Time")
        self._writer = endpoints.writer(dds_topic(ROSOUT_TOPIC), _TYPE, ROSOUT_QOS)
        add_rosout(logger_name, self.publish)
        endpoints.context.on_shutdown(self._forget)  # a later node may have this name again

    def _forget(self) -> None:
        remove_rosout(self.publish)

    def publish(self, record: LogRecord) -> None:
        """Send a message; logging goes on where that is not possible."""
        if self._endpoints.closed or not self._endpoints.context.ok():
            return
        sec, nanosec = divmod(record.stamp_ns, NS)
        message = self._log(
            stamp=self._stamp(sec=sec, nanosec=nanosec),
            level=int(record.severity),
            name=record.name,
            msg=record.message,
            file=record.file,
            function=record.function,
            line=record.line,
        )
        try:
            self._writer.write(self._encode(message))
        except RuntimeError:  # a log line must not end the program
            self.dropped += 1

    def destroy(self) -> None:
        """End the publisher; the loggers go on without it."""
        self._forget()
        self._endpoints.close()
