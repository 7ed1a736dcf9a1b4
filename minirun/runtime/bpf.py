"""An assembler for classic BPF, as small as a seccomp filter needs.

Owns: instructions, jumps that reach, the encoding of `struct sock_filter`.
Leaves to others: what is decided (runtime/seccomp).

Classic BPF only jumps forward, and a conditional jump at most 255 instructions far. The program is therefore
written from its end: a target always exists before the jump to it, and its distance is known. Where it has become
too far, a verdict is repeated and anything else is reached through an unconditional jump (32 bits) close by.
"""

from __future__ import annotations

import struct

from ..errors import InvalidInput

LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS: the accumulator takes the word at k of struct seccomp_data
AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
RETURN = 0x06  # BPF_RET | BPF_K
JUMP = 0x05  # BPF_JMP | BPF_JA
EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
GREATER = 0x25  # BPF_JMP | BPF_JGT | BPF_K
AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K

MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS
_REACH = 253  # 255, less two for what `jump` may have to put in between


class Assembler:
    """A program that grows from its last instruction to its first. A label is the place of an instruction from the end."""

    def __init__(self) -> None:
        self._instructions: list[tuple[int, int, int, int]] = []  # code, label if true, label if false, k
        self._verdicts: dict[int, int] = {}

    def verdict(self, value: int) -> int:
        """Return `value`: gives the label of an instruction in reach that does."""
        label = self._verdicts.get(value)
        if label is None or not self._reaches(label):
            label = self._verdicts[value] = self._put(RETURN, 0, 0, value)
        return label

    def load(self, offset: int, then: int) -> int:
        """Load the word at `offset` into the accumulator, go on at `then`."""
        self._fall_to(then)
        return self._put(LOAD, 0, 0, offset)

    def mask(self, value: int, then: int) -> int:
        """Keep only the bits of `value` in the accumulator, go on at `then`."""
        self._fall_to(then)
        return self._put(AND, 0, 0, value)

    def jump(self, comparison: int, value: int, if_true: int, if_false: int) -> int:
        """Compare the accumulator with `value` (unsigned)."""
        if if_true == if_false:
            return if_true
        near_true, near_false = self._near(if_true), self._near(if_false)
        return self._put(comparison, near_true, near_false, value)

    def program(self, entry: int) -> bytes:
        """Give the array of `struct sock_filter` that begins at `entry`, which has to be the last thing written."""
        self._fall_to(entry)
        pack = struct.Struct("=HBBI").pack
        return b"".join(
            pack(code, 0, 0, place - if_true - 1)
            if code == JUMP
            else pack(code, place - if_true - 1, place - if_false - 1, value)
            if code in (EQUAL, GREATER, AT_LEAST)
            else pack(code, 0, 0, value)
            for place, (code, if_true, if_false, value) in reversed(list(enumerate(self._instructions)))
        )

    def _put(self, code: int, if_true: int, if_false: int, value: int) -> int:
        if len(self._instructions) == MAX_INSTRUCTIONS:
            raise InvalidInput(
                f"the seccomp filter would be longer than the {MAX_INSTRUCTIONS} instructions of the kernel"
            )
        self._instructions.append((code, if_true, if_false, value))
        return len(self._instructions) - 1

    def _reaches(self, label: int) -> bool:
        return len(self._instructions) - label <= _REACH

    def _near(self, label: int) -> int:
        if self._reaches(label):
            return label
        code, _, _, value = self._instructions[label]
        return self.verdict(value) if code == RETURN else self._put(JUMP, label, 0, 0)

    def _fall_to(self, label: int) -> None:
        if label != len(self._instructions) - 1:
            self._put(JUMP, label, 0, 0)
