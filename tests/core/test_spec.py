from __future__ import annotations

import numpy as np
import pytest

from sim2arm.core.spec import History
from tests.builders import make_spec


def test_check_takes_any_batch_and_the_history_axis() -> None:
    spec = make_spec(history=History(of="frames", n=4))
    assert spec.array_shape == (4, 7)
    spec.check(np.zeros((4, 7), np.float32))
    spec.check(np.zeros((3, 2, 4, 7), np.float32))
    spec.check_frame(np.zeros((3, 7), np.float32))
    scalar = make_spec(shape=(), element_names=(), low=None, high=None)
    scalar.check(np.zeros((), np.float32))
    scalar.check(np.zeros((5,), np.float32))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 6), np.float32), r"expected shape \(..., 7\), got \(2, 6\)"),
        (np.zeros((), np.float32), r"expected shape \(..., 7\), got \(\)"),
        (np.zeros(7), "expected dtype float32, got float64"),
        (np.array([0, 0, 0, np.nan, 0, 0, 0], np.float32), "not finite"),
        (np.array([0, 0, 0, -np.inf, 0, 0, 0], np.float32), "not finite"),
        ([0.0] * 7, "expected an array, got list"),
    ],
)
def test_check_names_what_is_wrong(array: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"input 'joint_position': .*{message}") as caught:
        make_spec().check(array)
    assert "\n" not in str(caught.value)


def test_outside_names_the_element_farthest_out() -> None:
    spec = make_spec(low=(-1.0,), high=(1.0,))
    q = np.zeros((3, 7), np.float32)
    assert spec.outside(q) is None
    q[1, 2], q[2, 5] = 1.25, -1.5  # 0.25 above and 0.5 below
    assert spec.outside(q) == (
        "input 'joint_position': element panda_joint6 is -1.5, trained range -1 to 1 rad"
    )
    assert make_spec(low=None, high=None).outside(q) is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"name": "a b"}, "letters, digits and underscores"),
        ({"shape": (0,), "element_names": ()}, "sizes must be 1 or more"),
        ({"element_names": ("x",)}, "element_names: expected 7"),
        ({"low": (0.0, 1.0)}, "low: expected 1 or 7 numbers, got 2"),
        ({"low": (2.0,), "high": (1.0,)}, "low must not exceed high"),
        ({"kind": "derived"}, "derived input names its formula"),
        ({"rate_hz": 0.0}, "rate_hz: expected more than 0"),
        ({"max_receipt_age_s": -1.0}, "max_receipt_age_s: expected more than 0"),
        ({"trained_age_s": (0.2, 0.1)}, "trained_age_s"),
        ({"sampling": "newest"}, "sampling: expected latest"),
        ({"sampling": "nearest_to:"}, "sampling: expected latest"),
        ({"sampling": "latest:camera"}, "sampling: expected latest"),
        ({"sampling": "interpolate", "dtype": "uint8"}, "only floating-point"),
        (
            {"sampling": "interpolate", "element_names": ("x", "y", "z", "qw", "qx", "qy", "qz")},
            "without quaternions",
        ),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(
    overrides: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_spec(**overrides)


def test_history_needs_a_length() -> None:
    with pytest.raises(ValueError, match=r"history.n: expected 1 or more, got 0"):
        History(of="ticks", n=0)
