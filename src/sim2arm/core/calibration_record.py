"""The record of a calibration: what was measured, how, of what, how well; one YAML file.

A record is written once (`calibration_file.py`) and read by programs, for its values, and by
people, as the page of `calibration_page.py`. Numbers carry units, input files their hash.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import numpy.typing as npt

from . import plain

RECORD_VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PICTURE = re.compile(r"\w[\w.-]*\.(png|jpg|jpeg)")


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A file from which the calibration was computed."""

    name: str
    """Path as the calibration saw it; for the record only."""
    sha256: str
    note: str = ""

    def __post_init__(self) -> None:
        """Check the hash."""
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"sha256: expected 64 hexadecimal digits, got {self.sha256!r}")


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One calibrated array."""

    numbers: tuple[float, ...]
    """Its elements, the last axis fastest."""
    shape: tuple[int, ...] = ()
    """Shape of the array; empty for a single number."""
    unit: str
    """SI unit, `1` for pure numbers; mixed vectors name one per element, separated by spaces."""
    uncertainty: tuple[float, ...] | None = None
    """One standard deviation of each element, or none where it is not known."""
    frame: str | None = None
    """Frame in which the numbers are expressed."""
    element_names: tuple[str, ...] = ()
    """One name per element, or none."""
    note: str = ""

    def __post_init__(self) -> None:
        """Check that the fields agree with each other."""
        n = math.prod(self.shape)
        if len(self.numbers) != n:
            raise ValueError(
                f"numbers: expected {n} for shape {self.shape}, got {len(self.numbers)}"
            )
        if self.uncertainty is not None and (
            len(self.uncertainty) != n or min(self.uncertainty, default=0.0) < 0
        ):
            raise ValueError(f"uncertainty: expected {n} numbers of 0 or more, or none")
        if len(self.element_names) not in (0, n):
            raise ValueError(f"element_names: expected {n} or none, got {len(self.element_names)}")
        if len(self.unit.split()) not in (1, n):
            raise ValueError(f"unit: expected 1 or {n} separated by spaces, got {self.unit!r}")

    @property
    def array(self) -> npt.NDArray[np.float64]:
        """The numbers in their shape."""
        return np.array(self.numbers, dtype=np.float64).reshape(self.shape)

    @property
    def units(self) -> tuple[str, ...]:
        """The unit of each element."""
        words = tuple(self.unit.split())
        return words if len(words) == len(self.numbers) else words * len(self.numbers)


@dataclass(frozen=True, kw_only=True)
class Residuals:
    """What the calibration leaves unexplained, one number per sample."""

    numbers: tuple[float, ...]
    unit: str
    limit: float | None = None
    """Largest root mean square with which the calibration is accepted."""
    excluded: tuple[int, ...] = ()
    """Indices of samples that were not used, as outliers."""
    note: str = ""

    def __post_init__(self) -> None:
        """Check that something is left and that the indices exist."""
        n = len(self.numbers)
        if any(not 0 <= i < n for i in self.excluded):
            raise ValueError(f"excluded: expected indices from 0 to {n - 1}, got {self.excluded}")
        if len(set(self.excluded)) >= n:
            raise ValueError(f"numbers: no sample is left of {n}")

    @property
    def used(self) -> npt.NDArray[np.float64]:
        """The residuals of the samples that were used."""
        return np.delete(np.array(self.numbers, dtype=np.float64), list(self.excluded))

    @property
    def rms(self) -> float:
        """Root mean square over the samples that were used."""
        return float(np.sqrt(np.mean(self.used**2)))


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture beside the record."""

    file: str
    """Name of a PNG or JPEG file in the folder of the record."""
    sha256: str
    caption: str

    def __post_init__(self) -> None:
        """Check the name and the hash."""
        if not _PICTURE.fullmatch(self.file):
            raise ValueError(
                f"file: expected a plain name with png, jpg or jpeg, got {self.file!r}"
            )
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"sha256: expected 64 hexadecimal digits, got {self.sha256!r}")

    @property
    def media_type(self) -> str:
        """As a web page names it."""
        return "image/png" if self.file.endswith(".png") else "image/jpeg"


