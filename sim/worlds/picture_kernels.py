"""What the ray caster drew, into tensors: one pass over the pixels of chosen worlds."""

import warp as wp

wp.set_module_options({"enable_backward": False})


@wp.kernel
def unpack_rgb(
    packed: wp.array2d(dtype=wp.uint32),
    start: int,
    chosen: wp.array(dtype=wp.bool),
    rgb: wp.array3d(dtype=wp.uint8),
):
    """Split 0xAARRGGBB; packed (N, all pixels), rgb (N, pixels of one camera, 3)."""
    world, pixel = wp.tid()
    if chosen[world]:
        value = packed[world, start + pixel]
        rgb[world, pixel, 0] = wp.uint8((value >> wp.uint32(16)) & wp.uint32(255))
        rgb[world, pixel, 1] = wp.uint8((value >> wp.uint32(8)) & wp.uint32(255))
        rgb[world, pixel, 2] = wp.uint8(value & wp.uint32(255))


@wp.kernel
def unpack_depth(
    drawn: wp.array2d(dtype=float),
    start: int,
    chosen: wp.array(dtype=wp.bool),
    farthest: float,
    depth: wp.array2d(dtype=float),
):
    """Copy depth [m], 0 for what lies beyond the farthest; depth (N, pixels of one camera)."""
    world, pixel = wp.tid()
    if chosen[world]:
        value = drawn[world, start + pixel]
        depth[world, pixel] = wp.where(value < farthest, value, 0.0)


@wp.kernel
def unpack_geoms(
    drawn: wp.array2d(dtype=wp.vec2i),
    start: int,
    chosen: wp.array(dtype=wp.bool),
    geoms: wp.array2d(dtype=int),
):
    """Copy numbers of geoms out of (number, type), -1 for none."""
    world, pixel = wp.tid()
    if chosen[world]:
        geoms[world, pixel] = drawn[world, start + pixel][0]
