# pyright: standard, reportMissingModuleSource=false
"""Images to arrays and back: bytes by hand, padding, byte order, driver stage, errors."""

from __future__ import annotations

import importlib.util
from array import array
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim2arm.core.driver_stage import (
    DriverStage,
    Intrinsics,
    intrinsics_of_view,
    run_stage,
)
from sim2arm.core.sampling import Later, SampleBuffer
from sim2arm.core.spec import ArraySpec, Reading
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from sensor_msgs.msg import CompressedImage, Image  # noqa: E402

from sim2arm_ros import convert_pictures as pictures  # noqa: E402
from sim2arm_ros.compress_pictures import Compression, compressed_message  # noqa: E402
from sim2arm_ros.graph import InputBinding  # noqa: E402
from sim2arm_ros.pictures import (  # noqa: E402
    COMPRESSED_IMAGE,
    IMAGE,
    LAYOUTS,
    own_encoding,
    stored_size,
)

STAGE = DriverStage(width=8, height=6, crop=(1, 0, 6, 6), out_width=3, out_height=2)
RANDOM = np.random.default_rng(0)


def make_spec(**overrides: Any) -> ArraySpec:
    values: dict[str, Any] = {
        "name": "eye_rgb", "kind": "sensor", "shape": (2, 3, 3), "dtype": "uint8", "unit": "1",
        "frame": "eye_optical",
    }  # fmt: skip
    return ArraySpec(**(values | overrides))


DEPTH = make_spec(name="eye_depth", shape=(2, 3), dtype="float32", unit="m")
FIELD = make_spec(name="touch_field", shape=(2, 4, 5, 3), dtype="float32", unit="N", frame=None)


def bind(encoding: Any = "rgb8", kind: Any = IMAGE, **more: Any) -> InputBinding:
    return InputBinding(topic="/eye", type=kind, field="image", encoding=encoding, **more)


def pixels_of(encoding: str, height: int = 2, width: int = 3) -> np.ndarray:
    layout = LAYOUTS[encoding]
    shape = (height, width, layout.channels) if layout.channels > 1 else (height, width)
    return RANDOM.integers(0, 255, shape).astype(layout.dtype)


def message_of(pixels: np.ndarray, encoding: Any = "rgb8") -> Image:
    return pictures.image_message(pixels, encoding, "eye_optical", 7)


def memory(message: Image) -> np.ndarray:
    """Return the bytes of an image, where they are."""
    assert isinstance(message.data, array)
    return np.frombuffer(message.data, np.uint8)


# -- bytes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", LAYOUTS)
def test_every_encoding_comes_back_as_a_view(encoding: str) -> None:
    pixels = pixels_of(encoding)
    message = message_of(pixels, encoding)
    assert (message.height, message.width, message.encoding) == (2, 3, encoding)
    found = pictures.image_array(message)
    np.testing.assert_array_equal(found, pixels)
    assert found.dtype == pixels.dtype
    assert np.shares_memory(found, memory(message))


@pytest.mark.parametrize("encoding", LAYOUTS)
def test_padded_rows_and_the_other_byte_order(encoding: str) -> None:
    """Rows end in 3 bytes that are no pixels, and numbers have their highest byte first."""
    pixels = pixels_of(encoding)
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(2, -1).view(np.uint8)
    padded = np.concatenate([rows, np.full((2, 3), 255, np.uint8)], axis=1)
    message = Image(
        height=2, width=3, encoding=encoding, is_bigendian=1, step=padded.shape[1],
        data=array("B", padded.tobytes()),
    )  # fmt: skip
    found = pictures.image_array(message)
    np.testing.assert_array_equal(found, pixels)
    assert np.shares_memory(found, memory(message))


def test_colours_by_hand() -> None:
    data = array("B", [1, 2, 3, 4, 5, 6] * 3)  # 2 rows of 3 pixels
    message = Image(height=2, width=3, encoding="rgb8", step=9, data=data)
    message.header.frame_id = "eye_optical"
    found = pictures.read_picture(message, bind(), make_spec())
    assert found[0].tolist() == [[1, 2, 3], [4, 5, 6], [1, 2, 3]]
    message.encoding = "bgr8"
    found = pictures.read_picture(message, bind("bgr8"), make_spec())
    assert found[0].tolist() == [[3, 2, 1], [6, 5, 4], [3, 2, 1]]


