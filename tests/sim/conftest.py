"""World `process` under the suites of all engines: one worker holds the worlds of a session."""

from collections.abc import Iterator

import pytest

from sim2arm.sim.worlds.process import MUJOCO_WORKER
from sim2arm.sim.worlds.process_client import Worker, worker_of


@pytest.fixture(scope="session")
def mujoco_worker() -> Iterator[Worker]:
    """A worker that stays: to start one for every world would take a second and a half each."""
    worker = worker_of(MUJOCO_WORKER)
    yield worker
    worker.close()


@pytest.fixture(autouse=True)
def _process_worlds_share_a_worker(request: pytest.FixtureRequest) -> None:
    callspec = getattr(request.node, "callspec", None)
    if callspec is not None and "process" in callspec.params.values():
        request.getfixturevalue("mujoco_worker")
