"""Discovery configuration, built from the environment as rmw_cyclonedds does.

Unset variables mean this machine only: a laptop running a test must not reach a robot.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from xml.sax.saxutils import quoteattr

RANGES = ("LOCALHOST", "SUBNET", "OFF", "SYSTEM_DEFAULT")
MAX_DOMAIN = 232  # highest domain whose RTPS ports fit into 16 bits


def domain_id(env: Mapping[str, str] = os.environ) -> int:
    """Return ROS_DOMAIN_ID, 0 where it is unset.

    Raises:
        ValueError: it is not a number from 0 to 232.
    """
    text = env.get("ROS_DOMAIN_ID", "").strip() or "0"
    if not text.isdigit() or int(text) > MAX_DOMAIN:
        raise ValueError(f"ROS_DOMAIN_ID: expected a number from 0 to {MAX_DOMAIN}, got {text!r}")
    return int(text)


def cyclone_config(env: Mapping[str, str] = os.environ) -> str:
    """Return the Cyclone DDS configuration for this environment.

    Args:
        env: Reads ROS_AUTOMATIC_DISCOVERY_RANGE, ROS_STATIC_PEERS (separated by ';'),
            ROS_LOCALHOST_ONLY (1 means LOCALHOST, as in Jazzy) and CYCLONEDDS_URI (appended).
    """
    reach = env.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").strip().upper() or "LOCALHOST"
    if env.get("ROS_LOCALHOST_ONLY") == "1":
        reach = "LOCALHOST"
    if reach not in RANGES:
        raise ValueError(f"ROS_AUTOMATIC_DISCOVERY_RANGE: expected one of {RANGES}, got {reach!r}")
    peers = [p.strip() for p in env.get("ROS_STATIC_PEERS", "").split(";") if p.strip()]
    parts = [_range_config(reach, peers), env.get("CYCLONEDDS_URI", "").strip()]
    return ",".join(part for part in parts if part)


def _range_config(reach: str, peers: list[str]) -> str:
    if reach == "SYSTEM_DEFAULT":
        return ""
    if reach == "OFF":
        general = "<General><AllowMulticast>false</AllowMulticast></General>"
        discovery = (
            f"<ParticipantIndex>none</ParticipantIndex><Tag>ros_discovery_off_{os.getpid()}</Tag>"
        )
    else:
        general = ""
        discovery = (
            "<ParticipantIndex>auto</ParticipantIndex>"
            "<MaxAutoParticipantIndex>60</MaxAutoParticipantIndex>"
        )
        if reach == "LOCALHOST":
            # The loopback interface alone, unless peers must be reached through another one.
            interface = '<Interfaces><NetworkInterface address="127.0.0.1"/></Interfaces>'
            general = f"{'' if peers else interface}<AllowMulticast>false</AllowMulticast>"
            general = f"<General>{general}</General>"
            peers = ["127.0.0.1" if not peers else "localhost", *peers]
        if peers:
            listed = "".join(f"<Peer Address={quoteattr(p)}/>" for p in peers)
            discovery += f"<Peers>{listed}</Peers>"
    discovery = f"<Discovery>{discovery}</Discovery>"
    return f"<CycloneDDS><Domain>{general}{discovery}</Domain></CycloneDDS>"
