"""`sim2arm calibrate excitation`: a bundle whose policy moves an arm so that its numbers are told.

It runs like any policy, through the gate, on every robot that policies run on.
"""

# pyright: standard

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sim2arm.calibration.excitation import NEAR, ExcitationCfg, make_excitation
from sim2arm.core.contract import Contract, Provenance, StateSpec
from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.core.joint_targets import as_joint_targets
from sim2arm.core.robot_files import find_robot
from sim2arm.policies.bundle import BundleError
from sim2arm.policies.export import ExportError, export_bundle
from sim2arm.sim.arm import SUBSTEPS, SimulatedArm
from sim2arm.sim.contract import arm_contract

from .errors import UserError, user_input
from .outputs import check_bundle
from .parse import parse

POSITION = "joint_position"


@dataclass(frozen=True, kw_only=True)
class CalibrateExcitationCfg:
    """Make a bundle that moves every joint to and fro, for `calibrate dynamics`."""

    robot: str = "fr3"
    """Name of the arm."""
    out: Path | None = None
    """Folder of the bundle. Default: ROBOT-excitation in the working directory."""
    control_hz: float = 60.0
    """Control periods per second."""
    table_height: float = 0.0
    """Height in the frame of the base that everything stays above [m]."""
    overwrite: bool = False
    """Replace a bundle that is there."""
    how: ExcitationCfg = field(default_factory=ExcitationCfg)
    """How the arm moves."""


class Excitation(nn.Module):
    """Plays moves of joints from where they stood at the first tick.

    Where that is far from the home pose it answers what is no number, on which the arm stays where
    it is: the motion was checked about that pose.
    """

    def __init__(self, motion: np.ndarray, home: np.ndarray) -> None:
        """Take moves (T, n) [rad], a row per tick, and the home pose (n,) [rad]."""
        super().__init__()
        self.register_buffer("home", torch.from_numpy(home.astype(np.float32)))
        self.register_buffer("motion", torch.from_numpy(motion.astype(np.float32)))

    def forward(
        self, obs: Mapping[str, Tensor], state: Mapping[str, Tensor], noise: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return joint targets (B, 1, n) [rad] and what is remembered."""
        tick, q = state["tick"], obs[POSITION]
        home: Tensor = self.home  # type: ignore[assignment]
        far = (torch.abs(q - home) > NEAR).to(q.dtype).amax(dim=1, keepdim=True)
        start = torch.where(tick < 0.5, torch.where(far > 0.5, torch.nan, q), state["start"])
        motion: Tensor = self.motion  # type: ignore[assignment]
        row = torch.clamp(tick[:, 0], max=float(len(motion) - 1)).to(torch.int64)
        return (start + motion[row])[:, None], {"tick": tick + 1.0, "start": start}


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run."""
    cfg = parse(CalibrateExcitationCfg, argv, "sim2arm calibrate excitation")
    out = run(cfg)
    seconds = cfg.how.seconds
    print(
        f"{out}: bundle; {seconds:g} s of motion about the home pose of {cfg.robot}, above "
        f"{cfg.table_height:g} m; elsewhere than within {NEAR:g} rad of it the arm stays still"
    )
    print(f"next: sim2arm ros up --bundle {out} --robot {cfg.robot} --record LOG --duration "
          f"{seconds + 3:g}; then: sim2arm calibrate dynamics LOG")  # fmt: skip
    return 0


def run(cfg: CalibrateExcitationCfg) -> Path:
    """Make the bundle; return its folder.

    Raises:
        UserError: the arm is not known, cannot move so, or the folder may not be replaced.
    """
    if cfg.control_hz not in SUBSTEPS:
        raise UserError(f"--control-hz: expected one of {sorted(SUBSTEPS)}, got {cfg.control_hz}")
    out = cfg.out or Path(f"{cfg.robot}-excitation")
    check_bundle(out, overwrite=cfg.overwrite)
    with user_input("calibrate excitation"):
        robot = find_robot(cfg.robot)
        motion = make_excitation(robot, 1.0 / cfg.control_hz, cfg.how, cfg.table_height)
        contract = _contract(cfg, motion)
    home, rng = np.asarray(robot.home), np.random.default_rng(0)
    module = Excitation(motion, home)
    sequences = [
        {POSITION: (home + 0.9 * rng.uniform(-NEAR, NEAR, (256, len(home)))).astype(np.float32)}
        for _ in range(2)
    ]
    try:
        export_bundle(module, contract, sequences, out, overwrite=cfg.overwrite)
    except (ExportError, BundleError) as error:
        raise UserError(f"{out}: {error}") from error
    return out


def _contract(cfg: CalibrateExcitationCfg, motion: np.ndarray) -> Contract:
    arm = SimulatedArm("reach", cfg.robot, control_hz=cfg.control_hz)
    contract = as_joint_targets(
        arm_contract(arm, EeDeltaCfg(), Provenance(experiment="excitation"), lead=0.1)
    )
    home, n = np.asarray(arm.robot.home), motion.shape[1]
    reach = np.abs(motion).max(axis=0) + NEAR
    seen = next(spec for spec in contract.inputs if spec.name == POSITION)
    seen = replace(seen, low=tuple(home - reach), high=tuple(home + reach))
    return replace(
        contract,
        inputs=(seen,),
        states=(
            StateSpec(name_in="tick", name_out="next_tick", shape=(1,), initial=(0.0,)),
            StateSpec(name_in="start", name_out="next_start", shape=(n,), initial=(0.0,) * n),
        ),
    )
