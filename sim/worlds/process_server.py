"""The worker's part of `process_protocol`: serves worlds of an engine. Python 3.8, NumPy only.

A worker for another simulator is an `Engine` and one line:

    run(build_engine, engine="isaacgym 1.0rc4", scenes=["mjcf"], several=False)
"""

from __future__ import annotations

import argparse
import gc
import mmap
import os
import select
import signal
import socket
import threading
import time
import traceback
from typing import Any, Callable, Dict, List, Mapping, Optional, Protocol, Sequence, Tuple  # noqa: UP035

import numpy as np

from .process_protocol import (
    GRACE_S,
    PROTOCOL,
    Array,
    Channel,
    ChannelClosedError,
    Message,
    new_memory,
    take_memory,
    view_of,
)


class EngineCameras(Protocol):
    """Cameras that are drawn together; see `Cameras` in `pictures.py`."""

    renderer: str

    def pictures(self) -> Mapping[str, Array]:
        """Return the latest pictures by `<camera>/<output>`; `draw` writes them."""
        ...

    def draw(self, chosen: Optional[Array]) -> None:  # noqa: UP045 (Python 3.8)
        """Draw chosen worlds."""
        ...

    def field(self, name: str) -> Array:
        """Return the live values (N, ...) of a model field that pictures show."""
        ...


class Engine(Protocol):
    """N worlds as NumPy arrays in host memory; meanings are those of `World` in `base.py`.

    `chosen` is a mask (N,) bool, None: all worlds.
    """

    num_worlds: int
    dtype: str
    timestep: float

    @property
    def actuators(self) -> Sequence[str]:
        """Names of the controls."""
        ...

    def memory(self) -> Sequence[Array]:
        """Return C-ordered arrays in which live arrays lie; an array elsewhere is shared alone."""
        ...

    def live(self, kind: str, names: Sequence[str]) -> Mapping[str, Array]:
        """Return live arrays (N, ...) of a kind of the protocol, or of `time`."""
        ...

    def diverged(self) -> Array:
        """Return (N,) bool."""
        ...

    def output(self, kind: str, names: Sequence[str]) -> Callable[[], Array]:
        """Return what computes an array (N, ...) at the present state."""
        ...

    def step(self, targets: Optional[Array]) -> None:  # noqa: UP045
        """Advance by one control step, with targets (N, S, controls) or the controls as set."""
        ...

    def reset(self, chosen: Optional[Array]) -> None:  # noqa: UP045
        """Put chosen worlds to their start."""
        ...

    def forward(self, chosen: Optional[Array]) -> None:  # noqa: UP045
        """Make what is derived current."""
        ...

    def commit_fields(self, chosen: Optional[Array]) -> None:  # noqa: UP045
        """Recompute what follows from model fields."""
        ...

    def check_capacity(self) -> None:
        """Raise where contacts were lost."""
        ...

    def cameras(self, shots: Sequence[Message]) -> EngineCameras:
        """Return cameras; each shot has `camera`, `width`, `height` and `outputs`."""
        ...


BuildEngine = Callable[[Message, mmap.mmap], Engine]
"""From the request `build` and the memory that holds the scene."""


class _Region:
    """Shared memory, and the array of the engine that it is a copy of, if it is one.

    `kind` says when the copy is renewed: `state`, `field` or `picture`.
    """

    def __init__(
        self, number: int, shape: Sequence[int], dtype: Any, kind: str, own: Any = None
    ) -> None:
        self.number, self.kind, self.own = number, kind, own
        self.size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.fd, memory = new_memory(self.size)
        self.shared: Array = np.ndarray(tuple(shape), dtype, memory)


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


