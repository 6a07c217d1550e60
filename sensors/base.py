"""What every source of readings is, simulated or real, live or replayed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from sim2arm.core.clock import steady_ns
from sim2arm.core.driver_stage import DriverStage
from sim2arm.core.spec import ArraySpec, Reading, StaleReading


class Sensor(Protocol):
    """A source of arrays with stamps."""

    @property
    def spec(self) -> Mapping[str, ArraySpec]:
        """The arrays that `read` returns, as the contract lists them."""
        ...

    def read(self) -> Reading:
        """Return the newest arrays, which nobody may write to; the same again if none are newer.

        Raises:
            StaleReading: they are older than their spec allows, or nothing came yet; one line.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Clocks:
    """The two clocks of readings; tests put others in."""

    steady_ns: Callable[[], int] = steady_ns
    """Of receipts: never set [ns]."""
    wall_ns: Callable[[], int] = time.time_ns
    """Of stamps: ROS time on a robot whose ROS clock is the system's [ns]."""
    system_ns: Callable[[], int] = time.time_ns
    """Of devices whose driver stamps by the system's clock [ns]."""


@dataclass(frozen=True, kw_only=True)
class Counters:
    """What happened to the pictures of a camera since the start."""

    frames: int = 0
    """New ones."""
    duplicates: int = 0
    """That came again: the same number, stamp or bytes, by what the device has of these."""
    drops: int = 0
    """That must have been between two that came, by their numbers, or their stamps and the rate."""
    broken: int = 0
    """That could not be used: not decoded, stamped by another clock, or their stamp went back."""
    reconnects: int = 0
    """Times the device was opened again."""


def picture_spec(
    name: str, stage: DriverStage, *, frame: str | None, rate_hz: float | None, max_age: float
) -> ArraySpec:
    """Return the spec of the RGB pictures of a sensor after its driver stage; ages in seconds."""
    return ArraySpec(
        name=name,
        kind="sensor",
        shape=(stage.out_height, stage.out_width, 3),
        dtype="uint8",
        unit="1",
        frame=frame,
        rate_hz=rate_hz,
        max_stamp_age_s=max_age,
        max_receipt_age_s=max_age,
        driver_stage=stage.text,
    )


def depth_spec(
    name: str, stage: DriverStage, *, frame: str | None, rate_hz: float | None, max_age: float
) -> ArraySpec:
    """Return the spec of depth along the optical axis [m], 0 where nothing was measured.

    Args:
        name: of the array.
        stage: of the pictures of the same camera; of depth it always takes nearest pixels.
        frame: of the camera.
        rate_hz: of the sensor.
        max_age: by stamp and by receipt [s].
    """
    nearest = replace(stage, resample="nearest")
    colours = picture_spec(name, nearest, frame=frame, rate_hz=rate_hz, max_age=max_age)
    return replace(colours, shape=colours.shape[:2], dtype="float32", unit="m")


def check_fresh(
    reading: Reading | None, spec: Mapping[str, ArraySpec], clocks: Clocks, why: str = ""
) -> Reading:
    """Return a reading that is as fresh as each of its specs asks.

    Args:
        reading: the newest, or none.
        spec: by name; ages without bounds are not checked.
        clocks: now.
        why: what is known about a source that does not deliver, for the message.

    Raises:
        StaleReading: there is none, or it is too old.
    """
    because = f": {why}" if why else ""
    if reading is None:
        raise StaleReading(f"{', '.join(spec)}: nothing was received yet{because}")
    now, wall = clocks.steady_ns(), clocks.wall_ns()
    for name, array in spec.items():
        stamp_now = now if array.clock == "receipt" else wall
        ages = (
            ("received", now - reading.receipt_ns, array.max_receipt_age_s),
            ("measured", stamp_now - reading.stamp_ns, array.max_stamp_age_s),
        )
        for what, age, limit in ages:
            if limit is not None and age > 1e9 * limit:
                raise StaleReading(
                    f"{name}: the newest was {what} {1e-9 * age:.3f} s ago, allowed {limit:g} s"
                    f"{because}"
                )
    return reading
