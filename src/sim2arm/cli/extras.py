"""Which extra brings which library: a missing library becomes one line that names its extra."""

import sys

EXTRA_OF = {
    "cv2": "vision",
    "scipy": "vision",
    "cyclonedds": "dds",
    "rosbags": "dds",
    "cryptography": "sign",
    "gymnasium": "train",
    "matplotlib": "train",
    "mujoco": "train",
    "mujoco_warp": "train",
    "onnx": "train",
    "onnxscript": "train",
    "tensorboard": "train",
    "torch": "train",
    "warp": "train",
    "dm_control": "suite",
    "mujoco_menagerie": "meshes",
    "libusb_package": "realsense",
    "pyrealsense2": "realsense",
    "viser": "view",
    "websockets": "view",
}

OLDEST_PYTHON = {"train": (3, 11), "suite": (3, 11)}
NEWEST_PYTHON = {"suite": (3, 12)}
"""For which dependencies of the extra are published."""


def missing_extra(module: str | None) -> str | None:
    """Return what to do about a library that is not installed.

    Args:
        module: name of the module that did not import, as in `ModuleNotFoundError.name`.

    Returns:
        One line, or None when no extra brings this module.
    """
    library = (module or "").partition(".")[0]
    extra = EXTRA_OF.get(library)
    if extra is None:
        return None
    oldest = OLDEST_PYTHON.get(extra, (3, 10))
    if sys.version_info[:2] < oldest:
        needed, here = (f"{major}.{minor}" for major, minor in (oldest, sys.version_info[:2]))
        return f"needs the extra '{extra}' and Python {needed} or newer; this is Python {here}"
    newest = NEWEST_PYTHON.get(extra, sys.version_info[:2])
    if sys.version_info[:2] > newest:
        needed, here = (f"{major}.{minor}" for major, minor in (newest, sys.version_info[:2]))
        return f"needs the extra '{extra}' and Python {needed} or older; this is Python {here}"
    return (
        f"needs the extra '{extra}' ('{library}' is not installed): "
        f"pip install 'sim2arm[{extra}]', or `make setup` in a checkout"
    )