def test_depth_in_millimetres_and_metres() -> None:
    millimetres = np.array([[0, 1, 1234], [65535, 500, 2]], np.uint16)
    message = message_of(millimetres, "16UC1")
    found = pictures.read_picture(message, bind("16UC1"), DEPTH)
    expected = np.array([[0.0, 0.001, 1.234], [65.535, 0.5, 0.002]], np.float32)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32
    metres = np.array([[np.nan, 0.001, 1.234], [np.inf, -np.inf, 0.002]], np.float32)
    found = pictures.read_picture(message_of(metres, "32FC1"), bind("32FC1"), DEPTH)
    expected[0, 0] = expected[1, 0] = expected[1, 1] = 0.0  # nothing measured
    np.testing.assert_array_equal(found, expected)


def test_gels_lie_below_each_other() -> None:
    field = RANDOM.normal(size=(2, 4, 5, 3)).astype(np.float32)
    message = message_of(field, "32FC3")
    assert (message.height, message.width, message.step) == (8, 5, 60)
    # Row 4 of the image is row 0 of the second gel.
    assert memory(message).view(np.float32)[4 * 15] == field[1, 0, 0, 0]
    found = pictures.read_picture(message, bind("32FC3"), FIELD)
    np.testing.assert_array_equal(found, field)


def test_grey_with_and_without_a_last_axis() -> None:
    pixels = pixels_of("mono8")
    for shape in ((2, 3), (2, 3, 1)):
        found = pictures.read_picture(message_of(pixels, "mono8"), bind("mono8"),
                                      make_spec(shape=shape))  # fmt: skip
        np.testing.assert_array_equal(found, pixels.reshape(shape))


def test_what_has_no_memory_of_its_own_is_copied() -> None:
    message = message_of(pixels_of("mono8"), "mono8")
    listed = Image(height=2, width=3, encoding="mono8", step=3, data=list(message.data))
    np.testing.assert_array_equal(pictures.image_array(listed), pictures.image_array(message))


# -- through the driver stage ------------------------------------------------------------------


def test_the_driver_stage_runs_once_here_or_at_the_source() -> None:
    spec = make_spec(driver_stage=STAGE.text)
    pixels = pixels_of("rgb8", 6, 8)
    expected = run_stage(STAGE, pixels)
    found = pictures.read_picture(message_of(pixels), bind(), spec)
    np.testing.assert_array_equal(found, expected)
    turned = message_of(np.ascontiguousarray(pixels[:, :, ::-1]), "bgr8")
    np.testing.assert_array_equal(pictures.read_picture(turned, bind("bgr8"), spec), expected)
    staged = pictures.read_picture(message_of(expected), bind(staged=True), spec)
    np.testing.assert_array_equal(staged, expected)
    for message, binding, text in (
        (message_of(expected), bind(), "expected 8 x 6 pixels before its driver stage, got 3 x 2"),
        (message_of(pixels), bind(staged=True), "expected 3 x 2 pixels after its driver stage"),
    ):
        with pytest.raises(ValueError, match=f"input 'eye_rgb': {text}"):
            pictures.check_picture(message, binding, spec)


def test_depth_takes_nearest_pixels_of_any_byte_order() -> None:
    spec = replace(DEPTH, driver_stage=replace(STAGE, resample="nearest").text)
    pixels = pixels_of("16UC1", 6, 8)
    message = message_of(pixels, "16UC1")
    message.data = array("B", pixels.astype(">u2").tobytes())
    message.is_bigendian = 1
    found = pictures.read_picture(message, bind("16UC1"), spec)
    # Of 6 pixels 3 and of 6 rows 2: columns 1, 3, 5 of the crop from 1, rows 1 and 4.
    np.testing.assert_array_equal(
        found, pixels[np.ix_([1, 4], [2, 4, 6])].astype(np.float32) / np.float32(1000)
    )
    assert found.dtype.isnative


