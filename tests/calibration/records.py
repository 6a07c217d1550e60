"""Records of cameras for tests of what reads them."""

from __future__ import annotations

from typing import Any

import numpy as np

from sim2arm.calibration.camera_file import (
    CAMERA,
    COVARIANCE,
    DISTORTION,
    HAND_EYE,
    INTERVAL,
    INTRINSICS,
    POSE,
    SIZE,
)
from sim2arm.core.calibration_record import CalibrationRecord, make_quantity, make_residuals


def intrinsics_record(
    numbers: tuple[float, ...] = (466.0, 466.0, 319.5, 239.5), *, sigma: float = 1.0,
    device: str = "scene", size: tuple[int, int] = (640, 480), **overrides: Any,
) -> CalibrationRecord:  # fmt: skip
    """Return intrinsics of a camera, straight."""
    values: dict[str, Any] = {
        "what": INTRINSICS,
        "device": device,
        "date": "2030-01-31T12:00:00+00:00",
        "method": "by hand",
        "inputs": (),
        "values": {
            CAMERA: make_quantity(numbers, "px", uncertainty=[sigma] * 4),
            DISTORTION: make_quantity([0.0] * 5, "1"),
            SIZE: make_quantity(size, "px"),
            COVARIANCE: make_quantity(np.diag([sigma**2] * 4 + [1e-12] * 5), "1"),
        },
        "residuals": {"held-out view": make_residuals([0.1], "px", limit=1.0)},
    }
    return CalibrationRecord(**(values | overrides))


def hand_eye_record(
    pose: tuple[float, ...] = (1.2, 0.0, 0.5, 0.5, 0.5, -0.5, -0.5), *, frame: str = "fr3_link0",
    device: str = "scene", error: float = 0.001, **overrides: Any,
) -> CalibrationRecord:  # fmt: skip
    """Return the pose of a camera, known to 1 mm and 2 mrad."""
    values: dict[str, Any] = {
        "what": HAND_EYE,
        "device": device,
        "date": "2030-01-31T12:00:00+00:00",
        "method": "by hand",
        "inputs": (),
        "values": {
            POSE: make_quantity(pose, "m m m 1 1 1 1", frame=frame),
            INTERVAL: make_quantity([0.001] * 3 + [0.002] * 3, "m m m rad rad rad", frame=frame),
        },
        "residuals": {"held-out points": make_residuals([error], "m", limit=0.003)},
    }
    return CalibrationRecord(**(values | overrides))
