"""The pictures among a policy's inputs: checked when they come, decoded when a tick uses them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo

from sim2arm.core.contract import Contract
from sim2arm.core.driver_stage import Intrinsics, parse_stage, stage_intrinsics
from sim2arm.core.sampling import Later
from sim2arm.core.spec import ArraySpec

from . import activation
from .activation import Item
from .convert_pictures import check_decoder, check_picture, intrinsics_from, read_picture
from .graph import INTRINSICS, InputBinding, intrinsic_range
from .pictures import camera_of, spec_size


class PictureInputs:
    """What is known of the pictures and of the cameras that take them.

    Attributes:
        names: of the inputs that are pictures.
        camera_infos: topics with intrinsics.
    """

    def __init__(
        self, bindings: Mapping[str, InputBinding], specs: Mapping[str, ArraySpec]
    ) -> None:
        """Prepare for the bindings that are pictures.

        Raises:
            ValueError: what decodes one of them is not installed.
        """
        self._bindings = {name: b for name, b in bindings.items() if b.is_picture}
        self.names = frozenset(self._bindings)
        self._specs = {name: specs[name] for name in self._bindings}
        self._newest: dict[str, Later] = {}
        self._told: dict[str, int] = {}
        self._intrinsics: dict[str, Intrinsics | None] = {}
        self._why_not: dict[str, str] = {}
        self.camera_infos = {b.camera_info for b in self._bindings.values() if b.camera_info}
        for name, binding in self._bindings.items():
            check_decoder(name, binding)

    def take(self, name: str, message: Any) -> Later:
        """Return the array of an input, which is decoded when it is used.

        Raises:
            ValueError: its frame, encoding or size is another.
        """
        binding, spec = self._bindings[name], self._specs[name]
        check_picture(message, binding, spec)
        later = Later(partial(self._read, message, binding, spec))
        self._newest[name] = later
        return later

    def _read(self, message: Any, binding: InputBinding, spec: ArraySpec) -> NDArray[Any]:
        return read_picture(message, binding, spec, self._intrinsics.get(binding.camera_info or ""))

    def take_info(self, topic: str, message: CameraInfo) -> bool:
        """Take the intrinsics of a topic; return whether others were known before."""
        before = self._intrinsics.get(topic)
        self._intrinsics[topic], self._why_not[topic] = None, ""
        try:
            self._intrinsics[topic] = intrinsics_from(message)
        except ValueError as error:
            self._why_not[topic] = str(error)
        return before is not None and before != self._intrinsics[topic]

    def hear(self, told: Mapping[str, str]) -> None:
        """Lock step: note which picture, by its stamp, belongs to the tick `stamp_ns`.

        Raises:
            ValueError: a stamp is no number.
        """
        self._told = {name: int(stamp) for name, stamp in told.items()}

    def complete(self, stamp_ns: int, stamps: Mapping[str, int]) -> bool:
        """Return whether the pictures that belong to a tick, and no others, are the newest.

        Args:
            stamp_ns: of the tick.
            stamps: of the newest reading of each input.
        """
        told = self._told
        if not self.names:
            return True
        return told.get("stamp_ns") == stamp_ns and all(
            told.get(name) == stamps[name] for name in self.names
        )

    def problem(self, name: str) -> str:
        """Return why the newest picture of an input cannot be used, empty if it can."""
        try:
            if name in self._newest:
                self._specs[name].check_frame(self._newest[name].array)
        except ValueError as error:
            return str(error)
        return ""

    def items(self, contract: Contract) -> list[Item]:
        """Return the items of the report on the cameras: their intrinsics within the trained."""
        return [item for name in self._bindings for item in self._items(name, contract)]

    def _items(self, name: str, contract: Contract) -> list[Item]:
        binding, spec = self._bindings[name], self._specs[name]
        topic, label = binding.camera_info, f"{name}: camera_info"
        if topic is None:
            if camera_of(spec) is None:
                return []
            return [Item(name=label, expected="none, as graph.yaml names no topic",
                         measured="not compared", ok=True)]  # fmt: skip
        given = self._intrinsics.get(topic)
        why = self._why_not.get(topic) or None
        if given is not None:
            try:
                given = _of_the_input(given, binding, spec)
            except ValueError as error:
                given, why = None, str(error)
        if given is None:
            note = f"is {topic} published by a calibrated camera?"
            return [activation.equal(label, "as in the contract", why, note)]
        trained = {each.name: each for each in contract.ranges}
        items = [activation.equal(label, "as in the contract", "as in the contract")]
        for what in INTRINSICS:
            found = trained.get(intrinsic_range(camera_of(spec) or "", what))
            if found is not None:
                note = "calibrate the camera, or train with its intrinsics"
                items.append(
                    activation.within(
                        f"{name}: {what}", getattr(given, what), found.low, found.high,
                        found.unit, note,
                    )
                )  # fmt: skip
        return items


def _of_the_input(given: Intrinsics, binding: InputBinding, spec: ArraySpec) -> Intrinsics:
    """Return the intrinsics of a camera's pictures after the driver stage.

    Raises:
        ValueError: they are of pictures of another size.
    """
    if spec.driver_stage is not None and not binding.staged:
        return stage_intrinsics(parse_stage(spec.driver_stage), given)
    height, width = spec_size(spec)
    if (given.height, given.width) != (height, width):
        raise ValueError(
            f"camera_info: expected intrinsics of {width} x {height} pixels, got "
            f"{given.width} x {given.height}"
        )
    return given