def test_undistortion_takes_the_intrinsics_that_came() -> None:
    stage = replace(STAGE, undistort=True)
    spec = make_spec(driver_stage=stage.text)
    lens = replace(intrinsics_of_view(8, 6, 60.0), distortion=(-0.2, 0.0, 0.0, 0.0, 0.0))
    pixels = pixels_of("rgb8", 6, 8)
    found = pictures.read_picture(message_of(pixels), bind(), spec, lens)
    np.testing.assert_array_equal(found, run_stage(stage, pixels, lens))
    with pytest.raises(ValueError, match="'eye_rgb': driver stage: undistort needs the intrinsics"):
        pictures.read_picture(message_of(pixels), bind(), spec)


def test_an_image_is_decoded_for_the_tick_that_uses_it() -> None:
    """As the policy node does: of three images the sampler decodes the newest."""
    spec = make_spec(max_receipt_age_s=1.0)
    buffer, shown = SampleBuffer(spec), [pixels_of("rgb8") for _ in range(3)]
    for k, pixels in enumerate(shown, 1):
        message = message_of(pixels)
        if k < 3:  # nobody looks at these
            message.data = array("B", [0])
        later = Later(lambda m=message: pictures.read_picture(m, bind(), spec))
        reading = Reading(arrays={"eye_rgb": later}, sequence=k, stamp_ns=k, receipt_ns=k)
        assert buffer.push(reading, 10)
    np.testing.assert_array_equal(buffer.sample(10, 10), shown[-1])


def test_fields_that_are_not_finite_are_refused() -> None:
    field = np.zeros((2, 4, 5, 3), np.float32)
    field[1, 2, 3, 0] = np.nan
    array_ = pictures.read_picture(message_of(field, "32FC3"), bind("32FC3"), FIELD)
    with pytest.raises(ValueError, match="'touch_field': contains numbers that are not finite"):
        FIELD.check_frame(array_)


# -- what does not fit -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"encoding": "yuv422"}, r"expected encoding rgb8, got 'yuv422': change the camera or"),
        ({"encoding": "bgr8"}, "expected encoding rgb8, got 'bgr8'"),
        ({"width": 4}, "expected 3 x 2 pixels, got 4 x 2"),
        ({"height": 0}, "expected 3 x 2 pixels, got 3 x 0"),
        ({"step": 8}, "rows of 8 bytes: expected 1 pixel or more and step of 9 or more"),
        ({"step": 10}, r"expected step \* height = 20 bytes, got 18"),
        ({"data": array("B", [0] * 17)}, r"expected step \* height = 18 bytes, got 17"),
        ({"data": array("B")}, r"expected step \* height = 18 bytes, got 0"),
        ({"frame_id": "other_optical"}, "expected frame 'eye_optical', got 'other_optical'"),
    ],
)
def test_images_that_do_not_fit(changes: dict[str, Any], text: str) -> None:
    message = message_of(pixels_of("rgb8"))
    for name, value in changes.items():
        setattr(message.header if name == "frame_id" else message, name, value)
    with pytest.raises(ValueError, match=f"input 'eye_rgb': .*{text}") as error:
        pictures.read_picture(message, bind(), make_spec())
    assert "\n" not in str(error.value)


def test_an_unknown_encoding_and_no_pixels() -> None:
    with pytest.raises(ValueError, match=r"expected one of .*'rgb8'.* got 'rgba8'"):
        pictures.image_array(Image(height=1, width=1, encoding="rgba8", step=4))
    with pytest.raises(ValueError, match="1 pixel or more"):
        pictures.image_array(Image(encoding="mono8"))


@pytest.mark.parametrize(
    ("pixels", "encoding"),
    [
        (np.zeros((2, 3), np.uint8), "rgb8"),
        (np.zeros((2, 3, 3), np.float64), "32FC3"),
        (np.zeros((2, 3, 4), np.uint8), "rgb8"),
        (np.zeros(3, np.uint8), "mono8"),
        (np.zeros((2, 2), ">u2"), "16UC1"),
    ],
)
def test_arrays_that_are_no_image(pixels: np.ndarray, encoding: Any) -> None:
    with pytest.raises(ValueError, match=f"{encoding}: no image of"):
        message_of(pixels, encoding)


