# pyright: standard, reportMissingModuleSource=false
"""The operator's page as a process, in front of a rig and in a real browser."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path

from sim2arm_ros.launcher import operator_page
from tests.browser import Browser, Tab

from .rig import Rig


class Stand:
    """The rig, the page, and a browser that has it open."""

    def __init__(self, folder: Path, rig: Rig, *, scale: float = 0.2) -> None:
        """Start the page and open it; the rig is ended with it."""
        self.folder, self.rig, self._scale = folder, rig, scale
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.address = f"http://127.0.0.1:{self.port}"
        self.browser = Browser(folder / "profile")
        try:
            self.start_page()
            self.tab = self.open()
        except BaseException:
            self.close()
            raise

    def start_page(self) -> None:
        """Start the page; one that was killed is started again."""
        page = operator_page(self.rig.bundle, port=self.port, simulated=True)
        self.rig.launch.start(page, self.rig.env)

        def serves() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        self.rig.wait(serves, "page")

    def open(self, width: int = 600, height: int = 400) -> Tab:
        """Open the page once more, until it shows where every joint is."""
        tab = self.browser.open(self.address, width, height, scale=self._scale)
        tab.wait(lambda: len(joint_rows(tab)) == 7, "joints with their values")
        return tab

    def close(self) -> None:
        """End browser and processes."""
        self.browser.close()
        self.rig.close()


def joint_rows(tab: Tab) -> dict[str, tuple[str, ...]]:
    """Return what is written in each row of a joint whose position is known: name -> cells."""
    script = (
        "Object.fromEntries([...document.querySelectorAll('#joints tr[data-joint]')].map(row => "
        "[row.dataset.joint, [...row.cells].map(cell => cell.innerText)]))"
    )
    return {name: tuple(cells) for name, cells in tab.evaluate(script).items()}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A picture on the page."""

    label: str
    source: str
    """Address of what it shows now: another one with each picture."""
    edge: tuple[int, int, int]
    """Colour of its upper edge."""
    middle: tuple[int, int, int]
    colors: int
    """How many there are."""


def shown(tab: Tab, name: str) -> Shown | None:
    """Return the picture whose label begins with a name, None while there is none."""
    found = tab.evaluate(f"({_PICTURE})({json.dumps(name)})")
    if found is None:
        return None
    edge, middle = (tuple(found[key]) for key in ("edge", "middle"))
    return Shown(
        label=found["label"], source=found["source"], edge=edge, middle=middle,
        colors=found["colors"],
    )  # fmt: skip


_PICTURE = """name => {
  const image = [...document.querySelectorAll('img')].find(i => i.src.startsWith('blob:') &&
    i.parentElement.parentElement.innerText.trim().startsWith(name));
  if (!image || !image.complete || !image.naturalWidth) return null;
  const w = image.naturalWidth, h = image.naturalHeight;
  const canvas = Object.assign(document.createElement('canvas'), {width: w, height: h});
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const all = context.getImageData(0, 0, w, h).data, colors = new Set();
  for (let i = 0; i < all.length; i += 4) colors.add(all.slice(i, i + 3).join());
  const at = y => [...all.slice(4 * (y * w + (w >> 2)), 4 * (y * w + (w >> 2)) + 3)];
  return {label: image.parentElement.parentElement.innerText.trim(), source: image.src,
    edge: at(1), middle: at(h >> 1), colors: colors.size};
}"""
"""Pixels are read a quarter of the way to the right: in the middle lies the gap between gels."""
