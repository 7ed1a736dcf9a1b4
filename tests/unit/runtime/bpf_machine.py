"""Two small machines that run what runtime/seccomp and runtime/devices make, as the kernel would: written from its documents."""

from __future__ import annotations

import struct


def run_classic(program: bytes, *, architecture: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """Run a seccomp filter on one system call: give its verdict. Documentation/networking/filter.rst."""
    padded = (*arguments, *(0,) * (6 - len(arguments)))
    data = struct.pack("=iIQ6Q", number - (1 << 32) if number >= 1 << 31 else number, architecture, 0, *padded)
    instructions = list(struct.iter_unpack("=HBBI", program))
    accumulator = place = 0
    while True:
        code, if_true, if_false, value = instructions[place]
        place += 1
        if code == 0x20:
            assert value % 4 == 0
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x54:
            accumulator &= value
        elif code == 0x05:
            place += value
        elif code == 0x15:
            place += if_true if accumulator == value else if_false
        elif code == 0x25:
            place += if_true if accumulator > value else if_false
        elif code == 0x35:
            place += if_true if accumulator >= value else if_false
        elif code == 0x06:
            return int(value)
        else:
            raise AssertionError(f"instruction {code:#x} isn't one of a seccomp filter of ours")


def run_device(program: bytes, *, kind: str, access: str, major: int, minor: int) -> bool:
    """Run a device filter on one access: is it allowed? Documentation/bpf/standardization/instruction-set.rst."""
    bits = sum({"m": 1, "r": 2, "w": 4}[letter] for letter in access)
    context = struct.pack("=III", bits << 16 | {"b": 1, "c": 2}[kind], major, minor)
    instructions = list(struct.iter_unpack("=BBhi", program))
    registers = [0] * 11
    place = 0
    while True:
        code, both, offset, value = instructions[place]
        destination, source = both & 15, both >> 4
        place += 1
        if code == 0x61:
            assert source == 1
            (registers[destination],) = struct.unpack_from("=I", context, offset)
        elif code == 0xBF:
            registers[destination] = registers[source]
        elif code == 0xB7:
            registers[destination] = value
        elif code == 0x57:
            registers[destination] &= value
        elif code == 0x77:
            registers[destination] >>= value
        elif code == 0x05:
            place += offset
        elif code == 0x55:
            place += offset if registers[destination] != value else 0
        elif code == 0x45:
            place += offset if registers[destination] & value else 0
        elif code == 0x95:
            return bool(registers[0])
        else:
            raise AssertionError(f"instruction {code:#x} isn't one of a device filter of ours")
