"""The worker of world `process`: `MujocoWorld` behind `process_protocol`.

Run by the client as `python -m sim2arm.sim.worlds.process_worker --channel FD`.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence

import mujoco
import torch

from .mujoco import MujocoWorld
from .pictures import OUTPUTS, Cameras, Shot
from .process_protocol import Array, Message
from .process_server import run

SCENE = f"mjb {mujoco.__version__}"
"""The compiled model in MuJoCo's binary format, which is that of one version."""


class MujocoEngine:
    """A `MujocoWorld` as NumPy arrays; see `process_server.Engine`."""

    def __init__(self, world: MujocoWorld) -> None:
        """Take the world."""
        self._world = world
        self.num_worlds, self.dtype = world.num_worlds, "float64"
        self.timestep, self.actuators = world.timestep, world.actuators

    def memory(self) -> Sequence[Array]:
        """See `Engine`: state, controls, mocap bodies and equalities are one array."""
        return [self._world.batch.state]

    def live(self, kind: str, names: Sequence[str]) -> dict[str, Array]:
        """See `Engine`."""
        world = self._world
        if kind == "time":
            return {"time": world.time.numpy()}
        if kind == "joints":
            joints = world.joints(names)
            return {"q": joints.q.numpy(), "dq": joints.dq.numpy()}
        if kind == "target":
            return {"value": world.joints(names).target.numpy()}
        if kind == "free_body":
            body = world.free_body(*names)
            return {"q": body.q.numpy(), "dq": body.dq.numpy()}
        kinds = {"mocap": world.mocap, "equality": world.equality, "field": world.field}
        return {"value": kinds[kind](*names).numpy()}

    def diverged(self) -> Array:
        """See `Engine`."""
        return self._world.diverged.numpy()

    def output(self, kind: str, names: Sequence[str]) -> Callable[[], Array]:
        """See `Engine`."""
        world = self._world
        if kind == "pair_force":
            return lambda: world.pair_force(*names).numpy()
        if kind == "jacobian":
            return lambda: world.jacobian(names[0], names[1:]).numpy()
        place, quantity = kind.split("_")
        frame = {"body": world.body, "site": world.site}[place](*names)
        return lambda: getattr(frame, quantity).numpy()

    def step(self, targets: Array | None) -> None:
        """See `Engine`."""
        self._world.step(None if targets is None else torch.from_numpy(targets))

    def reset(self, chosen: Array | None) -> None:
        """See `Engine`."""
        self._world.reset(_tensor(chosen))

    def forward(self, chosen: Array | None) -> None:
        """See `Engine`."""
        self._world.forward(_tensor(chosen))

    def commit_fields(self, chosen: Array | None) -> None:
        """See `Engine`."""
        self._world.commit_fields(_tensor(chosen))

    def check_capacity(self) -> None:
        """See `Engine`."""
        self._world.check_capacity()

    def cameras(self, shots: Sequence[Message]) -> MujocoCameras:
        """See `Engine`."""
        asked = [Shot(**{**shot, "outputs": tuple(shot["outputs"])}) for shot in shots]
        return MujocoCameras(self._world.cameras(asked))


class MujocoCameras:
    """Cameras of a `MujocoWorld`; see `process_server.EngineCameras`."""

    def __init__(self, cameras: Cameras) -> None:
        """Take the cameras."""
        self._cameras, self.renderer = cameras, cameras.renderer

    def pictures(self) -> dict[str, Array]:
        """See `EngineCameras`."""
        return {
            f"{camera}/{output}": getattr(pictures, output).numpy()
            for camera, pictures in self._cameras.pictures.items()
            for output in OUTPUTS
            if getattr(pictures, output) is not None
        }

    def draw(self, chosen: Array | None) -> None:
        """See `EngineCameras`."""
        self._cameras.draw(_tensor(chosen))

    def field(self, name: str) -> Array:
        """See `EngineCameras`."""
        return self._cameras.field(name).numpy()


def _tensor(chosen: Array | None) -> torch.Tensor | None:
    return None if chosen is None else torch.from_numpy(chosen)


def build(request: Message, scene: mmap.mmap) -> MujocoEngine:
    """Return the engine of a compiled scene."""
    size = request["regions"][0][1]
    model = mujoco.MjModel.from_binary_path("scene.mjb", {"scene.mjb": scene[:size]})
    world = MujocoWorld(
        model,
        request["num_worlds"],
        timestep=request["timestep"],
        control_substeps=request["control_substeps"],
        num_threads=request["threads"],
    )
    return MujocoEngine(world)


if __name__ == "__main__":
    torch.set_num_threads(1)  # the physics has its own
    run(build, engine=f"mujoco {mujoco.__version__}", scenes=[SCENE], several=True)
