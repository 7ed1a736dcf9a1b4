"""Docker's seccomp profile files (`--security-opt seccomp=FILE`) and the specification's `linux.seccomp`, read into `Seccomp`.

Owns: the JSON of both (a superset of one another), the conditions that depend on capabilities, architecture and kernel.
Leaves to others: the filter (runtime/seccomp). Cold: imported only when somebody brings a profile.
"""

from __future__ import annotations

import json
import os

from ..errors import InvalidInput
from . import capabilities
from .spec import Seccomp, SyscallArgument, SyscallRule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_GO_NAMES = {"x86_64": ("amd64", "x86", "x32"), "aarch64": ("arm64", "arm")}


def parse(text: str, held: int, machine: str = "", kernel: str = "") -> Seccomp:
    """Read a profile for a container with the capabilities `held`. InvalidInput says what is wrong with it."""
    system = os.uname()
    machine, kernel = machine or system.machine, kernel or system.release
    try:
        data = json.loads(text)
        rules = [
            _rule(item)
            for item in data.get("syscalls") or ()
            if _applies(item.get("includes") or {}, held, machine, kernel) is not False
            and _applies(item.get("excludes") or {}, held, machine, kernel, anything=True) is not True
        ]
        architectures = list(data.get("architectures") or ())
        for item in data.get("archMap") or ():
            architectures += [item["architecture"], *(item.get("subArchitectures") or ())]
        return Seccomp(
            default_action=data["defaultAction"],
            default_errno=data.get("defaultErrnoRet"),
            architectures=tuple(architectures),
            flags=tuple(data.get("flags") or ("SECCOMP_FILTER_FLAG_SPEC_ALLOW",)),
            syscalls=tuple(rules),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidInput(f"the seccomp profile can't be read: {error}") from error
    except KeyError as error:
        raise InvalidInput(f"the seccomp profile has no {error}") from error


def _rule(item: dict[str, Any]) -> SyscallRule:
    names = tuple(item.get("names") or ()) + ((item["name"],) if item.get("name") else ())
    arguments = tuple(
        SyscallArgument(
            index=int(argument["index"]),
            value=int(argument["value"]),
            value_two=int(argument.get("valueTwo") or 0),
            operator=str(argument["op"]),
        )
        for argument in item.get("args") or ()
    )
    if any(not 0 <= argument.index <= 5 for argument in arguments):
        raise ValueError(f"{names}: a system call has the arguments 0 to 5")
    return SyscallRule(names=names, action=str(item["action"]), errno=item.get("errnoRet"), arguments=arguments)


def _applies(condition: dict[str, Any], held: int, machine: str, kernel: str, anything: bool = False) -> bool | None:
    """Do the conditions hold: all of them, or `anything` of them? None when there are none."""
    answers = []
    if names := condition.get("caps"):
        answers += [bool(held & capabilities.mask([name])) for name in names]
    if architectures := condition.get("arches"):
        answers.append(any(name in _GO_NAMES.get(machine, ()) for name in architectures))
    if minimum := condition.get("minKernel"):
        answers.append(_version(kernel) >= _version(minimum))
    if not answers:
        return None
    return any(answers) if anything else all(answers)


def _version(text: str) -> tuple[int, int]:
    major, _, rest = text.partition(".")
    digits = ""
    for character in rest:
        if not character.isdigit():
            break
        digits += character
    return int(major), int(digits or 0)
