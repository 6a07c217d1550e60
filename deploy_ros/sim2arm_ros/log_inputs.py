"""What was seen at a tick of a raw log, by the rules of the contract: the code of the robot.

A reading is in the row of a tick if it had been received when the joint state of that tick was, and
was not measured after it: nothing that came later is seen, so ages are those of the robot. Where a
simulated arm in lock step said which pictures belong to a tick, those are taken. What the rules
cannot find, and what is missing in the log, is said in place of a row.
"""

# Messages have other types on each backend.
# pyright: standard

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from sim2arm.core.contract import Contract
from sim2arm.core.sampling import Sampler
from sim2arm.core.spec import ArraySpec, Reading, StaleReading

from .bag.reader import LogMessage
from .convert import read_input, status_values, to_ns
from .graph import InputBinding, measured
from .log_about import STATUS, About
from .log_era import Era
from .picture_inputs import PictureInputs
from .recorder_topics import stamp_of

JOINTS = "joint_position"
_INFO = "sensor_msgs/msg/CameraInfo"
_THIN = 0.95
"""Share of the expected messages below which it is said."""


class Gap(Exception):  # noqa: N818 - not a fault: the row of a tick cannot be made
    """What was seen at a tick is not in the log, or is not what the contract allows; one line."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was seen at a tick."""

    arrays: Mapping[str, NDArray[Any]]
    """By input, one frame each, joint positions in float64."""
    stamps: Mapping[str, int]
    """Stamps of the readings [ns]."""


class _Topic:
    """Messages of one topic that feeds inputs, up to where a tick sees them."""

    def __init__(self, messages: list[LogMessage], group: dict[str, InputBinding]) -> None:
        self.group = group
        self.problem = ""
        self._messages, self._next = messages, 0

    def head(self) -> LogMessage | None:
        """Return the next message, None after the last."""
        return self._messages[self._next] if self._next < len(self._messages) else None

    def take(self) -> None:
        """Go on to the message after it."""
        self._next += 1

    def span(self) -> tuple[int, float]:
        """Return how many messages there are, and the time between the first and the last [s]."""
        all_ns = [message.log_ns for message in self._messages]
        return len(all_ns), (all_ns[-1] - all_ns[0]) / 1e9 if all_ns else 0.0

    def lost(self) -> int:
        """Return how many messages are missing between the last one taken and the next."""
        if not 0 < self._next < len(self._messages):
            return 0
        before, after = self._messages[self._next - 1], self._messages[self._next]
        return after.sequence - before.sequence - 1


