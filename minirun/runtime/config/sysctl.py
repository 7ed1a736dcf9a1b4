"""`linux.sysctl`: kernel parameters, those of the container's own namespaces and no others.

Owns: which parameters a configuration may set. Leaves to others: their names (runtime/sysctl), writing (runtime/compile).

A namespace by path counts as the container's own (a pod's containers share one), unless it is the one that we are in:
what was written there would hold for the host. `kernel.hostname` is refused as runc and crun do, in favour of `hostname`;
`kernel.domainname` is not.
"""

from __future__ import annotations

import os

from .. import sysctl as names
from .reader import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..spec import Namespace
    from .reader import Section

_FILES = {"network": "net", "ipc": "ipc", "uts": "uts"}


def sysctl(linux: Section, namespaces: tuple[Namespace, ...]) -> dict[str, str]:
    """Read the parameters: dots between the parts of a key, a slash for a dot that is part of a name.

    Looks at the files of namespaces that are given by path. InvalidInput for a parameter that isn't the container's.
    """
    section = linux.required_section("sysctl")
    found: dict[str, str] = {}
    own = {item.kind for item in namespaces if not (item.path and _is_ours(item))}
    for key, value in linux.named_texts("sysctl").items():
        name = names.parameter(key)
        if not name:
            raise section.wrong(key, "isn't the name of one kernel parameter")
        kind = names.namespace_of(name)
        if not kind:
            raise section.wrong(key, "the whole machine shares this parameter: no namespace keeps it apart")
        if name == "kernel.hostname":
            raise section.wrong(key, "the key hostname is for that")
        if kind not in own:
            raise section.wrong(key, f"would change the host's: the container has no {kind} namespace of its own")
        if not value.replace("\t", " ").isprintable():
            raise section.wrong(key, f"the value must be one line, not {shown(value)}")
        found[name] = value
    return found


def _is_ours(namespace: Namespace) -> bool:
    """Is it the namespace that this process is in? What can't be looked at will not be joined either."""
    if namespace.kind not in _FILES:
        return False
    try:
        return os.path.samefile(namespace.path, f"/proc/self/ns/{_FILES[namespace.kind]}")
    except OSError:
        return False
