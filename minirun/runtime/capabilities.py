"""Capabilities by name and number, and what this host can give.

Owns: masks from names and back, the host's own set.
Leaves to others: the list of names (linux/flags), which ones a container gets (engine/spec) and setting them (native/).
Source: capabilities(7), linux/capability.h.
"""

from __future__ import annotations

from ..errors import InvalidInput
from ..linux import flags, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .spec import Capabilities

NAMES = tuple(name.upper() for name in flags.CAPABILITIES)
NUMBERS = {name: number for number, name in enumerate(NAMES)}

ALL = (1 << len(NAMES)) - 1
SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")


def mask(names: Iterable[str]) -> int:
    """Give the bits of `names`, with or without CAP_, in any case; `ALL` is all. InvalidInput for an unknown one."""
    bits = 0
    for name in names:
        plain = name.upper().removeprefix("CAP_")
        if plain == "ALL":
            bits |= ALL
        elif plain in NUMBERS:
            bits |= 1 << NUMBERS[plain]
        else:
            raise InvalidInput(f'unknown capability: "CAP_{plain}"')
    return bits


def names(bits: int) -> tuple[str, ...]:
    """Give the names in `bits`, with CAP_, in the kernel's order."""
    return tuple("CAP_" + name for number, name in enumerate(NAMES) if bits >> number & 1)


def has(bits: int, name: str) -> bool:
    """Is the capability (without CAP_) in `bits`?"""
    return bool(bits >> NUMBERS[name] & 1)


def of_host() -> int:
    """Give what a child of this process can still hold: permitted and not dropped from the bounding set.

    A container is never promised more; a machine that lacks one (a virtual machine's sandbox, a nested container) thus
    runs `--privileged` with what there is.
    """
    return syscalls.held_capabilities()


def granted(wanted: Capabilities, host: int) -> tuple[Capabilities, tuple[str, ...]]:
    """Give what remains of `wanted` on a host with these capabilities, and the names of those that it hasn't got.

    config.md, "Linux Process": what can't be granted is worth a warning and no error.
    """
    missing = (wanted.bounding | wanted.effective | wanted.permitted | wanted.inheritable | wanted.ambient) & ~host
    if not missing:
        return wanted, ()
    return only(wanted, host), names(missing)


def only(held: Capabilities, bits: int) -> Capabilities:
    """Give the sets with nothing but what is in `bits`."""
    return held.replace(**{name: getattr(held, name) & bits for name in SETS})
