"""One world of a worker on the client's side: its shared memory and the views of it."""

# pyright: standard

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from .pictures import Pictures, Shot
from .process_client import Worker
from .process_protocol import Message, view_in


class Link:
    """One world in a worker, its memory, and what of it is current on this side."""

    def __init__(self, worker: Worker, memory: tuple[int, int], **request: Any) -> None:
        self._worker, self._world = worker, worker.new_world()
        self.version = 0
        self._current: set[int] = set()  # outputs whose shared arrays are of this version
        self._read: set[int] = set()  # since the last step
        weakref.finalize(self, worker.dropped.append, self._world)
        self.facts, self.views = self.ask("build", [memory], **request)
        self.chosen = self.views["chosen"]

    def ask(
        self, do: str, memory: Sequence[tuple[int, int]] = (), **request: Any
    ) -> tuple[Message, dict[str, Tensor]]:
        """Return the answer to a command and the arrays that came with it."""
        ok = self._worker.ask(do, self._world, memory, **request)
        regions = self._worker.memory[self._world]
        return ok, {
            name: torch.from_numpy(view_in(regions[view["region"]], view))
            for name, view in ok["views"].items()
        }

    def step(self, substeps: int | None) -> None:
        """Advance; outputs that were read since the last step come with the answer."""
        then, self._read = self._read, set()
        self._advance("step", then, substeps=substeps)

    def forward(self, ids: Tensor | None) -> None:
        """Make current what was read since the last step."""
        self._advance("forward", set(self._read), masked=self.choose(ids))

    def change(self, do: str, ids: Tensor | None) -> None:
        """Run `reset` or `commit_fields`."""
        self._advance(do, set(), masked=self.choose(ids))

    def _advance(self, do: str, then: set[int], **request: Any) -> None:
        self.version, self._current = self.version + 1, set()
        if do in ("step", "forward"):
            request["then"] = sorted(then)
        self.ask(do, **request)
        self._current = then

    def choose(self, ids: Tensor | None) -> bool:
        """Write the mask of chosen worlds; return whether there is one."""
        if ids is None:
            return False
        if ids.dtype == torch.bool:
            self.chosen.copy_(ids)
        else:
            self.chosen.zero_()
            self.chosen[ids] = True
        return True

    def make_current(self, output: int) -> None:
        """Have an output computed if it is not of this version."""
        self._read.add(output)
        if output not in self._current:
            self.ask("read", then=[output])
            self._current.add(output)

    def share_output(self, kind: str, names: Sequence[str]) -> tuple[int, Tensor]:
        """Return number and shared array of a new output, current."""
        ok, views = self.ask("output", kind=kind, names=list(names))
        self._current.add(ok["output"])
        return ok["output"], views["value"]


class Output:
    """Something that the worker computes, as a copy that nobody overwrites."""

    def __init__(self, link: Link, kind: str, names: Sequence[str]) -> None:
        self._link = link
        self._number, self._shared = link.share_output(kind, names)
        self._version, self._value = -1, self._shared

    def now(self) -> Tensor:
        """Return the array (N, ...) of the present state."""
        if self._version != self._link.version:
            self._link.make_current(self._number)
            self._version, self._value = self._link.version, self._shared.clone()
        return self._value


class Joints:
    """See `JointsView`."""

    def __init__(self, link: Link, names: Sequence[str]) -> None:
        self._link, self.names = link, list(names)
        _, views = link.ask("live", kind="joints", names=self.names)
        self.q, self.dq = views["q"], views["dq"]
        self._target: Tensor | None = None

    @property
    def target(self) -> Tensor:
        """See `JointsView`."""
        if self._target is None:
            self._target = self._link.ask("live", kind="target", names=self.names)[1]["value"]
        return self._target


class FreeBody:
    """See `FreeBodyView`."""

    def __init__(self, link: Link, name: str) -> None:
        _, views = link.ask("live", kind="free_body", names=[name])
        self.q, self.dq = views["q"], views["dq"]


class Frame:
    """See `FrameView`; the twist is shared when it is first asked for."""

    def __init__(self, link: Link, kind: str, name: str) -> None:
        self._link, self._kind, self._name = link, kind, name
        self._outputs = {"pose": Output(link, f"{kind}_pose", [name])}

    @property
    def pose(self) -> Tensor:
        """See `FrameView`."""
        return self._outputs["pose"].now()

    @property
    def twist(self) -> Tensor:
        """See `FrameView`."""
        if "twist" not in self._outputs:
            self._outputs["twist"] = Output(self._link, f"{self._kind}_twist", [self._name])
        return self._outputs["twist"].now()


class ProcessCameras:
    """See `Cameras`."""

    def __init__(self, link: Link, shots: Sequence[Shot]) -> None:
        self._link = link
        asked = [{**asdict(shot), "outputs": list(shot.outputs)} for shot in shots]
        ok, views = link.ask("cameras", shots=asked)
        self.renderer, self._number = str(ok["renderer"]), int(ok["cameras"])
        self.pictures = {
            shot.camera: Pictures(**{each: views[f"{shot.camera}/{each}"] for each in shot.outputs})
            for shot in shots
        }
        self._fields: dict[str, Tensor] = {}

    def draw(self, chosen: Tensor | None = None) -> dict[str, Pictures]:
        """See `Cameras`."""
        self._link.ask("draw", cameras=self._number, masked=self._link.choose(chosen))
        return self.pictures

    def field(self, name: str) -> Tensor:
        """See `Cameras`."""
        if name not in self._fields:
            _, views = self._link.ask("shown", cameras=self._number, name=name)
            self._fields[name] = views["value"]
        return self._fields[name]
