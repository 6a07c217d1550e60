"""Baseline 'dds-echo' of `bench ros`: one round trip over bare Cyclone DDS, without our layer.

Usage: _dds_echo.py ping DOMAIN CONFIG OBSERVATION_BYTES COMMAND_BYTES RATE_HZ SECONDS
       _dds_echo.py echo DOMAIN CONFIG OBSERVATION_BYTES COMMAND_BYTES
`ping` sends an observation at absolute deadlines and waits for the command that `echo` answers
with; it prints {"round_trip_s": [...], "missed": n} as JSON, missed being those that took longer
than a period. `echo` runs until its standard input ends.
"""

# pyright: standard

import json
import select
import struct
import sys
import time
from dataclasses import dataclass
from typing import Any

from cyclonedds.core import InstanceState, ReadCondition, SampleState, ViewState, WaitSet
from cyclonedds.domain import Domain, DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.idl.types import sequence, uint8
from cyclonedds.pub import DataWriter
from cyclonedds.qos import Policy, Qos
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration

QOS = Qos(
    Policy.Reliability.Reliable(duration(milliseconds=100)),
    Policy.History.KeepLast(10),
    Policy.Durability.Volatile,
)
MATCH_S = 10.0


@dataclass
class Payload(IdlStruct):  # type: ignore[misc]
    """Bytes of a message; the first eight are a number."""

    data: sequence[uint8]  # type: ignore[valid-type]


class Line:
    """A writer, a reader and what wakes when a sample comes."""

    def __init__(self, domain: int, config: str, sends: str, receives: str) -> None:
        """Join a domain."""
        self.domain = Domain(domain, config)
        participant = DomainParticipant(domain)
        self.writer: Any = DataWriter(participant, Topic(participant, sends, Payload), qos=QOS)
        self.reader: Any = DataReader(participant, Topic(participant, receives, Payload), qos=QOS)
        states = SampleState.Any | ViewState.Any | InstanceState.Any
        self.condition = ReadCondition(self.reader, states)
        self.waiting = WaitSet(participant)
        self.waiting.attach(self.condition)

    def take(self, timeout_s: float) -> list[int]:
        """Return the numbers of the samples that came, waiting for the first."""
        if not self.waiting.wait(max(1, int(timeout_s * 1e9))):
            return []
        return [struct.unpack("<q", bytes(sample.data[:8]))[0] for sample in self.reader.take(20)]

    def send(self, number: int, size: int) -> None:
        """Send a number in `size` bytes."""
        data = struct.pack("<q", number) + bytes(size - 8)
        self.writer.write(Payload(data=data))  # pyright: ignore[reportArgumentType]


def echo(line: Line, size: int) -> None:
    """Answer every observation with a command until standard input ends."""
    while not select.select([sys.stdin], [], [], 0)[0]:
        for number in line.take(0.2):
            line.send(number, size)


def ping(line: Line, size: int, rate_hz: float, seconds: float) -> dict[str, object]:
    """Return the round trips [s] and how many took longer than a period or did not come back."""
    end = time.monotonic() + MATCH_S
    while time.monotonic() < end:  # until both know each other
        line.send(-1, size)
        if -1 in line.take(0.1):
            break
    else:
        raise SystemExit("dds-echo: the other process was not found")
    sent: dict[int, float] = {}
    trips: dict[int, float] = {}
    start = time.monotonic()
    for number in range(round(seconds * rate_hz)):
        while (left := start + number / rate_hz - time.monotonic()) > 0:
            _collect(line, sent, trips, left)
        sent[number] = time.monotonic()
        line.send(number, size)
    _collect(line, sent, trips, 0.5)
    late = sum(trips.get(number, float("inf")) > 1.0 / rate_hz for number in sent)
    return {"round_trip_s": list(trips.values()), "missed": late}


def _collect(line: Line, sent: dict[int, float], trips: dict[int, float], wait_s: float) -> None:
    numbers = line.take(wait_s)
    now = time.monotonic()
    for number in numbers:
        if number in sent:
            trips[number] = now - sent[number]


if __name__ == "__main__":
    role, domain, config, observation, command = sys.argv[1:6]
    if role == "echo":
        echo(Line(int(domain), config, "command", "observation"), int(command))
    else:
        joined = Line(int(domain), config, "observation", "command")
        rate, lasts = float(sys.argv[6]), float(sys.argv[7])
        json.dump(ping(joined, int(observation), rate, lasts), sys.stdout)