class LogInputs:
    """The inputs of a contract in one era of a log; ticks are asked for as time goes on."""

    def __init__(self, era: Era, contract: Contract, about: About) -> None:
        """Prepare.

        Raises:
            ValueError: an input has no binding, or pictures cannot be decoded here.
        """
        bindings = about.graph.bindings(contract)
        self.specs = {spec.name: _one_frame(spec) for spec in measured(contract)}
        self._era, self._about = era, about
        self._gripper = about.graph.gripper_of(contract)
        self._period_ns = round(1e9 / contract.control_hz)
        self._sampler = Sampler(self.specs.values())
        self._pictures = PictureInputs(bindings, self.specs)
        groups: dict[str, dict[str, InputBinding]] = {}
        for name, binding in bindings.items():
            groups.setdefault(about.name(binding.topic), {})[name] = binding
        self._topics = {name: _Topic(list(era.of(name)), group) for name, group in groups.items()}
        self._joints = about.name(bindings[JOINTS].topic)
        self._received = self._joint_states()
        self._told = self._observations()
        infos = sorted(self._pictures.camera_infos)
        self._infos = {topic: _Topic(list(era.of(about.name(topic))), {}) for topic in infos}

    def _joint_states(self) -> dict[int, int]:
        """Return when each joint state was first received [ns], by its stamp."""
        found: dict[int, int] = {}
        for message in self._era.of(self._joints):
            found.setdefault(stamp_of(message.data), message.log_ns)
        return found

    def _observations(self) -> dict[int, dict[str, int]]:
        """Return stamps of the pictures that belong to a tick in lock step, by its stamp."""
        found: dict[int, dict[str, int]] = {}
        for message in self._era.of(self._about.name(self._about.graph.observation)):
            read = self._era.read(message, STATUS)
            if read is not None:
                told = {name: int(stamp) for name, stamp in status_values(read).items()}
                found[told.pop("stamp_ns", 0)] = told
        return found

    @property
    def rejected(self) -> dict[str, int]:
        """Readings that were refused, by input and reason."""
        return {
            f"{name}: {reason}": count
            for name, buffer in self._sampler.buffers.items()
            for reason, count in buffer.rejected.items()
        }

    def thin(self) -> list[str]:
        """Return a line per sensor of which clearly fewer messages came than its rate says.

        What the middleware loses of pictures nobody counts.
        """
        found: list[str] = []
        for name, topic in self._topics.items():
            rates = [self.specs[each].rate_hz or 0.0 for each in topic.group]
            count, span_s = topic.span()
            expected = span_s * max(rates)
            if count < _THIN * expected:
                found.append(
                    f"{name}: {count} messages, about {expected:.0f} were expected at "
                    f"{max(rates):g} Hz: some were lost before they were recorded"
                )
        return found

    def at(self, stamp_ns: int) -> Seen:
        """Return what was seen at the tick of a stamp, which lies after the one before.

        Raises:
            Gap: it is not in the log, or is not what the contract allows.
        """
        received = self._received.get(stamp_ns)
        if received is None:
            raise Gap("its joint state is not in the log")
        until, told = max(received, stamp_ns), self._told.get(stamp_ns, {})
        for topic, infos in self._infos.items():
            self._take_infos(topic, infos, until)
        for topic in self._topics.values():
            self._take(topic, stamp_ns, until, told)
        try:
            arrays = self._sampler.sample(stamp_ns, until)
        except (StaleReading, ValueError) as error:
            raise Gap(str(error)) from error
        stamps = {name: self._stamp(name, stamp_ns, until) for name in arrays}
        for topic in self._topics.values():
            self._check(topic, stamps, {JOINTS: stamp_ns, **told})
        return Seen(arrays=arrays, stamps=stamps)

    def _take(self, topic: _Topic, stamp_ns: int, until: int, told: Mapping[str, int]) -> None:
        """Take the messages that a tick sees."""
        known = next((told[name] for name in topic.group if name in told), None)
        while (head := topic.head()) is not None:
            measured = self._measured(head, topic)
            if known is None and (head.log_ns > until or measured > stamp_ns):
                return
            if known is not None and measured > known:
                return
            topic.take()
            topic.problem = self._push(head, topic.group)

    def _measured(self, message: LogMessage, topic: _Topic) -> int:
        """Return the stamp of a message, its receipt where stamps are receipts [ns]."""
        if all(self.specs[name].clock == "receipt" for name in topic.group):
            return message.log_ns
        return message.publish_ns if self._era.numbered else stamp_of(message.data)

    def _push(self, message: LogMessage, group: Mapping[str, InputBinding]) -> str:
        """Hand a message to its inputs; return what is wrong with it, or an empty string."""
        kind = next(iter(group.values())).type
        read = self._era.read(message, kind)
        if read is None:
            return "a message cannot be read"
        for name, binding in group.items():
            try:
                if binding.is_picture:
                    value, stamp = self._pictures.take(name, read), to_ns(read.header.stamp)
                else:
                    value, stamp, _ = read_input(read, binding, self.specs[name], self._gripper)
            except ValueError as error:
                return str(error)
            reading = Reading(
                arrays={name: value}, sequence=stamp, stamp_ns=stamp, receipt_ns=message.log_ns
            )
            self._sampler.push(reading, message.log_ns + self._period_ns)  # as policy_node
        return ""

    def _take_infos(self, topic: str, infos: _Topic, until: int) -> None:
        while (head := infos.head()) is not None and head.log_ns <= until:
            infos.take()
            read = self._era.read(head, _INFO)
            if read is not None:
                self._pictures.take_info(topic, read)

    def _stamp(self, name: str, now_ns: int, until: int) -> int:
        """Return the stamp of the reading that the sampler chose."""
        buffer = self._sampler.buffers[name]
        anchor = buffer.spec.anchor
        at = None if anchor is None else self._stamp(anchor, now_ns, until)
        return buffer.stamp_at(buffer.choose(now_ns, until, at)[0])

    def _check(self, topic: _Topic, stamps: Mapping[str, int], expected: Mapping[str, int]) -> None:
        """See that nothing is missing of which a tick may have been made.

        Raises:
            Gap: something is.
        """
        if topic.problem:
            raise Gap(topic.problem)
        for name in topic.group:
            if name in expected and stamps[name] != expected[name]:
                raise Gap(f"input {name!r}: the reading that was seen is not in the log")
        known = any(name in expected for name in topic.group)
        lost = topic.lost() if self._era.numbered and not known else 0
        if lost:
            raise Gap(f"input {next(iter(topic.group))!r}: {lost} messages are not in the log")


def _one_frame(spec: ArraySpec) -> ArraySpec:
    """Return how an input is sampled for a row: the newest frame, joints as they were measured."""
    dtype = "float64" if spec.name == JOINTS else spec.dtype
    return replace(spec, history=None, dtype=dtype)
