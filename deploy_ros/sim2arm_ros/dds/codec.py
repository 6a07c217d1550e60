# pyright: standard
"""CDR codec (XCDR1, little endian) generated per message type.

For each type Python source for one `encode` and one `decode` function is generated and
compiled. Neighbouring numbers are packed by one `struct` call; padding is static where the
alignment is known. Nested single messages are inlined.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .definitions import FieldSpec, MessageSpec, message_spec

HEADER = b"\x00\x01\x00\x00"
# name -> struct code, size = alignment [bytes], array typecode, numpy dtype
PRIMITIVES: dict[str, tuple[str, int, str, str]] = {
    "bool": ("?", 1, "B", "?"),
    "byte": ("c", 1, "B", "u1"),
    "int8": ("b", 1, "b", "i1"),
    "uint8": ("B", 1, "B", "u1"),
    "int16": ("h", 2, "h", "i2"),
    "uint16": ("H", 2, "H", "u2"),
    "int32": ("i", 4, "i", "i4"),
    "uint32": ("I", 4, "I", "u4"),
    "int64": ("q", 8, "q", "i8"),
    "uint64": ("Q", 8, "Q", "u8"),
    "float32": ("f", 4, "f", "f4"),
    "float64": ("d", 8, "d", "f8"),
}
LIST_PRIMITIVES = ("bool", "byte")  # no array.array form in ROS: lists


class CodecError(ValueError):
    """Bytes that are not a sample of the type, or a message that cannot be encoded."""


class _Source:
    """Python source under construction, with what is known of the alignment."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self.indent = 1
        self.modulus, self.offset = 1, 0
        self.run: list[tuple[str, str]] = []  # struct code, expression
        self.counter = 0

    def line(self, text: str) -> None:
        self.lines.append("    " * self.indent + text)

    def name(self, stem: str, value: Any = None) -> str:
        self.counter += 1
        name = f"_{stem}{self.counter}"
        if value is not None:
            self.names[name] = value
        return name

    def unknown(self, modulus: int = 1) -> None:
        self.modulus, self.offset = modulus, 0

    def static_pad(self, size: int) -> int | None:
        """Return the padding before a value of this size where it is known."""
        if size > self.modulus:
            return None
        return -self.offset % size

    def advance(self, count: int) -> None:
        self.offset = (self.offset + count) % self.modulus


# --- encode ---------------------------------------------------------------------------------


def _flush_pack(src: _Source) -> None:
    if src.run:
        pack = src.name("pack", struct.Struct("<" + "".join(c for c, _ in src.run)).pack)
        src.line(f"out += {pack}({', '.join(e for _, e in src.run if e)})")
        src.run.clear()


def _align_pack(src: _Source, size: int) -> None:
    pad = src.static_pad(size)
    if pad is None:
        _flush_pack(src)
        src.line(f"out += ZEROS[(4 - len(out)) & {size - 1}]")
        src.unknown(size)
    elif pad:
        src.run.append((f"{pad}x", ""))
        src.advance(pad)


def _pack_number(src: _Source, base: str, expr: str) -> None:
    code, size, _, _ = PRIMITIVES[base]
    _align_pack(src, size)
    src.run.append((code, expr))
    src.advance(size)


def _encode_string(src: _Source, expr: str) -> None:
    text = src.name("s")
    _flush_pack(src)
    src.line(f"{text} = {expr}.encode()")
    _pack_number(src, "uint32", f"len({text}) + 1")
    _flush_pack(src)
    src.line(f"out += {text}")
    src.line("out += b'\\0'")
    src.unknown()


def _encode_field(src: _Source, field: FieldSpec, expr: str) -> None:
    if field.kind == "value":
        if field.is_message:
            _encode_members(src, message_spec(field.base), expr)
        elif field.base == "string":
            _encode_string(src, expr)
        else:
            _pack_number(src, field.base, expr)
        return
    values = src.name("v")
    _flush_pack(src)
    src.line(f"{values} = {expr}")
    if field.kind == "sequence":
        if field.size:
            src.line(f"if len({values}) > {field.size}: raise too_long({field.name!r})")
        _pack_number(src, "uint32", f"len({values})")
    else:
        src.line(f"if len({values}) != {field.size}: raise wrong_length({field.name!r})")
    if field.is_message:
        _flush_pack(src)
        function = src.name("enc", _encoder_body(field.base))
        src.line(f"for _e in {values}: {function}(_e, out)")
        src.unknown()
    elif field.base == "string":
        _flush_pack(src)
        src.line(f"for _e in {values}: encode_string(_e, out)")
        src.unknown()
    else:
        _encode_numbers(src, field, values)