@pytest.mark.parametrize(
    ("spec", "encoding"),
    [
        (make_spec(), "rgb8"), (DEPTH, "32FC1"), (FIELD, "32FC3"),
        (make_spec(shape=(2, 3)), "mono8"), (make_spec(shape=(2, 3, 1)), "mono8"),
    ],
)  # fmt: skip
def test_the_encoding_without_loss(spec: ArraySpec, encoding: str) -> None:
    assert own_encoding(spec) == encoding
    with pytest.raises(ValueError, match=r"no image holds uint8 of shape \[2, 3, 4\]"):
        own_encoding(make_spec(shape=(2, 3, 4)))


@given(
    height=st.integers(0, 2**32 - 1), width=st.integers(0, 2**32 - 1),
    step=st.integers(0, 2**32 - 1), size=st.integers(0, 64), big=st.integers(0, 255),
    encoding=st.sampled_from([*LAYOUTS, "", "yuv"]), small=st.booleans(),
)  # fmt: skip
def test_any_image_is_an_array_or_one_line(
    height: int, width: int, step: int, size: int, big: int, encoding: str, small: bool
) -> None:
    if small:  # so that some fit
        height, width, step = height % 4, width % 4, step % 32
    message = Image(
        height=height, width=width, step=step, is_bigendian=big, encoding=encoding,
        data=array("B", bytes(size)),
    )  # fmt: skip
    try:
        assert pictures.image_array(message).shape[:2] == (height, width)
    except ValueError as error:
        assert "\n" not in str(error)


