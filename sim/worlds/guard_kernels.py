"""Kernels that watch over Warp worlds; see `guard.py`."""

import warp as wp

_GREATEST = wp.constant(1.0e10)
"""MuJoCo's mjMAXVAL: a state beyond it is invalid."""


@wp.kernel(enable_backward=False)
def remember(
    frozen: wp.array[wp.bool],
    values: wp.array2d[float],
    kept: wp.array2d[float],
):
    """Keep a row of the state of worlds that are not frozen; one thread per number."""
    world, i = wp.tid()
    if not frozen[world]:
        kept[world, i] = values[world, i]


@wp.kernel(enable_backward=False)
def remember_flags(
    frozen: wp.array[wp.bool],
    values: wp.array2d[wp.bool],
    kept: wp.array2d[wp.bool],
):
    """Keep a row of flags of worlds that are not frozen; one thread per flag."""
    world, i = wp.tid()
    if not frozen[world]:
        kept[world, i] = values[world, i]


@wp.kernel(enable_backward=False)
def look(
    qpos: wp.array2d[float],
    qvel: wp.array2d[float],
    overflow: wp.array[int],
    nefc: wp.array[int],
    nacon: wp.array[int],
    bad: wp.array[wp.bool],
    diverged: wp.array[wp.bool],
    frozen: wp.array[wp.bool],
    same: wp.array[wp.bool],
    lost: wp.array[int],
    peak: wp.array[int],
    contacts: wp.array[int],
):
    """Find invalid states, and collect what had no room; one thread per world."""
    world = wp.tid()
    good = bool(True)  # noqa: UP018 -- a variable of Warp, not a constant
    for i in range(qpos.shape[1]):
        good = good and wp.abs(qpos[world, i]) < _GREATEST  # false for nan
    for i in range(qvel.shape[1]):
        good = good and wp.abs(qvel[world, i]) < _GREATEST
    bad[world] = not good
    same[world] = good or frozen[world]
    if not good:
        diverged[world] = True
        frozen[world] = True
    lost[world] = lost[world] | overflow[world]
    wp.atomic_max(peak, 1, nefc[world])
    if world == 0:
        wp.atomic_max(peak, 0, nacon[0])
        contacts[0] = nacon[0]


@wp.kernel(enable_backward=False)
def restart(
    chosen: wp.array[wp.bool],
    qpos0: wp.array[float],
    qvel0: wp.array[float],
    ctrl0: wp.array[float],
    act0: wp.array[float],
    mocap_pos0: wp.array[float],
    mocap_quat0: wp.array[float],
    eq_active0: wp.array[wp.bool],
    qpos: wp.array2d[float],
    qvel: wp.array2d[float],
    ctrl: wp.array2d[float],
    act: wp.array2d[float],
    mocap_pos: wp.array2d[float],
    mocap_quat: wp.array2d[float],
    eq_active: wp.array2d[wp.bool],
    warm: wp.array2d[float],
    sensors: wp.array2d[float],
):
    """Write the start state into chosen worlds; one thread per world."""
    world = wp.tid()
    if chosen[world]:
        for i in range(qpos.shape[1]):
            qpos[world, i] = qpos0[i]
        for i in range(qvel.shape[1]):
            qvel[world, i] = qvel0[i]
            warm[world, i] = 0.0
        for i in range(ctrl.shape[1]):
            ctrl[world, i] = ctrl0[i]
        for i in range(act.shape[1]):
            act[world, i] = act0[i]
        for i in range(mocap_pos.shape[1]):
            mocap_pos[world, i] = mocap_pos0[i]
        for i in range(mocap_quat.shape[1]):
            mocap_quat[world, i] = mocap_quat0[i]
        for i in range(eq_active.shape[1]):
            eq_active[world, i] = eq_active0[i]
        for i in range(sensors.shape[1]):
            sensors[world, i] = 0.0


@wp.kernel(enable_backward=False)
def clear(
    chosen: wp.array[wp.bool],
    contacts: wp.array[int],
    diverged: wp.array[wp.bool],
    nacon: wp.array[int],
):
    """Let chosen worlds be well again, and others keep their contacts; one thread per world."""
    world = wp.tid()
    if chosen[world]:
        diverged[world] = False
    if world == 0:
        nacon[0] = contacts[0]


@wp.kernel(enable_backward=False)
def remember_path(
    frozen: wp.array[wp.bool],
    path: wp.array3d[float],
    kept: wp.array3d[float],
    substeps: wp.array[int],
):
    """Keep the controls of the substeps of worlds that are not frozen, and how many they are."""
    substep, world, i = wp.tid()
    if not frozen[world]:
        kept[substep, world, i] = path[substep, world, i]
        if substep == 0 and i == 0:
            substeps[world] = path.shape[0]
