"""What the test run leaves out or skips, each time with the reason."""

import ast
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path

import pytest

from sim2arm.cli.extras import EXTRA_OF
from tests.fault_list import listed
from tests.fault_report import report
from tests.tables import Table

# Started in the background, a shell leaves SIGINT ignored, for the processes of the tests too.
signal.signal(signal.SIGINT, signal.default_int_handler)

TESTS = Path(__file__).resolve().parent
SRC = TESTS.parent / "src"

# `make test-base` sets this: an environment of the robot side, without these extras. A test file
# that imports their libraries, itself or through our modules, is not collected there and is named
# in the header. Everywhere else a missing library is an error. rclpy comes from a ROS installation
# or from the extra `dds`.
BASE_ENVIRONMENT = os.environ.get("SIM2ARM_BASE") == "1"
LEFT_OUT = ("train", "dds", "realsense", *(() if sys.version_info >= (3, 11) else ("view",)))
HAS_ROS = importlib.util.find_spec("rclpy") is not None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of `make learn` and `make faults`."""
    parser.addoption("--table", type=Path, help="write the rows of the long tests there, as JSON")
    parser.addoption("--more", action="store_true", help="add to the rows that are there")


@pytest.fixture(scope="session", autouse=True)
def ros_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what nodes write in the folder of ROS out of the user's home."""
    before = os.environ.get("ROS_HOME")
    os.environ["ROS_HOME"] = str(tmp_path_factory.mktemp("ros"))
    yield
    os.environ.pop("ROS_HOME")
    if before is not None:
        os.environ["ROS_HOME"] = before


TABLE = pytest.StashKey[Table]()
ROWS = "rows of the table"
MAIN: list[pytest.Config] = []
"""Of the process that writes the table; none in others."""


def pytest_configure(config: pytest.Config) -> None:
    """Begin the table of this run."""
    worker = hasattr(config, "workerinput")  # of pytest-xdist: it gives its rows with its reports
    path = None if worker else config.getoption("--table")
    if not worker:
        MAIN.append(config)
    config.stash[TABLE] = Table(path, more=bool(config.getoption("--more")))


@pytest.fixture(scope="session")
def table(request: pytest.FixtureRequest) -> Table:
    """Return the table of this run."""
    return request.config.stash[TABLE]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the page of `make faults`."""
    table = session.config.stash[TABLE]
    table.keep()
    if table.path is not None and table.path.stem == "faults" and table.outcomes:
        table.path.with_suffix(".md").write_text(report(table), encoding="utf-8")


def _is_type_checking(node: ast.If) -> bool:
    return "TYPE_CHECKING" in ast.unparse(node.test)


def _extra_of(module: str) -> str | None:
    """Return the extra that brings a module, if one does."""
    package = module.partition(".")[0]
    if package == "rclpy":
        return None if HAS_ROS else "dds"
    return EXTRA_OF.get(package)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run when a module is imported and that may not fail."""
    for node in body:
        if isinstance(node, ast.If):
            if not _is_type_checking(node):
                yield from _statements(node.body)
            yield from _statements(node.orelse)
        elif isinstance(node, ast.Try):
            yield from _statements([] if node.handlers else node.body)
        elif isinstance(node, ast.With | ast.ClassDef):
            yield from _statements(node.body)
        else:
            yield node


def _file_of(module: str) -> Path | None:
    """Return the source file of one of our modules."""
    base = SRC.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _imports(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports at import time, ours and others, with full names."""
    package: tuple[str, ...] = ()
    if path.is_relative_to(SRC):
        package = path.relative_to(SRC).parent.parts
    for node in _statements(ast.parse(path.read_text(encoding="utf-8")).body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *([node.module] if node.module else [])))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


@cache
def missing_extras(path: Path) -> frozenset[str]:
    """Return the extras that a file needs and the base environment does not have."""
    return frozenset(extra for extra in needed_extras(path) if extra in LEFT_OUT)


@cache
def needed_extras(path: Path) -> frozenset[str]:
    """Return the extras that a file needs, itself or through our modules."""
    found: set[str] = set()
    seen: set[Path] = set()
    todo = [path]
    while todo:
        here = todo.pop()
        if here in seen:
            continue
        seen.add(here)
        for module in _imports(here):
            extra = _extra_of(module)
            if extra is not None:
                found.add(extra)
            elif (file := _file_of(module)) is not None:
                todo.append(file)
    return frozenset(found)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave a file (or a folder, by its conftest.py) out of the base run if it needs an extra."""
    if not BASE_ENVIRONMENT:
        return None
    path = collection_path / "conftest.py" if collection_path.is_dir() else collection_path
    if path.suffix != ".py" or not path.is_file() or not missing_extras(path):
        return None
    return True


def pytest_report_header() -> list[str]:
    """Name what the base run leaves out, and why."""
    if not BASE_ENVIRONMENT:
        return []
    extras = ", ".join(LEFT_OUT)
    lines = [f"base environment without {extras}; not collected, because they import these extras:"]
    for path in sorted((*TESTS.rglob("test_*.py"), *TESTS.glob("*/**/conftest.py"))):
        if extras := missing_extras(path):
            lines.append(f"  {path.relative_to(TESTS)} ({', '.join(sorted(extras))})")
    return lines


def _reason_to_skip(item: pytest.Item) -> str | None:
    if item.get_closest_marker("gpu") and not _has_gpu():
        return "needs a CUDA device"
    if item.get_closest_marker("ros") and not HAS_ROS:
        return "needs a real ROS 2: rclpy does not import here"
    if item.get_closest_marker("hardware") and os.environ.get("SIM2ARM_HARDWARE") != "1":
        return "needs real hardware: set SIM2ARM_HARDWARE=1 where it stands"
    return None


@cache
def _has_gpu() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note how a test ended; one whose set-up fails has failed, a skip is neither."""
    found = yield
    table = item.config.stash[TABLE]
    if (found.when == "call" or found.failed) and not found.skipped:
        name = item.nodeid.removeprefix("tests/").partition("[")[0]
        table.outcomes[name, found.passed] += 1
    if hasattr(item.config, "workerinput"):
        found.user_properties.append((ROWS, json.dumps(table.take())))
    return found


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Take what a worker gives with its reports."""
    given = [data for name, data in report.user_properties if name == ROWS]
    for config in MAIN:
        for data in given:
            config.stash[TABLE].give(json.loads(str(data)))
        if report.failed and not given and hasattr(report, "node"):  # a worker that has crashed
            name = report.nodeid.removeprefix("tests/").partition("[")[0]
            config.stash[TABLE].outcomes[name, False] += 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the list of faults; skip what this machine cannot run."""
    for item in items:
        if listed(item.nodeid):
            item.add_marker(pytest.mark.fault_list)
        if reason := _reason_to_skip(item):
            item.add_marker(pytest.mark.skip(reason=reason))