def _encode_numbers(src: _Source, field: FieldSpec, values: str) -> None:
    _, size, _, dtype = PRIMITIVES[field.base]
    _flush_pack(src)
    data = {"bool": f"bytes({values})", "byte": f"b''.join({values})"}.get(
        field.base, f"numbers({values}, {dtype!r})"
    )
    if field.kind == "array":
        _align_pack(src, size)
        _flush_pack(src)
        src.line(f"out += {data}")
        src.advance(size * field.size)
        return
    src.line(f"if len({values}):")
    src.indent += 1
    if size == 8:  # an empty sequence is not followed by padding
        src.line("out += ZEROS[(4 - len(out)) & 7]")
    src.line(f"out += {data}")
    src.indent -= 1
    src.unknown(min(size, 4))


def _encode_members(src: _Source, spec: MessageSpec, expr: str) -> None:
    if not spec.fields:
        _pack_number(src, "uint8", "0")
    if len(spec.fields) > 1 and not expr.isidentifier():
        local = src.name("m")
        src.line(f"{local} = {expr}")
        expr = local
    for field in spec.fields:
        _encode_field(src, field, f"{expr}.{field.name}")


def _encode_string_element(text: str, out: bytearray) -> None:
    data = text.encode()
    out += ZEROS[(4 - len(out)) & 3]
    out += struct.pack("<I", len(data) + 1)
    out += data
    out += b"\0"


def _numbers(values: Any, dtype: str) -> Any:
    """Return a buffer in native order of what a field may hold: array, ndarray or sequence."""
    if isinstance(values, array) and values.typecode == PRIMITIVE_TYPECODE[dtype]:
        return values
    return np.ascontiguousarray(values, dtype=dtype).view(np.uint8).data


def _wrong_length(name: str) -> CodecError:
    return CodecError(f"field {name!r} has the wrong number of elements")


def _too_long(name: str) -> CodecError:
    return CodecError(f"field {name!r} has more elements than its bound")


ZEROS = [b"\0" * n for n in range(8)]
PRIMITIVE_TYPECODE = {dtype: code for _, _, code, dtype in PRIMITIVES.values()}
_ENCODE_GLOBALS: dict[str, Any] = {
    "ZEROS": ZEROS,
    "numbers": _numbers,
    "encode_string": _encode_string_element,
    "wrong_length": _wrong_length,
    "too_long": _too_long,
}


@cache
def _encoder_body(name: str) -> Callable[[Any, bytearray], None]:
    src = _Source()
    _encode_members(src, message_spec(name), "m")
    _flush_pack(src)
    return _compile("encode(m, out)", src, _ENCODE_GLOBALS)


