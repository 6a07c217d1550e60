"""What watches over Warp worlds on the device: states that are not numbers, lost contacts.

Every control step: the state before it is remembered in worlds that are well; a world whose state
has become invalid is put back to its start and marked until its reset (poses written to its mocap
bodies are handed over again with the next step); overflow and the greatest numbers of contacts and
constraint rows are kept. Nothing waits for the device but `capacity_problem` and `incidents`.
"""

# MuJoCo's extension modules have no stubs; Warp's are incomplete.
# pyright: standard, reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mujoco_warp as mjw
import numpy as np
import torch
import warp as wp
from torch import Tensor

from .base import CapacityError
from .guard_kernels import clear, look, remember, remember_flags, remember_path, restart
from .incident import Incident

if TYPE_CHECKING:
    from .warp import WarpWorld

STARTED = ("qpos", "qvel", "ctrl", "act", "mocap_pos", "mocap_quat", "eq_active")
"""Fields of the state at which a world starts, in the order of the kernel `restart`."""
REMEMBERED = (*STARTED, "qacc_warmstart")
"""Fields of the state from which a control step can be run again."""
ROOM = {
    "contacts": mjw.OverflowType.BROADPHASE | mjw.OverflowType.NARROWPHASE | mjw.OverflowType.CCD,
    "rows": mjw.OverflowType.NEFC | mjw.OverflowType.NJMAX_NNZ,
}
"""What of MuJoCo Warp overflows where a number of `WarpWorld` is too small."""
FIXED = (
    mjw.OverflowType.HFIELD | mjw.OverflowType.CONTACT_MATCH | mjw.OverflowType.NVMAX
    | mjw.OverflowType.TACTILE
)  # fmt: skip
"""What else has no room; the solver's limits of iterations and EPA's horizon lose nothing."""


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
        self._live = {name: _rows(wp.to_torch(getattr(state, name))) for name in REMEMBERED}
        self._kept = {name: wp.zeros_like(values) for name, values in self._live.items()}
        self._same = wp.zeros(n, dtype=wp.bool, device=device)  # well, or broken for longer
        self._fields: dict[str, tuple[Any, Any, Tensor]] = {}  # live and kept rows, and these
        self._paths: dict[int, Any] = {}  # by substeps: recorded graphs write to each of them
        self._substeps = wp.zeros(n, dtype=int, device=device)
        self._start = [
            wp.array(
                np.ravel(getattr(world.start, name)), dtype=self._live[name].dtype, device=device
            )
            for name in STARTED
        ]

    def remember(self, path: Any) -> None:
        """Keep the state before a step and its controls (S, N, nu), in worlds that are well."""
        for name, values in self._live.items():
            _keep(self._frozen, values, self._kept[name])
        if path.shape[0] not in self._paths:
            self._paths[path.shape[0]] = wp.zeros_like(path)
        wp.launch(
            remember_path,
            dim=path.shape,
            inputs=[self._frozen, path],
            outputs=[self._paths[path.shape[0]], self._substeps],
        )

    def keep_field(self, name: str, values: Tensor) -> bool:
        """Keep from now on the rows of a model field (N, ...) of worlds as they break.

        A new episode may have other values before anybody asks for the incident.

        Returns:
            False where it was kept already.
        """
        if name in self._fields:
            return False
        kept = torch.zeros_like(values)
        self._fields[name] = (_rows(values), _rows(kept), kept)
        return True

    def look(self) -> None:
        """Find invalid states after a step and put these worlds back to their start."""
        state = self._world.state
        wp.launch(
            look,
            dim=self._world.num_worlds,
            inputs=[state.qpos, state.qvel, state.overflow, state.nefc, state.nacon],
            outputs=[
                self._bad, self._diverged, self._frozen, self._same, self._lost, self._peak,
                self._contacts,
            ],
        )  # fmt: skip
        for live, kept, _ in self._fields.values():
            _keep(self._same, live, kept)
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
        live = [self._live[name] for name in REMEMBERED]
        wp.launch(
            restart,
            dim=self._world.num_worlds,
            inputs=[chosen, *self._start],
            outputs=[*live, self._world.state.sensordata],
        )

    def capacity_problem(self, contacts: int, rows: int) -> CapacityError | None:
        """Return what was lost since the last call and what to raise, or None; waits.

        Args:
            contacts: room per world.
            rows: room in each world.
        """
        counted = FIXED | ROOM["contacts"] | ROOM["rows"]
        lost = self._lost.numpy() & int(counted)
        bits = int(np.bitwise_or.reduce(lost))
        if not bits:
            return None
        found, most_rows = (int(value) for value in self._peak.numpy())
        most_contacts = -(-found // self._world.num_worlds)
        names = " ".join(str(flag.name) for flag in counted if flag & bits)
        worlds = int(np.count_nonzero(lost))
        self._lost.zero_()
        # The peaks are those at the ends of control steps; there may be more in between.
        needed = {"contacts": max(most_contacts, 2 * contacts), "rows": max(most_rows, 2 * rows)}
        needed = {name: needed[name] for name, flags in ROOM.items() if flags & bits}
        advice = " and ".join(f"`{name}` to {number}" for name, number in needed.items())
        return CapacityError(
            f"MuJoCo Warp had no room in {worlds} of {len(lost)} worlds ({names}): up to "
            f"{most_contacts} contacts per world (room for {contacts}) and {most_rows} constraint "
            f"rows in one (room for {rows}); "
            + (f"raise {advice}" if advice else "MuJoCo Warp has no number to raise for this"),
            needed,
        )

    def incidents(self) -> list[Incident]:
        """Return what led to each divergence since the last call; waits for the device."""
        worlds = np.flatnonzero(self._frozen.numpy())
        if not len(worlds):
            return []
        state = {name: values.numpy() for name, values in self._kept.items()}
        paths = {count: path.numpy() for count, path in self._paths.items()}
        fields = {name: kept.cpu().numpy() for name, (_, _, kept) in self._fields.items()}
        substeps = self._substeps.numpy()
        self._frozen.zero_()
        return [
            Incident(
                model=self._world.model,
                world=int(i),
                state={k: v[i] for k, v in state.items()},
                controls=paths[int(substeps[i])][:, i, : self._world.model.nu].copy(),
                fields={k: v[i] for k, v in fields.items()},
            )
            for i in worlds
        ]


def _rows(values: Tensor) -> Any:
    """Return values (N, ...) as rows (N, n) on the same memory: flags, or the bits of numbers."""
    rows = values.view(values.shape[0], -1)
    return wp.from_torch(rows if rows.dtype == torch.bool else rows.view(torch.float32))


def _keep(skipped: Any, rows: Any, kept: Any) -> None:
    """Copy rows (N, n), but those of worlds (N,) that are skipped."""
    if rows.size:
        kernel = remember_flags if rows.dtype == wp.bool else remember
        wp.launch(kernel, dim=rows.shape, inputs=[skipped, rows, kept])
