"""The one page in the browser: meshes at many places, arrows, marks, a panel beside them.

The viewer, recordings by hand and the operator's page are built on it.

It knows no simulator: whoever shows something gives meshes once and places per picture. The page
is served on this machine only unless told otherwise; there is no password, but pages of other sites
that are open in a browser are refused.
"""

# pyright: standard

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import viser
from numpy.typing import NDArray

from .page_origin import own_page_only

Vectors: TypeAlias = NDArray[Any]

GROUND_COLOR, LINE_COLOR, SECTION_COLOR = (226, 229, 234), (208, 212, 219), (188, 193, 202)
SHAFT, HEAD, HEAD_LENGTH = 0.003, 0.008, 0.02
"""Radii of arrows, and the length of their heads [m]."""


class Page:
    """A server with a scene and a panel: `scene` is where things are drawn, `gui` the panel."""

    def __init__(self, title: str, *, host: str = "127.0.0.1", port: int = 8080) -> None:
        """Start to serve.

        Args:
            title: of the page.
            host: address that it listens at.
            port: 0 takes any that is free.

        Raises:
            ValueError: the port cannot be had; one line.
        """
        check_port(host, port)
        with _quiet(), own_page_only(host):
            self._server = viser.ViserServer(host=host, port=port, label=title, verbose=False)
        self.address = f"http://{host}:{self._server.get_port()}"
        self.gui = self._server.gui
        self.gui.configure_theme(
            show_logo=False,
            show_share_button=False,  # it would make the page public
        )
        self.gui.main_panel.dock_right()
        self._meshes: dict[str, viser.BatchedMeshHandle] = {}
        self.scene = scene = self._server.scene
        scene.configure_environment_map(None)
        scene.configure_default_lights(enabled=False)
        scene.add_light_hemisphere(
            "/light/sky", sky_color=(255, 255, 255), ground_color=(120, 118, 115), intensity=1.25
        )
        scene.add_light_directional(
            "/light/sun", intensity=1.5, position=(1.5, -2.0, 4.0), cast_shadow=False
        )
        nothing = np.zeros((1, 2, 3), dtype=np.float32)
        self._arrows = scene.add_arrows(
            "/arrows", nothing, (0, 0, 0), shaft_radius=SHAFT, head_radius=HEAD,
            head_length=HEAD_LENGTH, visible=False,
        )  # fmt: skip
        self._label = scene.add_label("/label", "", visible=False)

    def add_ground(self, height: float) -> None:
        """Draw a floor without an end at a height [m]."""
        self._server.scene.add_grid(
            "/ground", infinite_grid=True, position=(0.0, 0.0, height), plane_color=GROUND_COLOR,
            plane_opacity=1.0, cell_color=LINE_COLOR, section_color=SECTION_COLOR, cell_size=0.5,
            section_size=2.0, fade_distance=40.0,
        )  # fmt: skip

    def add_meshes(
        self, name: str, vertices: Vectors, faces: Vectors, positions: Vectors, turns: Vectors
    ) -> None:
        """Draw a mesh at many places.

        Args:
            name: by which it is moved and coloured.
            vertices: (V, 3) [m].
            faces: (F, 3) numbers of vertices, anticlockwise from outside.
            positions: (K, 3) [m].
            turns: (K, 4) unit quaternions wxyz.
        """
        self._meshes[name] = self._server.scene.add_batched_meshes_simple(
            f"/{name}", vertices, faces, turns, positions, lod="off",
            cast_shadow=False, receive_shadow=False,
        )  # fmt: skip

    def color_meshes(self, name: str, scales: Vectors, colors: Vectors, opacities: Vectors) -> None:
        """Change sizes (K, 3), colours (K, 3) uint8 and opacities (K,) of a mesh's places."""
        mesh = self._meshes[name]
        mesh.batched_scales = scales.astype(np.float32)
        mesh.batched_colors = colors
        if (opacities < 1.0).any():
            mesh.batched_opacities = opacities.astype(np.float32)

    def move_meshes(self, places: Mapping[str, tuple[Vectors, Vectors]]) -> None:
        """Move meshes together: positions (K, 3) [m] and turns (K, 4) by name."""
        with self._server.atomic():
            for name, (positions, turns) in places.items():
                self._meshes[name].batched_positions = positions.astype(np.float32)
                self._meshes[name].batched_wxyzs = turns.astype(np.float32)

    def draw_arrows(self, points: Vectors, color: tuple[int, int, int]) -> None:
        """Draw arrows (A, 2, 3) from tail to tip [m] instead of those before."""
        if len(points):
            self._arrows.colors = np.array(color, dtype=np.uint8)
            self._arrows.points = points.astype(np.float32)
        self._arrows.visible = len(points) > 0

    def label(self, text: str, position: Sequence[float]) -> None:
        """Write a text at a place in the scene [m]."""
        self._label.text = text
        self._label.position = np.asarray(position)
        self._label.visible = True

    def look(self, eye: Sequence[float], target: Sequence[float]) -> None:
        """Let whoever opens the page look from one point to another [m]."""
        camera = self._server.initial_camera
        camera.position, camera.look_at = np.asarray(eye), np.asarray(target)

    def turn_cameras(self, eye: Sequence[float], target: Sequence[float]) -> None:
        """Let all who have the page open look from one point to another [m]."""
        for client in self._server.get_clients().values():
            client.camera.position = np.asarray(eye)
            client.camera.look_at = np.asarray(target)

    def shift_cameras(self, offset: Vectors) -> None:
        """Move what all who have the page open look from and at, by (3,) [m]."""
        for client in self._server.get_clients().values():
            client.camera.position = client.camera.position + offset

    def at_once(self) -> contextlib.AbstractContextManager[None]:
        """Let changes of the scene be seen together."""
        return self._server.atomic()

    def watched(self) -> int:
        """Return how many browsers have the page open."""
        return len(self._server.get_clients())

    def stop(self) -> None:
        """Stop to serve; no thread is left."""
        with _quiet():
            self._server.stop()


def check_port(host: str, port: int) -> None:
    """See that a port can be listened at; the server would take the next one without a word.

    Raises:
        ValueError: it cannot; one line.
    """
    if not 0 <= port < 65536:
        raise ValueError(f"--port: expected 0 to 65535, got {port}")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ValueError(
                f"{host} port {port} cannot be had ({error.strerror or error}): choose another "
                "--port, or 0 for any"
            ) from error


def _quiet() -> contextlib.redirect_stdout[io.StringIO]:
    """Keep the server from printing its banner: the command prints its own line."""
    return contextlib.redirect_stdout(io.StringIO())