class HostedWorld:
    """One world in the worker; `answer` does what the client asks."""

    def __init__(self, engine: Engine) -> None:
        """Share what every world has."""
        self.engine = engine
        self._regions: List[_Region] = []  # noqa: UP006 (Python 3.8)
        self._outputs: List[Any] = []  # noqa: UP006
        self._cameras: List[Any] = []  # noqa: UP006
        self._targets: Array = np.zeros(0)
        self.new: List[_Region] = []  # noqa: UP006
        self.views: Dict[str, Message] = {}  # noqa: UP006
        self._commands: Mapping[str, Callable[[Message], Any]] = {
            "step": self._step,
            "reset": lambda request: engine.reset(self._mask(request)),
            "forward": self._forward,
            "commit_fields": lambda request: engine.commit_fields(self._mask(request)),
            "read": self._read,
            "output": self._output,
            "check_capacity": lambda _: engine.check_capacity(),
            "cameras": self._make_cameras,
            "draw": self._draw,
            "room": self._room,
            "live": lambda request: self._live(
                engine.live(request["kind"], request["names"]), request["kind"]
            ),
            "shown": lambda request: self._live(
                {"value": self._cameras[request["cameras"]][0].field(request["name"])}, "field"
            ),
        }
        n = engine.num_worlds
        self._chosen = self._share("chosen", (n,), "bool")
        self._diverged = self._share("diverged", (n,), "bool")
        for array in engine.memory():
            self._add(array.shape, array.dtype, "state", array)
        self._live(engine.live("time", ()), "time")
        self._write_back("state")

    def answer(self, request: Message) -> Message:
        """Do a command; what is new to share stands in `new` and `views` afterwards.

        Raises:
            ValueError: there is no such command, and whatever the engine raises.
        """
        do = request["do"]
        if do not in self._commands:
            raise ValueError(f"command {do!r} is not known")
        if do in ("live", "shown", "room"):  # nothing is computed
            return self._commands[do](request) or {}
        for region in self._regions:
            if region.own is not None and region.kind != "picture":
                np.copyto(region.own, region.shared)
        try:
            return self._commands[do](request) or {}
        finally:
            self._write_back("state")
            if do == "commit_fields":
                self._write_back("field")

    def _write_back(self, kind: str) -> None:
        for region in self._regions:
            if region.own is not None and region.kind == kind:
                np.copyto(region.shared, region.own)
        if kind == "state":
            self._diverged[:] = self.engine.diverged()

    def _mask(self, request: Message) -> Any:
        return self._chosen.copy() if request["masked"] else None

    def _room(self, request: Message) -> None:
        shape = (self.engine.num_worlds, request["substeps"], len(self.engine.actuators))
        self._targets = self._share("targets", shape, self.engine.dtype).reshape(-1)

    def _step(self, request: Message) -> None:
        substeps, targets = request["substeps"], None
        if substeps is not None:
            shape = (self.engine.num_worlds, substeps, len(self.engine.actuators))
            targets = self._targets[: int(np.prod(shape))].reshape(shape)
        self.engine.step(targets)
        self._read(request)

    def _forward(self, request: Message) -> None:
        self.engine.forward(self._mask(request))
        self._read(request)

    def _read(self, request: Message) -> None:
        for number in request["then"]:
            compute, shared = self._outputs[number]
            shared[...] = compute()

    def _output(self, request: Message) -> Message:
        compute = self.engine.output(request["kind"], request["names"])
        value = compute()
        shared = self._share("value", value.shape, value.dtype)
        shared[...] = value
        self._outputs.append((compute, shared))
        return {"output": len(self._outputs) - 1}

    def _make_cameras(self, request: Message) -> Message:
        cameras = self.engine.cameras(request["shots"])
        first = len(self._regions)
        self._live(cameras.pictures(), "picture")
        self._cameras.append((cameras, self._regions[first:]))
        return {"cameras": len(self._cameras) - 1, "renderer": cameras.renderer}

    def _draw(self, request: Message) -> None:
        cameras, regions = self._cameras[request["cameras"]]
        cameras.draw(self._mask(request))
        for region in regions:
            np.copyto(region.shared, region.own)

    def _live(self, arrays: Mapping[str, Array], kind: str) -> None:
        kind = kind if kind in ("field", "picture") else "state"
        for name, array in arrays.items():
            region = self._region_of(array)
            if region is None:
                region = self._add(array.shape, array.dtype, kind, array)
                np.copyto(region.shared, array)
            offset = _address(array) - _address(region.own)
            self.views[name] = view_of(region.number, array, offset)

    def _region_of(self, array: Array) -> Any:
        """Return the region of the engine's memory in which an array begins, None: none yet."""
        for region in self._regions:
            if region.own is not None and array.dtype == region.own.dtype:
                offset = _address(array) - _address(region.own)
                if 0 <= offset < region.size:
                    return region
        return None

    def _share(self, name: str, shape: Sequence[int], dtype: Any) -> Array:
        """Return new shared memory that is no copy of the engine's."""
        region = self._add(shape, dtype, "alone")
        self.views[name] = view_of(region.number, region.shared)
        return region.shared

    def _add(self, shape: Sequence[int], dtype: Any, kind: str, own: Any = None) -> _Region:
        if own is not None and not own.flags.c_contiguous:
            raise TypeError(f"an array of the engine with shape {tuple(shape)} is not C-ordered")
        region = _Region(len(self._regions), shape, dtype, kind, own)
        self._regions.append(region)
        self.new.append(region)
        return region


