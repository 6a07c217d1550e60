"""librealsense's Python binding, loaded where it is needed: `pyrealsense2`, of the extra.

The binding links to the system's libusb. Where that is not installed, the one of the package
`libusb-package` (of the same extra) is loaded first, under the same name.
"""

# pyrealsense2 has no types.
# pyright: standard

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

_LIBUSB = "libusb-1.0.so.0"
_ADVICE = "pip install 'sim2arm[realsense]'"


@cache
def realsense_sdk() -> Any:
    """Return the module `pyrealsense2`.

    Raises:
        ValueError: it is not installed, or a library that it needs; one line.
    """
    return load_sdk(importlib.import_module)


def load_sdk(load: Callable[[str], Any]) -> Any:
    """Return the module `pyrealsense2`, imported by `load`; errors as `realsense_sdk`."""
    try:
        return load("pyrealsense2")
    except ModuleNotFoundError as error:
        if error.name != "pyrealsense2":
            raise
        raise ValueError(f"a RealSense camera needs pyrealsense2: {_ADVICE}") from error
    except ImportError as error:
        if _LIBUSB not in str(error):
            raise ValueError(f"pyrealsense2 does not load: {_line(error)}") from error
    try:
        ctypes.CDLL(str(load("libusb_package").get_library_path()), mode=ctypes.RTLD_GLOBAL)
        return load("pyrealsense2")
    except (ImportError, OSError) as error:
        raise ValueError(
            f"pyrealsense2 needs {_LIBUSB}: apt install libusb-1.0-0, or {_ADVICE} ({_line(error)})"
        ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
