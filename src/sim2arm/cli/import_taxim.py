"""`sim2arm import taxim FILE`: a gradient table of a calibration of Taxim."""

# pyright: standard

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from sim2arm.calibration.press_pictures import read_picture
from sim2arm.calibration.taxim import convert_taxim
from sim2arm.core.gradient_table import NODES, GradientTable
from sim2arm.core.gradient_table_file import write_table

from .errors import UserError, user_input
from .parse import parse


@dataclass(frozen=True, kw_only=True)
class ImportTaximCfg:
    """Make the colour table of a gel of Taxim's polycalib.npz."""

    path: Annotated[Positional[Path], arg(metavar="FILE")]
    """The npz file."""
    background: Path
    """Picture of the flat gel, of the size that the file was calibrated with."""
    channels: Literal["rgb", "bgr"]
    """What grad_r, grad_g and grad_b hold: bgr if the file was made from pictures of OpenCV."""
    area_mm: tuple[float, float]
    """Width and height of what the picture shows of the gel [mm]."""
    sensor: str
    """Name of the sensor."""
    licence: str
    """Of the file; Taxim's own are MIT."""
    out: Path
    """Table to write, `.safetensors`."""
    nodes: int = NODES
    """Nodes of the table along each axis, odd."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run."""
    cfg = parse(ImportTaximCfg, argv, "sim2arm import taxim")
    table = run(cfg)
    print(f"{cfg.out}: {table.nodes} x {table.nodes} nodes, {table.source}")
    return 0


def run(cfg: ImportTaximCfg) -> GradientTable:
    """Convert and write; return the table.

    Raises:
        UserError: the files make no table, or it cannot be written.
    """
    if cfg.out.suffix != ".safetensors":
        raise UserError(f"--out: expected a name ending in .safetensors, got {cfg.out}")
    if cfg.nodes < 3 or cfg.nodes % 2 == 0:
        raise UserError(f"--nodes: expected an odd number, 3 or more, got {cfg.nodes}")
    with user_input("import taxim"):
        table = convert_taxim(
            cfg.path,
            read_picture(cfg.background),
            channels=cfg.channels,
            size=(1e-3 * cfg.area_mm[0], 1e-3 * cfg.area_mm[1]),
            sensor=cfg.sensor,
            licence=cfg.licence,
            nodes=cfg.nodes,
        )
    with user_input("table", cfg.out):
        write_table(cfg.out, table)
    return table
