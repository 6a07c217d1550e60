"""A calibration record for the tests of records, files and pages."""

from __future__ import annotations

import struct
import zlib
from typing import Any

from sim2arm.core.calibration_record import (
    CalibrationRecord,
    InputFile,
    make_picture,
    make_quantity,
    make_residuals,
)

POSE = ("x", "y", "z", "qw", "qx", "qy", "qz")


def make_png(width: int = 4, height: int = 3) -> bytes:
    """Return a valid PNG of one colour."""

    def block(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    rows = zlib.compress((b"\0" + bytes((40, 90, 160)) * width) * height)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + block(b"IHDR", head) + block(b"IDAT", rows) + block(b"IEND", b"")


PICTURES = {"views.png": make_png()}


def make_record(**overrides: Any) -> CalibrationRecord:
    """Return a hand-eye calibration that is accepted."""
    values: dict[str, Any] = {
        "what": "hand-eye",
        "device": "camera_wrist, serial 0123",
        "date": "2030-01-31T12:00:00+00:00",
        "method": "Park and Martin 1994",
        "settings": {"views": 4.0},
        "inputs": (InputFile(name="views.mcap", sha256="ab" * 32, note="4 views"),),
        "values": {
            "pose_tool_camera": make_quantity(
                [0.05, -0.03, 0.02, 1.0, 0.0, 0.0, 0.0],
                "m m m 1 1 1 1",
                uncertainty=[2e-4] * 3 + [1e-4] * 4,
                frame="panda_hand_tcp",
                element_names=POSE,
            ),
            "K": make_quantity([[600.0, 0.0, 320.0], [0.0, 601.0, 240.0], [0.0, 0.0, 1.0]], "px"),
            "delay": make_quantity(0.012, "s", uncertainty=0.001),
        },
        "residuals": {
            "translation": make_residuals([3e-4, 4e-4, 9e-3, 0.0], "m", limit=1e-3, excluded=[2]),
            "rotation": make_residuals([0.001, -0.002, 0.002, 0.001], "rad"),
        },
        "pictures": (make_picture("views.png", PICTURES["views.png"], "Where the board was"),),
        "notes": ("Taken at 21 C.",),
        "versions": {"sim2arm": "0.1.0"},
    }
    return CalibrationRecord(**(values | overrides))
