"""Loggers of rclpy: one line per message on standard error, in the format of ROS; /rosout."""

from __future__ import annotations

import inspect
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

_LINE = "[{severity}] [{time}] [{name}]: {message}"  # rcutils' default format


class LoggingSeverity(IntEnum):
    """Severities, numbered as in rcutils."""

    UNSET = 0
    DEBUG = 10
    INFO = 20
    WARN = 30
    ERROR = 40
    FATAL = 50


@dataclass(frozen=True)
class LogRecord:
    """What one call of a logger said, and where it stands."""

    stamp_ns: int
    """System time [ns]."""
    severity: LoggingSeverity
    name: str
    """Name of the logger."""
    message: str
    file: str
    function: str
    line: int


_levels: dict[str, int] = {"": LoggingSeverity.INFO}
_write_lock = threading.Lock()
_rosout: dict[str, Callable[[LogRecord], None]] = {}  # by the name of the logger


def add_rosout(name: str, publish: Callable[[LogRecord], None]) -> None:
    """Publish what this logger says; of two nodes with one name the first publishes for both."""
    _rosout.setdefault(name, publish)


def remove_rosout(publish: Callable[[LogRecord], None]) -> None:
    """Publish no more by this function."""
    for name in [name for name, used in list(_rosout.items()) if used == publish]:
        del _rosout[name]


def apply_levels(levels: tuple[tuple[str, str], ...]) -> None:
    """Set the levels of `--log-level` arguments."""
    for name, level in levels:
        set_logger_level(name, LoggingSeverity[level.upper()])


class RcutilsLogger:
    """A named logger."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._seen: dict[tuple[str, int, str], float] = {}

    def get_child(self, name: str) -> RcutilsLogger:
        """Return the logger `<this>.<name>`."""
        if not name:
            raise ValueError("Child logger name must not be empty.")
        full = f"{self.name}.{name}" if self.name else name
        if self.name in _rosout:
            add_rosout(full, _rosout[self.name])
        return RcutilsLogger(full)

    def set_level(self, level: int) -> None:
        """Set which severities are shown."""
        set_logger_level(self.name, level)

    def get_effective_level(self) -> LoggingSeverity:
        """Return the level of this logger or its nearest parent that has one."""
        return get_logger_effective_level(self.name)

    def is_enabled_for(self, severity: int) -> bool:
        """Return whether messages of this severity are shown."""
        return severity >= self.get_effective_level()

    def log(
        self,
        message: str,
        severity: int,
        *,
        once: bool = False,
        skip_first: bool = False,
        throttle_duration_sec: float | None = None,
        throttle_time_source_type: Any = None,
        **unknown: Any,
    ) -> bool:
        """Write a message; the filters count per line of source that calls.

        Returns:
            Whether it was written.
        """
        if unknown:
            raise TypeError(f"log() got unknown arguments {sorted(unknown)}")
        severity = LoggingSeverity(severity)
        if (once or skip_first or throttle_duration_sec is not None) and self._filtered(
            once, skip_first, throttle_duration_sec, throttle_time_source_type
        ):
            return False
        if not self.is_enabled_for(severity):
            return False
        ns = time.time_ns()
        line = _LINE.format(
            severity=severity.name,
            time=f"{ns // 10**9}.{ns % 10**9:09d}",
            name=self.name,
            message=message,
        )
        with _write_lock:
            print(line, file=sys.stderr, flush=True)
        publish = _rosout.get(self.name)
        if publish is not None:
            file, number, function = _caller()
            publish(LogRecord(ns, severity, self.name, message, file, function, number))
        return True

    def _filtered(self, once: bool, skip_first: bool, throttle: float | None, clock: Any) -> bool:
        caller = _caller()
        last = self._seen.get(caller)
        now = time.monotonic() if clock is None else clock.now().nanoseconds * 1e-9
        if last is None and skip_first:
            self._seen[caller] = now
            return True
        if last is not None and once:
            return True
        if last is not None and throttle is not None and now - last < throttle:
            return True
        self._seen[caller] = now
        return False

    def debug(self, message: str, **kwargs: Any) -> bool:
        """Log for developers."""
        return self.log(message, LoggingSeverity.DEBUG, **kwargs)

    def info(self, message: str, **kwargs: Any) -> bool:
        """Log what happens."""
        return self.log(message, LoggingSeverity.INFO, **kwargs)

    def warning(self, message: str, **kwargs: Any) -> bool:
        """Log what may be wrong."""
        return self.log(message, LoggingSeverity.WARN, **kwargs)

    warn = warning

    def error(self, message: str, **kwargs: Any) -> bool:
        """Log what is wrong."""
        return self.log(message, LoggingSeverity.ERROR, **kwargs)

    def fatal(self, message: str, **kwargs: Any) -> bool:
        """Log what ends the program."""
        return self.log(message, LoggingSeverity.FATAL, **kwargs)


def _caller() -> tuple[str, int, str]:
    """Return file, line and function of the nearest frame outside this file."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    if frame is None:
        return "", 0, ""
    return frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name


_loggers: dict[str, RcutilsLogger] = {}


def get_logger(name: str) -> RcutilsLogger:
    """Return the logger with this name."""
    if not name:
        raise ValueError("Logger name must not be empty.")
    return _loggers.setdefault(name, RcutilsLogger(name))


def get_logger_level(name: str) -> LoggingSeverity:
    """Return the level set for this very logger, UNSET where none is."""
    return LoggingSeverity(_levels.get(name, LoggingSeverity.UNSET))


def set_logger_level(name: str, level: int, detailed_error: bool = False) -> bool:
    """Set the level of a logger ('' for all)."""
    _levels[name] = LoggingSeverity(level)
    return True


def get_logger_effective_level(name: str) -> LoggingSeverity:
    """Return the level of the logger or its nearest parent that has one."""
    while name:
        if _levels.get(name, LoggingSeverity.UNSET):
            return LoggingSeverity(_levels[name])
        name = name.rpartition(".")[0]
    return LoggingSeverity(_levels[""] or LoggingSeverity.INFO)


def get_logging_severity_from_string(log_severity: str) -> LoggingSeverity:
    """Return the severity of a name in any case."""
    return LoggingSeverity[log_severity.upper()]


def initialize() -> None:
    """Do nothing: logging needs no set-up here."""


def shutdown() -> None:
    """Do nothing: see `initialize`."""


def clear_config() -> None:
    """Forget all levels."""
    _levels.clear()
    _levels[""] = LoggingSeverity.INFO


def get_logging_directory() -> str:
    """Return the directory that ROS would log to; the fallback writes no files."""
    return os.environ.get("ROS_LOG_DIR") or os.path.join(
        os.environ.get("ROS_HOME") or os.path.expanduser("~/.ros"), "log"
    )
