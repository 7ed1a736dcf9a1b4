"""Properties of systemd's units, from limits and annotations; and the signatures that D-Bus sends them with."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minirun.errors import InvalidInput
from minirun.runtime.cgroups import dbus, settings_of
from minirun.runtime.cgroups.properties import of_annotations, of_limits
from minirun.runtime.spec import BlockIo, Cpu, Memory, Resources

INFINITY = 2**64 - 1


def test_limits_that_systemd_knows_are_told_to_it() -> None:
    """systemd.resource-control(5)."""
    resources = Resources(
        memory=Memory(limit=64 << 20, swap=96 << 20, reservation=1 << 20),
        cpu=Cpu(shares=1024, quota=50_000, period=100_000, cpus="0", mems="0,9"),
        pids_limit=-1,
        block_io=BlockIo(weight=500),
        unified={"memory.high": "max", "memory.min": "4096"},
    )
    assert of_limits(settings_of(resources)) == {
        "MemoryMax": ("t", 64 << 20),
        "MemorySwapMax": ("t", 32 << 20),
        "MemoryLow": ("t", 1 << 20),
        "MemoryHigh": ("t", INFINITY),
        "MemoryMin": ("t", 4096),
        "CPUWeight": ("t", 100),
        "CPUQuotaPerSecUSec": ("t", 500_000),
        "CPUQuotaPeriodUSec": ("t", 100_000),
        "AllowedCPUs": ("ay", [1]),
        "AllowedMemoryNodes": ("ay", [1, 2]),
        "TasksMax": ("t", INFINITY),
    }


@pytest.mark.parametrize(
    ("line", "each_second"),
    [("1 100000", 10_000), ("10001 1000000", 20_000), ("200000 100000", 2_000_000), ("max 5", INFINITY)],
)
def test_a_quota_is_rounded_up_to_whole_per_cents(line: str, each_second: int) -> None:
    assert of_limits([("cpu.max", line, False)])["CPUQuotaPerSecUSec"] == ("t", each_second)


@pytest.mark.parametrize("line", ["", "x", "max", "1 0", "1", "x 5", "\u00b2 5", f"{2**64} 5", f"5 {2**64}"])
def test_a_quota_that_the_kernel_will_refuse_is_left_to_it(line: str) -> None:
    assert of_limits([("cpu.max", line, False), ("memory.max", "1G", False)]) == {}


@pytest.mark.parametrize("value", ["\u00b2", str(2**64), "9" * 5000, "-1", ""])
def test_a_number_that_no_property_holds_is_left_to_the_kernel(value: str) -> None:
    assert of_limits([("memory.max", value, False)]) == {}


def test_no_quota_is_larger_than_a_property_holds() -> None:
    assert of_limits([("cpu.max", f"{2**64 - 1} 1", False)])["CPUQuotaPerSecUSec"] == ("t", INFINITY)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'inactive-or-failed'", ("s", "inactive-or-failed")),
        ('"a\\"b\\\\c"', ("s", 'a"b\\c')),
        ("true", ("b", True)),
        ("123", ("i", 123)),
        ("-1", ("i", -1)),
        ("0x10", ("i", 16)),
        ("1.5", ("d", 1.5)),
        ("uint64 123456789", ("t", 123456789)),
        ("uint64 18446744073709551615", ("t", INFINITY)),
        ("@t 5", ("t", 5)),
        ("byte 255", ("y", 255)),
        ("objectpath '/a'", ("o", "/a")),
        ("['a', 'b']", ("as", ["a", "b"])),
        ("[uint64 1, 2]", ("at", [1, 2])),
        ("@as []", ("as", [])),
        ("@ay [1, 2]", ("ay", [1, 2])),
        ("('a', uint32 1)", ("(su)", ("a", 1))),
        ("[('/dev/null', 'rw')]", ("a(ss)", [("/dev/null", "rw")])),
        ("  7  ", ("i", 7)),
    ],
)
def test_an_annotation_is_a_gvariant(text: str, value: tuple[str, Any]) -> None:
    """https://docs.gtk.org/glib/gvariant-text-format.html."""
    assert of_annotations({"org.systemd.property.Name": text, "other": "x"}) == {"Name": value}
    assert dbus.marshal("v", value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "'a",
        "[1, 'a']",
        "[]",
        "byte 256",
        "uint64 -1",
        "2147483648",
        "uint64 1.5",
        "1 2",
        "[1 2]",
        "(1",
        "@s 5",
        "boolean 1",
        "@as 'a'",
        "'a\x00'",
        "a",
        "uint64",
        "1" * 5000,
        "[" * 500,
        "@" * 500 + "s",
        "uint64 " * 500,
        "nan x",
        "\\",
        "'\\",
    ],
)
def test_what_is_no_gvariant_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="GVariant"):
        of_annotations({"org.systemd.property.Name": text})


