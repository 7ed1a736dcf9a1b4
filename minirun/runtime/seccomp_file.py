"""Docker's seccomp profile files (`--security-opt seccomp=FILE`), read into `Seccomp`.

Owns: what they have beyond the specification: conditions that depend on capabilities, architecture and kernel, `archMap`.
Leaves to others: what both have in common (config/seccomp), the filter (runtime/seccomp). Cold: imported only when
somebody brings a profile.
"""

from __future__ import annotations

import os

from ..errors import InvalidInput, NotSupported
from . import capabilities
from .config import document, reader
from .config import seccomp as specification
from .seccomp import NOTIFY, notifies
from .spec import Seccomp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .config.reader import Section

_GO_NAMES = {"x86_64": ("amd64", "x86", "x32"), "aarch64": ("arm64", "arm")}


def parse(text: str, held: int, machine: str = "", kernel: str = "") -> Seccomp:
    """Read a profile for a container with the capabilities `held`. InvalidInput says what is wrong with it."""
    system = os.uname()
    machine, kernel = machine or system.machine, kernel or system.release
    try:
        section = reader.Section(document.decode(text.encode(errors="surrogateescape")))
        rules = [
            item
            for item in section.sections("syscalls")
            if _applies(item.section("includes"), held, machine, kernel) is not False
            and _applies(item.section("excludes"), held, machine, kernel, anything=True) is not True
        ]
        profile = specification.profile(section, rules, _names)
        mapped = [name for item in section.sections("archMap") for name in _architectures(item)]
    except InvalidInput as error:
        raise InvalidInput(f"the seccomp profile can't be used: {error}") from error
    if notifies(profile):
        raise NotSupported(f"{NOTIFY} isn't supported in a seccomp profile file: nobody here would answer")
    return profile.replace(architectures=(*profile.architectures, *mapped))


def _names(item: Section) -> tuple[str, ...]:
    """Read the names of a rule; older files have one, under `name`."""
    name = item.text("name")
    return item.texts("names") + ((name,) if name else ())


def _architectures(item: Section) -> tuple[str, ...]:
    known = specification.ARCHITECTURES
    if not item.has("architecture"):
        raise item.wrong("architecture", "is missing")
    if (name := item.text("architecture")) not in known:
        raise item.wrong("architecture", f"must be one of {' '.join(known)}, not {reader.shown(name)}")
    return (name, *specification.names(item, "subArchitectures", known))


def _applies(condition: Section | None, held: int, machine: str, kernel: str, anything: bool = False) -> bool | None:
    """Do the conditions hold: all of them, or `anything` of them? None when there are none."""
    if condition is None:
        return None
    answers = [bool(held & capabilities.mask([name])) for name in condition.texts("caps")]
    if architectures := condition.texts("arches"):
        answers.append(any(name in _GO_NAMES.get(machine, ()) for name in architectures))
    if minimum := condition.text("minKernel"):
        wanted = _version(minimum)
        if wanted is None:
            raise condition.wrong("minKernel", f"must be a version like 4.8, not {reader.shown(minimum)}")
        answers.append((_version(kernel) or (0, 0)) >= wanted)
    if not answers:
        return None
    return any(answers) if anything else all(answers)


def _version(text: str) -> tuple[int, int] | None:
    """Give the first two numbers of a version."""
    numbers = []
    for part in text.split(".")[:2]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))][:9]
        if not digits:
            return None
        numbers.append(int(digits))
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None
