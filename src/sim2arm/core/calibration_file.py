"""Calibration records as files: `<name>.yaml`, its pictures beside it, `<name>.html` for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from . import plain
from .calibration_page import render_page
from .calibration_record import RECORD_VERSION, CalibrationRecord, check_pictures
from .durable import write_durably

LARGEST_RECORD = 16_000_000
"""Largest file that is read [bytes]."""


def write_record(
    path: str | Path, record: CalibrationRecord, pictures: Mapping[str, bytes] | None = None
) -> None:
    """Write the record, its pictures beside it, and the page with the same name and `.html`.

    Each file is written whole or not at all, the record last: if it is there, so is the rest.

    Args:
        path: where, `<name>.yaml`; the folder is made.
        record: what was measured.
        pictures: by file name, those that the record lists.

    Raises:
        ValueError: another suffix, numbers that are not finite, or other pictures than listed.
    """
    path, pictures = Path(path), pictures or {}
    if path.suffix != ".yaml":
        raise ValueError(f"{path}: a calibration record is a .yaml file")
    text = plain.dump_yaml(plain.to_plain(record))
    if parse_record(text, str(path)) != record:
        raise ValueError(f"{path}: the record does not survive its file: use plain numbers")
    html = render_page(record, pictures)
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, data in pictures.items():
        write_durably(path.parent / name, data)
    write_durably(path.with_suffix(".html"), html.encode())
    write_durably(path, text.encode())


def read_record(path: str | Path) -> CalibrationRecord:
    """Return the record of a file.

    Raises:
        ValueError: the file cannot be read or is not a record of this version; one line.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_RECORD + 1)
        if len(data) > LARGEST_RECORD:
            raise ValueError(f"{path}: more than {LARGEST_RECORD} bytes, not a calibration record")
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error
    return parse_record(text, str(path))


def parse_record(text: str, source: str) -> CalibrationRecord:
    """Return the record of a YAML text; unknown and missing keys are errors.

    Raises:
        ValueError: one line with the source and the key path.
    """
    data = plain.load_yaml(text, source)
    version = cast(Mapping[Any, Any], data).get("version") if isinstance(data, Mapping) else None
    if isinstance(version, int) and version != RECORD_VERSION:
        raise ValueError(
            f"{source}: version: this program reads calibration records of version "
            f"{RECORD_VERSION}, got {version}: calibrate again or update sim2arm"
        )
    try:
        return plain.from_plain(CalibrationRecord, data)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def read_pictures(path: str | Path, record: CalibrationRecord) -> dict[str, bytes]:
    """Return the pictures of a record by file name.

    Args:
        path: the file of the record; the pictures lie beside it.
        record: what `read_record` gave.

    Raises:
        ValueError: a picture is missing or is not the one of the record; one line.
    """
    pictures: dict[str, bytes] = {}
    for picture in record.pictures:
        place = Path(path).parent / picture.file
        try:
            pictures[picture.file] = place.read_bytes()
        except OSError as error:
            raise ValueError(f"{place}: cannot be read: {error}") from error
    check_pictures(record, pictures)
    return pictures
