"""The plan's encoding, against the C decoder and the C table."""

from __future__ import annotations

import struct

import pytest

from minirun._native import ffi, lib
from minirun.linux import plan as p


def _check(data: bytes) -> int:
    return int(lib.mr_plan_check(data, len(data)))


def _c_table() -> dict[int, tuple[str, str, str]]:
    table = {}
    row = 0
    while code := lib.mr_operation_code(row):
        texts = (lib.mr_operation_name(row), lib.mr_operation_signature(row), lib.mr_operation_arguments(row))
        name, signature, arguments = (ffi.string(text).decode() for text in texts)
        table[code] = (name, signature, arguments)
        row += 1
    return table


def _example(kind: str) -> object:
    return {"u": 7, "s": "text", "b": b"\0\1", "v": ("a", "", "long enough")}[kind]


def test_the_two_tables_are_one() -> None:
    assert _c_table() == p.OPERATIONS


def test_constants_are_those_of_the_header() -> None:
    assert (p.MAGIC, p.VERSION, p.SLOTS, p.HOST, p.OPTIONAL) == (
        lib.MR_MAGIC,
        lib.MR_VERSION,
        lib.MR_SLOTS,
        lib.MR_HOST,
        lib.MR_OP_OPTIONAL,
    )
    assert (p.STDIO_NULL, p.STDIO_PIPES, p.STDIO_TERMINAL, p.STDIO_INHERIT) == (
        lib.MR_STDIO_NULL,
        lib.MR_STDIO_PIPES,
        lib.MR_STDIO_TERMINAL,
        lib.MR_STDIO_INHERIT,
    )
    assert (p.CREATE_NOTHING, p.CREATE_DIRECTORY, p.CREATE_FILE, p.CREATE_NO_SYMLINKS) == (
        lib.MR_CREATE_NOTHING,
        lib.MR_CREATE_DIRECTORY,
        lib.MR_CREATE_FILE,
        lib.MR_CREATE_NO_SYMLINKS,
    )
    assert (p.KEEP_MODE, p.KEEP_OWNER, p.KEEP_GROUP) == (lib.MR_KEEP_MODE, lib.MR_KEEP_OWNER, lib.MR_KEEP_GROUP)


@pytest.mark.parametrize("code", p.OPERATIONS)
def test_each_operation_has_a_constructor_with_the_parameters_of_its_row(code: int) -> None:
    import inspect

    name, signature, parameters = p.OPERATIONS[code]
    constructor = getattr(p, name.lower(), None) or getattr(p, name.lower() + "_")
    assert list(inspect.signature(constructor).parameters) == parameters.split()
    arguments = [b"\1\2\3\4" if kind == "b" else _example(kind) for kind in signature]
    if name == "IDENTITY":
        arguments[2] = [1, 2]
    operation = constructor(*arguments)
    assert operation.code == code
    assert len(operation.arguments) == len(signature)


@pytest.mark.parametrize("code", p.OPERATIONS)
def test_every_operation_decodes(code: int) -> None:
    signature = p.OPERATIONS[code][1]
    operation = p.Operation(code=code, arguments=tuple(_example(kind) for kind in signature))
    plan = p.Plan()
    (plan.monitor if code < p.FIRST_ACTION else plan.child).append(operation)
    assert _check(plan.encode()) == 0


@pytest.mark.parametrize("length", range(17))
def test_any_length_of_text_and_bytes_decodes(length: int) -> None:
    plan = p.Plan()
    plan.child += [
        p.hostname("x" * length),
        p.write(p.HOST, "y" * length, b"\0" * length),
        p.exec_("", ["z" * length], []),
    ]
    assert _check(plan.encode()) == 0


def test_operations_are_numbered_monitor_parent_child() -> None:
    plan = p.Plan()
    plan.child.append(p.session())
    plan.parent.append(p.sync(1))
    plan.monitor.append(p.await_owner())
    assert [(side, operation.name) for side, operation in plan.operations()] == [
        ("monitor", "AWAIT_OWNER"),
        ("parent", "SYNC"),
        ("child", "SESSION"),
    ]
    codes = []
    data = plan.encode()
    at = 16
    while at < len(data):
        code, side, _, length = struct.unpack_from("<HBBI", data, at)
        codes.append((side, code))
        at += length
    assert codes == [(0, 4), (1, 16), (2, 82)]


def test_negative_numbers_travel_as_twos_complement() -> None:
    plan = p.Plan()
    plan.child.append(p.oom_score(-999))
    assert plan.encode().endswith(struct.pack("<q", -999))


def test_text_with_a_nul_is_refused() -> None:
    plan = p.Plan()
    plan.child.append(p.hostname("a\0b"))
    with pytest.raises(ValueError, match="NUL"):
        plan.encode()


def test_an_action_is_refused_among_the_monitors_settings_by_both_sides() -> None:
    plan = p.Plan()
    plan.monitor.append(p.session())
    with pytest.raises(TypeError, match="SESSION"):
        plan.encode()
    operation = struct.pack("<HBBI", 82, 0, 0, 8)
    assert _check(struct.pack("<IIII", p.MAGIC, p.VERSION, 24, 1) + operation) == -22


def _sound() -> bytes:
    plan = p.Plan()
    plan.monitor += [p.log("/log", 1, 2), p.exit_hook(["a", "b"], [])]
    plan.child += [p.write(0, "x", b"data"), p.exec_("/bin", ["true"], ["A=b", ""])]
    return plan.encode()


def test_every_truncation_is_refused() -> None:
    data = _sound()
    for length in range(len(data)):
        assert _check(data[:length]) < 0
        if length >= 16:
            assert _check(data[:8] + struct.pack("<I", length) + data[12:length]) < 0


def test_every_flipped_bit_is_refused_or_still_decodes() -> None:
    data = bytearray(_sound())
    for position in range(len(data) * 8):
        data[position // 8] ^= 1 << position % 8
        assert _check(bytes(data)) <= 0
        data[position // 8] ^= 1 << position % 8


def test_another_version_is_named_as_such() -> None:
    data = bytearray(_sound())
    data[4] = 99
    assert _check(bytes(data)) == -93  # EPROTONOSUPPORT


def test_a_plan_above_the_limit_is_too_long() -> None:
    assert _check(b"\0" * (lib.MR_PLAN_MAX + 8)) == -7  # E2BIG