def serve(channel: Channel, build: BuildEngine, greeting: Message) -> None:
    """Answer until the client is gone.

    Args:
        channel: to the client.
        build: makes an engine.
        greeting: `engine`, `scenes` and `several` of `process_protocol`.
    """
    channel.send(dict(greeting, protocol=PROTOCOL))
    worlds: Dict[int, HostedWorld] = {}  # noqa: UP006
    while True:
        try:
            request, fds = channel.receive()
        except ChannelClosedError:
            return
        for number in request["drop"]:
            worlds.pop(number, None)
        if request["drop"]:
            gc.collect()
        try:
            reply, new = _answer(worlds, build, request, fds)
        except Exception as error:  # whatever an engine raises is the client's to handle
            reply, new = {"error": _describe(error)}, []
        reply = dict(reply, id=request["id"], world=request["world"])
        channel.send(reply, [region.fd for region in new])
        for region in new:
            os.close(region.fd)


def _answer(
    worlds: Dict[int, HostedWorld],  # noqa: UP006
    build: BuildEngine,
    request: Message,
    fds: Sequence[int],
) -> Tuple[Message, List[_Region]]:  # noqa: UP006
    """Return what a command gives and the regions to hand over."""
    if request["do"] == "build":
        scene = take_memory(fds[0], request["regions"][0][1])
        world = worlds[request["world"]] = HostedWorld(build(request, scene))
        engine = world.engine
        ok: Message = {"dtype": engine.dtype, "timestep": engine.timestep}
        ok["actuators"] = list(engine.actuators)
    elif request["world"] in worlds:
        world = worlds[request["world"]]
        ok = world.answer(request)
    else:
        raise ValueError(f"world {request['world']} was not built here")
    new, views = world.new, world.views
    world.new, world.views = [], {}
    return {"ok": dict(ok, views=views, regions=[[r.number, r.size] for r in new])}, new


def _describe(error: Exception) -> Message:
    kinds = [kind.__name__ for kind in type(error).__mro__]
    text = str(error)
    if isinstance(error, KeyError) and error.args and kinds[0] == "KeyError":
        text = str(error.args[0])  # `str` would quote it
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return {"kinds": kinds, "text": text, "trace": trace}


def _end_with_client(channel: Channel) -> None:
    """End this process some time after the client, even if the engine never comes back."""
    poll = select.poll()
    poll.register(channel.fileno(), 0)  # no event but the hang-up of the other side
    poll.poll()
    time.sleep(GRACE_S)
    os._exit(1)


def run(build: BuildEngine, *, engine: str, scenes: Sequence[str], several: bool) -> None:
    """Serve the client that started this process; takes `--channel` from the command line.

    Args:
        build: makes an engine.
        engine: name and version, for error messages.
        scenes: formats that `build` reads, the best first.
        several: whether one process may hold several worlds.
    """
    parser = argparse.ArgumentParser(description="A world in a process of its own, for a client.")
    parser.add_argument("--channel", type=int, required=True, help="descriptor of a Unix socket")
    channel = Channel(socket.socket(fileno=parser.parse_args().channel))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the client's
    threading.Thread(target=_end_with_client, args=(channel,), daemon=True).start()
    serve(channel, build, {"engine": engine, "scenes": list(scenes), "several": several})