@settings(deadline=None)
@given(st.text(alphabet="[]()@'\\\" ,uint64syas-.0x19e", max_size=30))
def test_any_text_gives_a_value_that_can_be_sent_or_is_refused(text: str) -> None:
    try:
        found = of_annotations({"org.systemd.property.Name": text})
    except InvalidInput:
        return
    assert dbus.marshal("v", found["Name"])


@pytest.mark.parametrize("name", ["", "ab", "A B", "A.B", "A1b", "Größe", "A\nB"])
def test_a_property_has_a_name_of_letters(name: str) -> None:
    with pytest.raises(InvalidInput, match="name of a property"):
        of_annotations({f"org.systemd.property.{name}": "true"})


def test_seconds_become_what_systemd_calls_them() -> None:
    assert of_annotations({"org.systemd.property.TimeoutStopSec": "double 1.5"}) == {
        "TimeoutStopUSec": ("t", 1_500_000)
    }
    for text in ("'1s'", "-1", "double 1e300", "double nan"):
        with pytest.raises(InvalidInput, match="seconds"):
            of_annotations({"org.systemd.property.TimeoutStopSec": text})


# ---- the bytes of D-Bus: Specification, "Type System" and "Message Format"


def test_values_are_aligned_as_the_specification_says() -> None:
    assert dbus.marshal("yu", 1, 2) == b"\1\0\0\0\2\0\0\0"
    assert dbus.marshal("s", "foo") == b"\3\0\0\0foo\0"
    assert dbus.marshal("g", "as") == b"\2as\0"
    assert dbus.marshal("ax", [5]) == b"\x08\0\0\0" + bytes(4) + b"\5" + bytes(7)  # the specification's own example
    assert dbus.marshal("ax", []) == bytes(8)  # padded for an element that isn't there
    assert dbus.marshal("v", ("u", 1)) == b"\1u\0\0\1\0\0\0"


@pytest.mark.parametrize("signature", ["a", "(", ")", "(i", "z", "a{", "()", "a()", "i)", "aa"])
def test_what_is_no_signature_is_refused(signature: str) -> None:
    with pytest.raises(ValueError, match=r"signature|type"):
        dbus.split(signature)


def test_a_message_is_read_as_it_was_written() -> None:
    values = ("grün", [("a", ("u", 7))], 5)
    message = dbus.decode(dbus.encode(dbus.SIGNAL, 9, [(3, ("s", "JobRemoved"))], "sa(sv)t", values))
    assert (message.kind, message.member) == (dbus.SIGNAL, "JobRemoved")
    assert message.body == ("grün", [("a", 7)], 5)


def test_a_message_of_a_big_endian_peer_is_read() -> None:
    head = b"B\2\0\1" + (4).to_bytes(4, "big") + (1).to_bytes(4, "big") + (15).to_bytes(4, "big")
    fields = b"\5\1u\0" + (3).to_bytes(4, "big") + b"\x08\1g\0\1u\0"
    message = dbus.decode(head + fields + b"\0" + (77).to_bytes(4, "big"))
    assert (message.kind, message.reply_serial, message.body) == (dbus.RETURN, 3, (77,))


@example(b"x", 50)  # its signature is a number
@settings(deadline=None)
@given(st.binary(max_size=80), st.integers(0, 70))
def test_a_malformed_message_is_an_error_and_nothing_else(noise: bytes, place: int) -> None:
    whole = dbus.encode(dbus.CALL, 1, [(1, ("o", "/a")), (3, ("s", "Do"))], "a(sv)", ([("k", ("as", ["x"]))],))
    for data in (noise, whole[:place] + noise + whole[place + len(noise) :]):
        try:
            dbus.decode(data)
        except ConnectionError:
            continue