@given(st.binary(max_size=80), st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n"]))
def test_any_bytes_have_a_size_or_none(data: bytes, start: bytes) -> None:
    try:
        height, width = stored_size(memoryview(start + data))
        assert min(height, width) >= 0
    except ValueError as error:
        assert "neither JPEG nor PNG" in str(error)


# -- compressed --------------------------------------------------------------------------------


def compressed(pixels: np.ndarray, suffix: str = ".png", **more: Any) -> CompressedImage:
    """What a camera driver sends: OpenCV stores what it is given as b g r."""
    cv2 = pytest.importorskip("cv2")
    stored = np.ascontiguousarray(pixels[:, :, ::-1]) if pixels.ndim == 3 else pixels
    good, data = cv2.imencode(suffix, stored)
    assert good
    message = CompressedImage(format=suffix[1:], data=array("B", data.tobytes()), **more)
    message.header.frame_id = "eye_optical"
    return message


@pytest.mark.parametrize("encoding", ["rgb8", "mono8", "16UC1"])
def test_png_comes_back(encoding: str) -> None:
    specs = {"rgb8": make_spec(), "mono8": make_spec(shape=(2, 3)), "16UC1": DEPTH}
    spec, pixels = specs[encoding], pixels_of(encoding)
    found = pictures.read_picture(compressed(pixels), bind(encoding, COMPRESSED_IMAGE), spec)
    raw = pictures.read_picture(message_of(pixels, encoding), bind(encoding), spec)
    np.testing.assert_array_equal(found, raw)


def small_of(pixels: np.ndarray, encoding: str) -> CompressedImage:
    pytest.importorskip("cv2")
    return compressed_message(pixels, encoding, "eye_optical", 7, Compression())


@pytest.mark.parametrize("words", ["16UC1; compressedDepth png", "16UC1; compressedDepth"])
def test_depth_goes_through_image_transports_format(words: str) -> None:
    metres = np.array([[0.0, 0.0014, 1.2346], [65.535, 65.6, np.nan]], np.float32)
    message = small_of(metres, "32FC1")
    data = bytes(message.data)
    assert data[:12] == bytes(12) and data[12:16] == b"\x89PNG"
    assert message.format == "16UC1; compressedDepth png" and message.header.stamp.nanosec == 7
    message.format = words  # older plugins do not name what they compress with
    found = pictures.read_picture(message, bind("16UC1", COMPRESSED_IMAGE), DEPTH)
    # To whole millimetres; what is farther than 16 bits, or no number, was not measured.
    expected = np.array([[0.0, 0.001, 1.235], [65.535, 0.0, 0.0]], np.float32)
    np.testing.assert_array_equal(found, expected)


def test_colours_and_grey_go_through_jpeg() -> None:
    grey = np.full((2, 3, 1), 77, np.uint8)
    message = small_of(grey, "mono8")
    assert message.format == "mono8; jpeg compressed mono8"
    spec = make_spec(shape=(2, 3, 1))
    found = pictures.read_picture(message, bind("mono8", COMPRESSED_IMAGE), spec)
    np.testing.assert_array_equal(found, grey)
    colours = np.zeros((2, 3, 3), np.uint8)
    colours[..., 0], colours[..., 2] = 200, 40
    found = pictures.read_picture(
        small_of(colours, "rgb8"), bind(kind=COMPRESSED_IMAGE), make_spec()
    )
    assert np.abs(found.astype(int) - colours).max() <= 4
    with pytest.raises(ValueError, match="32FC3: neither JPEG nor PNG stores it"):
        small_of(np.zeros((2, 3, 3), np.float32), "32FC3")


def test_how_to_compress_is_checked() -> None:
    for change, text in (({"jpeg_quality": 0}, "1 to 100, got 0"), ({"png_level": 10}, "0 to 9")):
        with pytest.raises(ValueError, match=text):
            Compression(**change)


def test_jpeg_is_near_and_runs_through_the_stage() -> None:
    spec = make_spec(driver_stage=STAGE.text)
    pixels = np.zeros((6, 8, 3), np.uint8)
    pixels[..., 0], pixels[..., 2] = 200, 40  # one colour, in which r and b differ
    found = pictures.read_picture(compressed(pixels, ".jpg"), bind(kind=COMPRESSED_IMAGE), spec)
    assert found.shape == (2, 3, 3)
    assert np.abs(found.astype(int) - [200, 0, 40]).max() <= 4


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (lambda: CompressedImage(format="jpeg", data=array("B", b"nonsense")),
         "format 'jpeg': 8 bytes are neither JPEG nor PNG"),
        (lambda: CompressedImage(format="png"), "format 'png': 0 bytes are neither"),
        (lambda: CompressedImage(format="32FC1; compressedDepth png", data=array("B", b"x" * 40)),
         "compressedDepth png': of compressedDepth only 16UC1 as png is read: bind the raw image"),
        (lambda: CompressedImage(format="16UC1; compressedDepth rvl", data=array("B", b"x" * 40)),
         "compressedDepth rvl': of compressedDepth only 16UC1"),
        (lambda: CompressedImage(format="16UC1; compressedDepth png", data=array("B", b"x")),
         "compressedDepth png': 0 bytes are neither JPEG nor PNG"),
        (lambda: cut(compressed(pixels_of("rgb8")), 30), "30 bytes of format 'png' cannot be"),
        (lambda: compressed(pixels_of("mono8")), r"expected rgb8 .* got uint8 of shape \(2, 3\)"),
        (lambda: compressed(pixels_of("16UC1")), r"expected rgb8 .* got uint16 of shape \(2, 3\)"),
        (lambda: compressed(pixels_of("rgb8", 2, 4)), "expected 3 x 2 pixels, got 4 x 2"),
    ],
)  # fmt: skip
def test_compressed_images_that_do_not_fit(message: Any, text: str) -> None:
    pytest.importorskip("cv2")
    made = message()
    made.header.frame_id = "eye_optical"
    with pytest.raises(ValueError, match=f"input 'eye_rgb': .*{text}"):
        pictures.read_picture(made, bind(kind=COMPRESSED_IMAGE), make_spec())


def cut(message: CompressedImage, size: int) -> CompressedImage:
    message.data = array("B", bytes(message.data)[:size])
    return message


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_size_is_known_without_decoding(suffix: str) -> None:
    for height, width in ((2, 3), (300, 17), (1, 65)):
        message = compressed(pixels_of("rgb8", height, width), suffix)
        data = memoryview(bytes(message.data))
        assert stored_size(data) == (height, width)
        for size in range(20):
            with pytest.raises(ValueError, match=f"{size} bytes are neither JPEG nor PNG"):
                stored_size(data[:size])


