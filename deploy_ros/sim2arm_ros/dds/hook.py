"""Import hook: provides rclpy and the message packages where no ROS installation does."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

SWITCH = "SIM2ARM_ROS"
"""Environment switch: `dds` forces the fallback even where a ROS is sourced."""
_FACADES = ("rclpy", "tf2_ros", "tf2_py")


class RosImportError(ImportError):
    """A sourced ROS that this Python cannot use, or no way to run at all."""


class _Loader(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        name = spec.name
        if name.partition(".")[0] in _FACADES:
            from .facade import facade_module

            return facade_module(name)
        from .messages import package_module

        package, _, kind = name.partition(".")
        return package_module(package, kind or None)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module is complete."""


class RosFinder(MetaPathFinder):
    """Finds `rclpy`, `tf2_ros`, `tf2_py`, `<package>` and its `msg`, `srv` and `action`."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return a spec for what we provide, None for anything else."""
        package, dot, rest = fullname.partition(".")
        is_package = not dot
        if package in _FACADES:
            from .facade import facade_modules

            modules = facade_modules()
            known = fullname in modules
            is_package = is_package or any(m.startswith(f"{fullname}.") for m in modules)
        else:
            if rest not in ("", "msg", "srv", "action") or not package.endswith(
                ("_msgs", "_interfaces", "_srvs", "_common")
            ):
                return None
            from .definitions import packages

            kinds = packages().get(package)
            known = kinds is not None and (not dot or rest in kinds)
        if not known:
            return None
        return ModuleSpec(fullname, _Loader(), origin="sim2arm_ros.dds", is_package=is_package)


_finder = RosFinder()


def install() -> str:
    """Make `import rclpy` work, and return which one it is (see `backend`).

    A ROS installation always wins, unless the environment says SIM2ARM_ROS=dds.

    Raises:
        RosImportError: a ROS is sourced but its rclpy does not import here; or there is none and
            the fallback's packages are missing too.
    """
    forced = os.environ.get(SWITCH, "")
    if forced not in ("", "dds"):
        raise RosImportError(f"{SWITCH}: expected 'dds' or nothing, got {forced!r}")
    if _finder not in sys.meta_path:
        if forced:
            _check_cyclone()
            sys.meta_path.insert(0, _finder)
        elif _real_rclpy() is None:
            _check_sourced()
            _check_cyclone()
            sys.meta_path.append(_finder)
    return backend()


def uninstall() -> None:
    """Remove the hook; modules that are imported stay."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)


def backend() -> str:
    """Return one line that says which rclpy runs."""
    if _finder in sys.meta_path:
        return f"rclpy: fallback over Cyclone DDS {_cyclone_version()}"
    origin = _real_rclpy()
    if origin is None:
        return "rclpy: none (call sim2arm_ros.dds.install() first)"
    root = origin.partition("/lib/python")[0].partition("/local/lib")[0]
    return f"rclpy: {root}"


def _real_rclpy() -> str | None:
    """Return where a real rclpy lies that imports, None where there is none."""
    spec = importlib.util.find_spec("rclpy")
    if spec is None or spec.origin is None or spec.origin == "sim2arm_ros.dds":
        return None
    try:
        importlib.import_module("rclpy.node")
    except ImportError as error:
        raise RosImportError(_sourced_message(error)) from error
    return spec.origin


def _check_sourced() -> None:
    if os.environ.get("AMENT_PREFIX_PATH"):
        raise RosImportError(_sourced_message(ModuleNotFoundError("No module named 'rclpy'")))


def _sourced_message(error: ImportError) -> str:
    prefix = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)[0] or "ROS"
    theirs = _python_of(prefix)
    ours = f"{sys.version_info.major}.{sys.version_info.minor} ({sys.executable})"
    return (
        f"{prefix} is sourced, but its rclpy does not import: {error}. It is built for Python "
        f"{theirs}; this is Python {ours}. Use that Python, or start without sourcing ROS, or set "
        f"{SWITCH}=dds"
    )


def _python_of(prefix: str) -> str:
    """Return the Python version that a ROS prefix was built for."""
    for base in (prefix, os.path.join(prefix, "local")):
        lib = os.path.join(base, "lib")
        names = sorted(os.listdir(lib)) if os.path.isdir(lib) else []
        for name in names:
            if name.startswith("python3."):
                return name[len("python") :]
    return "unknown"


def _check_cyclone() -> None:
    if os.environ.get("ROS_SECURITY_ENABLE", "").strip().lower() not in ("", "false", "0"):
        raise RosImportError(
            "ROS_SECURITY_ENABLE is set, and the fallback over Cyclone DDS knows no security: "
            "source a ROS 2, or unset it"
        )
    missing = [n for n in ("cyclonedds", "rosbags") if importlib.util.find_spec(n) is None]
    if missing:
        raise RosImportError(
            f"no ROS is sourced, and {' and '.join(missing)} not installed: source a ROS 2, or "
            "pip install 'sim2arm[dds]'"
        )


def _cyclone_version() -> str:
    try:
        return version("cyclonedds")
    except PackageNotFoundError:
        return "of unknown version"
