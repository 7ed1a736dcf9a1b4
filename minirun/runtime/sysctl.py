"""Names of kernel parameters, and which of them a namespace keeps apart.

Owns: the grammar of a key, the list of what belongs to which namespace.
Leaves to others: which namespaces there are (engine/spec_limits, config/sysctl), writing (runtime/compile).

A key that reaches another parameter is a way out of the container (CVE-2022-0811), so its parts are checked as the
components of the path below /proc/sys that they become.
"""

from __future__ import annotations

IPC = (
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
)


def parameter(key: str) -> str:
    """Give the key with dots between its parts, "" for one that isn't the name of one parameter.

    A slash as first separator means that dots are part of names: "net/ipv4/conf/eno2.100/rp_filter". A slash that
    remains stands for such a dot, as sysctl(8) prints it.
    """
    first = next((character for character in key if character in "./"), ".")
    parts = key.split(first)
    if first == "/":
        parts = [part.replace(".", "/") for part in parts]
    plain = all(part and all(c.isascii() and (c.isalnum() or c in "_-/") for c in part) for part in parts)
    if not plain or any(piece in ("", ".", "..") for part in parts for piece in part.split("/")):
        return ""
    return ".".join(parts)


def namespace_of(name: str) -> str:
    """Give the kind of namespace that keeps a parameter apart, "" for one that the whole machine shares."""
    if name.startswith("net."):
        return "network"
    if name.startswith("fs.mqueue.") or name in IPC:
        return "ipc"
    if name in ("kernel.domainname", "kernel.hostname"):
        return "uts"
    return ""