def test_a_picture_that_says_it_is_huge_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    message = compressed(pixels_of("rgb8"))
    data = bytearray(bytes(message.data))
    data[16:24] = (60000).to_bytes(4, "big") * 2
    message.data = array("B", bytes(data))
    with pytest.raises(ValueError, match="expected 3 x 2 pixels, got 60000 x 60000"):
        pictures.read_picture(message, bind(kind=COMPRESSED_IMAGE), make_spec())


def test_a_missing_decoder_is_told_before_anything_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    pictures.check_decoder("eye_rgb", bind())
    with pytest.raises(ValueError, match=r"'eye_rgb': CompressedImage .*sim2arm\[vision\]"):
        pictures.check_decoder("eye_rgb", bind(kind=COMPRESSED_IMAGE))


# -- intrinsics --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "distortion",
    [
        (),
        (-0.2, 0.1, 0.001, -0.002, 0.03),
        (-0.2, 0.1, 0.001, -0.002, 0.03, 0.2, 0.0, 0.01),
        (0.0, 0.0, 0.0, 0.0),
    ],
)
def test_intrinsics_come_back(distortion: tuple[float, ...]) -> None:
    k = Intrinsics(
        width=640, height=480, fx=600.5, fy=601.5, cx=320.25, cy=239.5, distortion=distortion
    )
    message = pictures.camera_info_message(k, "eye_optical", 5)
    assert list(message.k) == [600.5, 0.0, 320.25, 0.0, 601.5, 239.5, 0.0, 0.0, 1.0]
    assert list(message.p) == [600.5, 0, 320.25, 0, 0, 601.5, 239.5, 0, 0, 0, 1, 0]
    assert message.header.frame_id == "eye_optical" and message.header.stamp.nanosec == 5
    assert pictures.intrinsics_from(message) == k


def test_other_ways_to_say_the_same_lens() -> None:
    k = intrinsics_of_view(8, 6, 60.0)
    message = pictures.camera_info_message(k, "", 0)
    message.distortion_model, message.d = (
        "rational_polynomial",
        [0.1, 0.2, 0.3, 0.4, 0.5, *[0.0] * 3],
    )
    assert pictures.intrinsics_from(message).distortion == (0.1, 0.2, 0.3, 0.4, 0.5)
    message.distortion_model, message.d = "plumb_bob", [0.1, 0.2, 0.3, 0.4]
    assert pictures.intrinsics_from(message).distortion == (0.1, 0.2, 0.3, 0.4, 0.0)
    message.distortion_model, message.d = "unknown", [0.0] * 4
    assert pictures.intrinsics_from(message) == k
    message.roi.width, message.roi.height = 8, 6  # the whole picture
    assert pictures.intrinsics_from(message) == k


def skewed(fx: float, skew: float) -> list[float]:
    """Return K."""
    return [fx, skew, 3.5, 0.0, 5.0, 2.5, 0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda m: setattr(m, "k", [0.0] * 9), "not calibrated at 8 x 6"),
        (lambda m: setattr(m, "k", skewed(5.0, 0.1)), "K has skew 0.1"),
        (lambda m: setattr(m, "binning_x", 2), "the picture of a part"),
        (lambda m: (setattr(m.roi, "width", 4), setattr(m.roi, "height", 6)), "of a part"),
        (lambda m: setattr(m, "d", [0.1] * 3), "lens model 'plumb_bob' with 3 numbers"),
        (lambda m: (setattr(m, "d", [0.1] * 5), setattr(m, "distortion_model", "equidistant")),
         "lens model 'equidistant'"),
        (lambda m: (setattr(m, "d", [0.1] * 14),
                    setattr(m, "distortion_model", "rational_polynomial")), "with 14 numbers"),
        (lambda m: setattr(m, "k", skewed(np.nan, 0.0)), "intrinsics"),
    ],
)  # fmt: skip
def test_camera_infos_that_are_not_taken(change: Any, text: str) -> None:
    message = pictures.camera_info_message(intrinsics_of_view(8, 6, 60.0), "", 0)
    change(message)
    with pytest.raises(ValueError, match=text):
        pictures.intrinsics_from(message)