@dataclass(frozen=True, kw_only=True)
class CalibrationRecord:
    """One calibration of one device."""

    version: int = RECORD_VERSION
    """Version of this format."""
    what: str
    """Kind of calibration: intrinsics, hand-eye, latency, ..."""
    device: str
    """What was calibrated, with its serial number where it has one."""
    date: str
    """When, ISO 8601 with the offset from UTC; `utc_now` gives one."""
    method: str
    """Name and source of the method."""
    settings: dict[str, float] = field(default_factory=dict[str, float])
    """Parameters of the method."""
    inputs: tuple[InputFile, ...]
    values: dict[str, Quantity]
    residuals: dict[str, Residuals]
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader has to know: warnings, assumptions."""
    versions: dict[str, str] = field(default_factory=dict[str, str])
    """Versions of the software."""

    def __post_init__(self) -> None:
        """Check what has to be there."""
        for name in ("what", "device", "method"):
            if not getattr(self, name):
                raise ValueError(f"{name}: must not be empty")
        if not self.values:
            raise ValueError("values: a calibration has at least one value")
        try:
            offset = datetime.fromisoformat(self.date).utcoffset()
        except ValueError:
            offset = None
        if offset is None:
            raise ValueError(
                f"date: expected ISO 8601 with an offset, 2030-01-31T12:00:00+00:00, "
                f"got {self.date!r}"
            )
        names = [picture.file for picture in self.pictures]
        if len(set(names)) != len(names):
            raise ValueError(f"pictures: every file once, got {names}")

    @property
    def id(self) -> str:
        """Hash of everything in the record: what contracts name as their calibration."""
        text = plain.canonical_json(plain.to_plain(self))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def problems(self) -> list[str]:
        """One line for every residual above its limit; empty if the calibration is accepted."""
        return [
            f"{name}: root mean square {r.rms:.3g} {r.unit}, limit {r.limit:.3g} {r.unit}"
            for name, r in self.residuals.items()
            if r.limit is not None and not r.rms <= r.limit
        ]

    def value(self, name: str) -> npt.NDArray[np.float64]:
        """Return a value as an array.

        Raises:
            ValueError: no such value.
        """
        if name not in self.values:
            raise ValueError(f"{self.what} has no value {name!r}. Values: {sorted(self.values)}")
        return self.values[name].array


def utc_now() -> str:
    """Return the time for `date`."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def make_quantity(
    array: npt.ArrayLike,
    unit: str,
    *,
    uncertainty: npt.ArrayLike | None = None,
    frame: str | None = None,
    element_names: Sequence[str] = (),
    note: str = "",
) -> Quantity:
    """Return a quantity from an array of any shape; fields as in `Quantity`."""
    numbers = np.asarray(array, dtype=np.float64)
    return Quantity(
        numbers=_flat(numbers),
        shape=numbers.shape,
        unit=unit,
        uncertainty=None if uncertainty is None else _flat(uncertainty),
        frame=frame,
        element_names=tuple(element_names),
        note=note,
    )


def make_residuals(
    samples: npt.ArrayLike,
    unit: str,
    *,
    limit: float | None = None,
    excluded: Sequence[int] = (),
    note: str = "",
) -> Residuals:
    """Return residuals from an array (N,); fields as in `Residuals`."""
    return Residuals(
        numbers=_flat(samples), unit=unit, limit=limit, excluded=tuple(excluded), note=note
    )


def input_file(path: str | Path, note: str = "") -> InputFile:
    """Return the entry of a file with its hash."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return InputFile(name=str(path), sha256=digest.hexdigest(), note=note)


def make_picture(file: str, data: bytes, caption: str) -> Picture:
    """Return the entry of a picture with its hash."""
    return Picture(file=file, sha256=hashlib.sha256(data).hexdigest(), caption=caption)


def check_pictures(record: CalibrationRecord, pictures: Mapping[str, bytes]) -> None:
    """Check that these are the pictures of a record.

    Raises:
        ValueError: a picture is missing, too many, or has another hash; one line.
    """
    expected = sorted(picture.file for picture in record.pictures)
    if sorted(pictures) != expected:
        raise ValueError(f"pictures: expected {expected}, got {sorted(pictures)}")
    for picture in record.pictures:
        got = hashlib.sha256(pictures[picture.file]).hexdigest()
        if got != picture.sha256:
            raise ValueError(f"picture {picture.file}: sha256 {got}, expected {picture.sha256}")


def _flat(array: npt.ArrayLike) -> tuple[float, ...]:
    return tuple(float(number) for number in np.asarray(array, dtype=np.float64).ravel())