@cache
def encoder(name: str) -> Callable[..., bytearray]:
    """Return the function that turns a message of this type into CDR bytes with header."""
    if sys.byteorder != "little":
        raise CodecError("the fallback ROS layer runs on little-endian machines only")
    body = _encoder_body(name)

    def encode(message: Any, prefix: bytes = b"") -> bytearray:
        out = bytearray(HEADER)
        out += prefix
        try:
            body(message, out)
        except (struct.error, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CodecError(f"cannot encode {name}: {error}") from error
        return out

    return encode


# --- decode ---------------------------------------------------------------------------------


def _flush_unpack(src: _Source) -> None:
    if src.run:
        layout = struct.Struct("<" + "".join(c for c, _ in src.run))
        unpack = src.name("unpack", layout.unpack_from)
        targets = [e for _, e in src.run if e]
        src.line(f"{', '.join(targets)}, = {unpack}(data, pos)" if targets else "pass")
        src.line(f"pos += {layout.size}")
        src.run.clear()


def _align_unpack(src: _Source, size: int) -> None:
    pad = src.static_pad(size)
    if pad is None:
        _flush_unpack(src)
        src.line(f"pos = (pos + {size - 1}) & -{size}")
        src.unknown(size)
    elif pad:
        src.run.append((f"{pad}x", ""))
        src.advance(pad)


def _unpack_number(src: _Source, base: str) -> str:
    code, size, _, _ = PRIMITIVES[base]
    target = src.name("x")
    _align_unpack(src, size)
    src.run.append((code, target))
    src.advance(size)
    return target


def _decode_field(src: _Source, field: FieldSpec) -> str:
    if field.kind == "value":
        if field.is_message:
            return _decode_members(src, message_spec(field.base))
        if field.base == "string":
            _flush_unpack(src)
            target = src.name("s")
            src.line(f"{target}, pos = decode_string(data, pos)")
            src.unknown()
            return target
        return _unpack_number(src, field.base)
    count = str(field.size)
    if field.kind == "sequence":
        count = _unpack_number(src, "uint32")
    _flush_unpack(src)
    if field.kind == "sequence" and field.size:
        src.line(f"if {count} > {field.size}: raise too_long({field.name!r})")
    target = src.name("v")
    if field.is_message or field.base == "string":
        function = "decode_string"
        if field.is_message:
            function = src.name("dec", _decoder_body(field.base))
        src.line(f"{target}, pos = decode_list(data, pos, {count}, {function})")
        src.unknown()
        return target
    _, size, code, dtype = PRIMITIVES[field.base]
    if field.kind == "array" and field.base not in LIST_PRIMITIVES:
        src.line(f"{target}, pos = decode_ndarray(data, pos, {count}, {dtype!r}, {size})")
    else:
        src.line(f"{target}, pos = decode_array(data, pos, {count}, {code!r}, {size})")
        if field.base == "bool":
            src.line(f"{target} = [_e != 0 for _e in {target}]")
        elif field.base == "byte":
            src.line(f"{target} = [bytes((_e,)) for _e in {target}]")
    src.unknown(min(size, 4) if field.kind == "sequence" else size)
    return target


def _decode_members(src: _Source, spec: MessageSpec) -> str:
    values = [_decode_field(src, field) for field in spec.fields]
    if not spec.fields:
        _unpack_number(src, "uint8")
    _flush_unpack(src)
    message = src.name("m")
    from .messages import raw_constructor

    build = src.name("build", raw_constructor(spec.name))
    src.line(f"{message} = {build}({', '.join(values)})")
    return message


def _decode_string(data: memoryview, pos: int) -> tuple[str, int]:
    pos = (pos + 3) & -4
    (size,) = _U32(data, pos)
    pos += 4
    end = pos + size
    if end > len(data):
        raise CodecError("a string ends after the sample")
    if size == 0:
        return "", pos
    return str(data[pos : end - 1], "utf-8", "replace"), end


def _decode_array(
    data: memoryview, pos: int, count: int, code: str, size: int
) -> tuple[array[Any], int]:
    values = array(code)
    if count:
        pos = (pos + size - 1) & -size
        end = pos + count * size
        if end > len(data):
            raise CodecError("a sequence ends after the sample")
        values.frombytes(data[pos:end])
        pos = end
    return values, pos


def _decode_ndarray(
    data: memoryview, pos: int, count: int, dtype: str, size: int
) -> tuple[np.ndarray[Any, Any], int]:
    pos = (pos + size - 1) & -size
    end = pos + count * size
    if end > len(data):
        raise CodecError("an array ends after the sample")
    return np.frombuffer(data[pos:end], dtype=dtype).copy(), end


def _decode_list(
    data: memoryview, pos: int, count: int, function: Callable[..., tuple[Any, int]]
) -> tuple[list[Any], int]:
    if count > len(data) - pos:  # each element takes at least one byte
        raise CodecError("a sequence ends after the sample")
    values: list[Any] = []
    for _ in range(count):
        value, pos = function(data, pos)
        values.append(value)
    return values, pos


_U32 = struct.Struct("<I").unpack_from
_DECODE_GLOBALS: dict[str, Any] = {
    "decode_string": _decode_string,
    "decode_array": _decode_array,
    "decode_ndarray": _decode_ndarray,
    "decode_list": _decode_list,
    "too_long": _too_long,
}


@cache
def _decoder_body(name: str) -> Callable[[memoryview, int], tuple[Any, int]]:
    src = _Source()
    message = _decode_members(src, message_spec(name))
    src.line(f"return {message}, pos")
    return _compile("decode(data, pos)", src, _DECODE_GLOBALS)


@cache
def decoder(name: str) -> Callable[..., Any]:
    """Return the function that turns CDR bytes with header into a message of this type.

    It raises CodecError for anything that is not exactly one sample (up to 3 bytes of padding).
    """
    body = _decoder_body(name)

    def decode(sample: bytes, skip: int = 0) -> Any:
        if sample[:2] != b"\x00\x01":
            raise CodecError(f"{name}: expected little-endian CDR, got header {sample[:4]!r}")
        data = memoryview(sample)[4:]
        try:
            message, pos = body(data, skip)
        except (struct.error, ValueError, IndexError, OverflowError) as error:
            raise CodecError(f"cannot decode {name}: {error}") from error
        if pos > len(data) or len(data) - pos > 3:
            raise CodecError(f"{name}: sample has {len(data)} bytes, the type needs {pos}")
        return message

    return decode


def _compile(signature: str, src: _Source, names: dict[str, Any]) -> Callable[..., Any]:
    namespace = {**names, **src.names}
    code = f"def {signature}:\n" + "\n".join([*src.lines, "    pass"])
    exec(compile(code, f"<{signature}>", "exec"), namespace)
    return namespace[signature.partition("(")[0]]
