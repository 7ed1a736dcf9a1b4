"""Which of several images is the one for this machine.

Owns: the host's platform in Go's names, the choice. Leaves to others: emulation (there is none).

Rules as containerd's `platforms.Only`: the exact variant first, then older ones that the processor also runs.
"""

from __future__ import annotations

import os

from ..errors import InvalidInput, NotFound
from .manifest import Platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .image import Image
    from .manifest import Descriptor

MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
    "i386": ("386", ""),
    "ppc64le": ("ppc64le", ""),
    "riscv64": ("riscv64", ""),
    "s390x": ("s390x", ""),
    "loongarch64": ("loong64", ""),
    "x86-64": ("amd64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
ARCHITECTURES = frozenset(
    (
        "386",
        "amd64",
        "arm",
        "arm64",
        "loong64",
        "mips",
        "mips64",
        "mips64le",
        "mipsle",
        "ppc64",
        "ppc64le",
        "riscv64",
        "s390x",
    )
)
ARM_VARIANTS = ("v8", "v7", "v6", "v5")


def host() -> Platform:
    """Give this machine's platform. uname(2)"""
    machine = os.uname().machine
    architecture, variant = MACHINES.get(machine, (machine, ""))
    return Platform(os="linux", architecture=architecture, variant=variant)


def parse_platform(text: str) -> Platform:
    """Read os/architecture/variant, or an architecture alone, as users write it. Raises InvalidInput."""
    names = text.lower().split("/")
    if not 0 < len(names) <= 3 or not all(
        name and name.isascii() and name.replace("_", "").replace("-", "").isalnum() for name in names
    ):
        raise InvalidInput(f'invalid platform "{ascii(text)[1:-1]}": it is written as linux/amd64 or linux/arm64/v8')
    if len(names) == 1:
        if names == ["linux"]:
            return host()
        if names[0] not in ARCHITECTURES and names[0] not in MACHINES:
            raise InvalidInput(f'"{names[0]}": unknown operating system or architecture: invalid argument')
        names = ["linux", *names]
    os_name, machine, *variant = names
    architecture, implied = MACHINES.get(machine, (machine, ""))
    return Platform(os=os_name, architecture=architecture, variant=variant[0] if variant else implied)


def choose(candidates: Iterable[Descriptor], wanted: Platform) -> Descriptor | None:
    """Give the best candidate for `wanted`, None when there is none. One that names no platform is taken last."""
    best: tuple[int, Descriptor] | None = None
    for candidate in candidates:
        if is_attestation(candidate):
            continue
        rank = 100 if candidate.platform is None else _rank(candidate.platform, wanted)
        if rank is not None and (best is None or rank < best[0]):
            best = (rank, candidate)
    return best[1] if best else None


def is_attestation(candidate: Descriptor) -> bool:
    """Say whether this is BuildKit's signed statement about another entry instead of an image."""
    platform = candidate.platform
    unknown = platform is not None and "unknown" in (platform.os, platform.architecture)
    return unknown or "vnd.docker.reference.type" in candidate.annotations


def _rank(offered: Platform, wanted: Platform) -> int | None:
    """0 is exact, more is worse, None doesn't run."""
    if offered.os != wanted.os:
        return None
    if wanted.architecture == "amd64" and offered.architecture == "386":
        return 50  # its processors and kernels run both
    if offered.architecture != wanted.architecture:
        return None
    if wanted.architecture == "amd64":  # one above what is wanted may use instructions that this processor lacks
        levels = ("", "v1", "v2", "v3", "v4")
        asked = max(levels.index(wanted.variant), 1) if wanted.variant in levels else 1
        level = max(levels.index(offered.variant), 1) if offered.variant in levels else asked + 1
        return asked - level if level <= asked else None
    if wanted.architecture == "arm64":
        return 0 if offered.variant in ("", "v8", "8") else None
    if wanted.architecture == "arm":
        order = ARM_VARIANTS[ARM_VARIANTS.index(wanted.variant) :] if wanted.variant in ARM_VARIANTS else ("v7",)
        variant = offered.variant or "v7"
        return order.index(variant) if variant in order else None
    return 0


def check_platform(image: Image, wanted: str, platform: str) -> None:
    """Raise NotFound when an image isn't for the platform that was asked for: "os[/arch[/variant]]", "" for any. InvalidInput."""
    if not platform:
        return
    asked = Platform(os="linux") if platform == "linux" else parse_platform(platform)
    if image.os != asked.os or (asked.architecture and image.architecture != asked.architecture):
        raise NotFound(
            f"image {wanted} was found but does not provide the specified platform ({platform}):"
            f" it is for {image.os}/{image.architecture}"
        )
