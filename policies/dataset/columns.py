"""Which column an array of the contract becomes."""

from __future__ import annotations

from sim2arm.core.spec import ArraySpec

from .layout import Feature


def column_of(spec: ArraySpec) -> tuple[str, Feature]:
    """Return the column of an array that cameras, gels or tasks give.

    Colours of cameras become a video, those of gels, which a video would spoil, images without
    loss; what is no picture stays as it is.
    """
    shape = spec.shape if spec.shape else (1,)
    if spec.dtype == "uint8" and len(shape) == 3 and shape[2] == 3:
        if spec.name.startswith("touch_") or shape[0] % 2 or shape[1] % 2:
            return f"observation.tactile.{spec.name}", Feature(dtype="image", shape=shape)
        return f"observation.images.{spec.name}", Feature(dtype="video", shape=shape)
    feature = Feature(
        dtype=spec.dtype, shape=shape, unit=spec.unit, frame=spec.frame or "",
        names=spec.element_names or None,
    )  # fmt: skip
    return f"observation.{spec.name}", feature
