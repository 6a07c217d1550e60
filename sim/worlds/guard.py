"""What watches over Warp worlds on the device: states that are not numbers, lost contacts.

Every control step: the state before it is remembered in worlds that are well; a world whose state
has become invalid is put back to its start and marked until its reset; overflow and the greatest
numbers of contacts and constraint rows are kept. Nothing waits for the device but
`capacity_problem` and `incidents`.
"""

# MuJoCo's extension modules have no stubs; Warp's are incomplete.
# pyright: standard, reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mujoco_warp as mjw
import numpy as np
import warp as wp
from torch import Tensor

from .guard_kernels import clear, look, remember, remember_path, restart
from .incident import Incident

if TYPE_CHECKING:
    from .warp import WarpWorld

REMEMBERED = ("qpos", "qvel", "act", "qacc_warmstart", "ctrl", "mocap_pos", "mocap_quat")
"""Fields of the state from which a control step can be run again."""


class Guard:
    """Watches over the worlds of a `WarpWorld`; its methods are recorded into the world's graphs.

    Attributes:
        diverged: (N,) bool, worlds whose state became invalid since their reset.
    """

    def __init__(self, world: WarpWorld) -> None:
        """Allocate what is kept for each world."""
        self._world, state = world, world.state
        n, device = world.num_worlds, world.warp_device
        self._bad, self._diverged, self._frozen = (
            wp.zeros(n, dtype=wp.bool, device=device) for _ in range(3)
        )
        self.diverged: Tensor = wp.to_torch(self._diverged)
        self._lost = wp.zeros(n, dtype=int, device=device)
        self._peak = wp.zeros(2, dtype=int, device=device)  # contacts of all worlds, rows of one
        self._contacts = wp.zeros(1, dtype=int, device=device)  # of all worlds, after a step
        self._live = {
            name: wp.from_torch(wp.to_torch(getattr(state, name)).reshape(n, -1))
            for name in REMEMBERED
        }
        self._kept = {name: wp.zeros_like(values) for name, values in self._live.items()}
        self._paths: dict[int, Any] = {}  # by substeps: recorded graphs write to each of them
        self._substeps = wp.zeros(n, dtype=int, device=device)
        self._start = [
            wp.array(np.asarray(values, dtype=np.float32), device=device)
            for values in (world.start.qpos, world.start.qvel, world.start.ctrl)
        ]

    def remember(self, path: Any) -> None:
        """Keep the state before a step and its controls (S, N, nu), in worlds that are well."""
        for name, values in self._live.items():
            if values.size:
                kept = self._kept[name]
                wp.launch(remember, dim=values.shape, inputs=[self._frozen, values, kept])
        kept = self._paths.setdefault(path.shape[0], wp.zeros_like(path))
        wp.launch(
            remember_path,
            dim=path.shape,
            inputs=[self._frozen, path],
            outputs=[kept, self._substeps],
        )

    def look(self) -> None:
        """Find invalid states after a step and put these worlds back to their start."""
        state = self._world.state
        wp.launch(
            look,
            dim=self._world.num_worlds,
            inputs=[state.qpos, state.qvel, state.overflow, state.nefc, state.nacon],
            outputs=[
                self._bad, self._diverged, self._frozen, self._lost, self._peak, self._contacts
            ],
        )  # fmt: skip
        self._put_back(self._bad)

    def restart(self, chosen: Any) -> None:
        """Put chosen worlds (N,) to their start; they are well again.

        The engine's reset clears their contacts in the list of all worlds, and the length of the
        list with world 0: it is put back, so that other worlds keep theirs.
        """
        self._put_back(chosen)
        wp.launch(
            clear,
            dim=self._world.num_worlds,
            inputs=[chosen, self._contacts],
            outputs=[self._diverged, self._world.state.nacon],
        )

    def _put_back(self, chosen: Any) -> None:
        state = self._world.state
        wp.launch(
            restart,
            dim=self._world.num_worlds,
            inputs=[chosen, *self._start],
            outputs=[state.qpos, state.qvel, state.ctrl, state.qacc_warmstart, state.sensordata],
        )

    def capacity_problem(self, contacts: int, rows: int) -> str | None:
        """Return what was lost since the last call and what to raise, or None; waits.

        Args:
            contacts: room per world.
            rows: room in each world.
        """
        lost = self._lost.numpy()
        bits = int(np.bitwise_or.reduce(lost))
        if not bits:
            return None
        found, most_rows = (int(value) for value in self._peak.numpy())
        most_contacts = -(-found // self._world.num_worlds)
        names = " ".join(
            str(flag.name) for flag in mjw.OverflowType if flag.value & bits and flag.name != "ALL"
        )
        worlds = int(np.count_nonzero(lost))
        self._lost.zero_()
        return (
            f"MuJoCo Warp had no room in {worlds} of {len(lost)} worlds ({names}): up to "
            f"{most_contacts} contacts per world (room for {contacts}) and {most_rows} constraint "
            f"rows in one (room for {rows}); raise `contacts` or `rows` beyond these"
        )

    def incidents(self) -> list[Incident]:
        """Return what led to each divergence since the last call; waits for the device."""
        worlds = np.flatnonzero(self._frozen.numpy())
        if not len(worlds):
            return []
        state = {name: values.numpy() for name, values in self._kept.items()}
        paths = {count: path.numpy() for count, path in self._paths.items()}
        substeps = self._substeps.numpy()
        self._frozen.zero_()
        return [
            Incident(
                world=int(i),
                state={k: v[i] for k, v in state.items()},
                controls=paths[int(substeps[i])][:, i, : self._world.model.nu].copy(),
            )
            for i in worlds
        ]
