"""`minirun-oci kill`: send a signal to a container's first process, or to all."""

from __future__ import annotations

from ...errors import InvalidInput
from ...runtime.container import find
from ...signals import number_of
from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    ids, signal = invocation.parsed.arguments[:1], invocation.parsed.arguments[1:]
    number = number_of(signal[0] if signal and signal[0] else "TERM")
    if number is None and signal[0].strip("0") == "":  # nothing is sent, but whether it could be is told. kill(2)
        number = 0
    if number is None:
        raise InvalidInput(f'unknown signal "{signal[0]}"')
    for name in invocation.replace(parsed=invocation.parsed.replace(arguments=ids)).ids():
        find(invocation.runtime(), name).kill(number, all=invocation.parsed.flag("all"))
    return 0
