"""A worker of another kind: Python 3.8, NumPy and nothing else. Carts on rails, in float32.

Each slide joint of the scene is a cart of 1 kg that its control pushes [N]. The environment
variable TOY makes it misbehave: `greet` speaks another protocol, `stop` ends as it starts, `usd`
reads other scenes, `alone` holds one world.
"""

# pyright: standard

from __future__ import annotations

import os
import sys
import time
from typing import Any
from xml.etree import ElementTree

for heavy in ("torch", "mujoco", "warp"):
    sys.modules[heavy] = None  # type: ignore[assignment] # importing it would fail, as it should

import numpy as np  # noqa: E402

from sim2arm.sim.worlds import process_server  # noqa: E402


class Carts:
    """N worlds of carts; see `process_server.Engine`."""

    living = 0

    def __init__(self, joints: Any, num_worlds: int, timestep: float, substeps: int) -> None:
        self.num_worlds, self.dtype, self.timestep = num_worlds, "float32", timestep
        self.actuators, self._substeps = joints, substeps
        self._q, self._dq, self._control = np.zeros((3, num_worlds, len(joints)), np.float32)
        self._time = np.zeros(num_worlds, np.float32)
        Carts.living += 1

    def __del__(self) -> None:
        Carts.living -= 1

    def memory(self) -> Any:
        return [self._q, self._dq, self._control]

    def live(self, kind: str, names: Any) -> Any:
        if kind == "time":
            return {"time": self._time}
        first, last = self.actuators.index(names[0]), self.actuators.index(names[-1]) + 1
        if kind == "target":
            return {"value": self._control[:, first:last]}
        return {"q": self._q[:, first:last], "dq": self._dq[:, first:last]}

    def diverged(self) -> Any:
        return ~np.isfinite(self._q).all(axis=1)

    def output(self, kind: str, names: Any) -> Any:
        if kind == "pair_force":
            return lambda: 1 / 0
        return lambda: np.repeat(self._q[:, :1], 7, axis=1)

    def step(self, targets: Any) -> None:
        for k in range(self._substeps if targets is None else targets.shape[1]):
            if targets is not None:
                self._control[:] = targets[:, k]
            self._dq += self._control * self.timestep
            self._q += self._dq * self.timestep
            self._time += self.timestep

    def reset(self, chosen: Any) -> None:
        rows = slice(None) if chosen is None else chosen
        for array in (self._q, self._dq, self._control, self._time):
            array[rows] = 0.0

    def forward(self, chosen: Any) -> None:
        pass

    def commit_fields(self, chosen: Any) -> None:
        time.sleep(3600.0)  # an engine that never comes back

    def check_capacity(self) -> None:
        raise NotImplementedError(f"{Carts.living} sets of carts")

    def cameras(self, shots: Any) -> Any:
        raise KeyError(f"camera {shots[0]['camera']!r} is not in the model")


def build(request: Any, scene: Any) -> Carts:
    root = ElementTree.fromstring(scene[: request["regions"][0][1]])
    joints = [joint.get("name") for joint in root.iter("joint")]
    return Carts(joints, request["num_worlds"], request["timestep"], request["control_substeps"])


if __name__ == "__main__":
    toy = os.environ.get("TOY", "")
    if toy == "stop":
        sys.exit("toy: no licence")
    if toy == "greet":
        process_server.PROTOCOL = 99
    formats = ["usd"] if toy == "usd" else ["mjcf"]
    process_server.run(build, engine="carts 1", scenes=formats, several=toy != "alone")
