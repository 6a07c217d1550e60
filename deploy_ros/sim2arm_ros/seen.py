"""Messages of cameras and gels as pictures for a person."""

from __future__ import annotations

from typing import Any

from .convert_pictures import decoded, image_array
from .graph import InputBinding
from .page_pictures import Picture, picture_of
from .pictures import IMAGE


def picture_from(message: Any, binding: InputBinding, gels: int = 1) -> Picture:
    """Return what a message shows, (height, width, 3).

    Args:
        message: of the type of the binding.
        binding: its topic.
        gels: of a field of forces, one below the other.

    Raises:
        ValueError: it cannot be read; one line.
    """
    if binding.type == IMAGE:
        return picture_of(image_array(message), str(message.encoding), gels)
    return picture_of(decoded(message), str(binding.encoding), gels)
