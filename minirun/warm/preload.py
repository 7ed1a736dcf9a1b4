"""Which modules the preloaded process holds, and in which order it imports them.

Owns: the list, by rule: all of the command lines and what is below them, but what only a few commands need and is dear, or starts
threads. Leaves to others: importing the rest, when a worker's command asks for it, as a cold one does.

Objects lie in memory in the order in which they were made. A worker writes to those that it uses (their reference counts), and
has each page copied that it writes to: what most commands use lies together, so that it is on fewer of them.
"""

from __future__ import annotations

import _codecs
import os

from ..frozen import HOME
from ..light import import_sqlite3

# Registries (urllib3, ssl, threads: 10 MB); what hashes, packs and unpacks layers (OpenSSL, bz2, lzma, threads); subprocess.
# They are for commands that take their time anyway, and each page that is held costs every fork.
EXCLUDED = (
    *(
        "cli.commands.pull",
        "cli.commands.push",
        "cli.commands.login",
        "cli.commands.logout",
        "cli.commands.info",
        "cli.progress",
    ),
    *("engine.bring", "engine.login", "engine.info", "engine.top", "engine.withdraw"),
    *(
        "images.authorization",
        "images.credentials",
        "images.downloading",
        "images.fetching",
        "images.incoming",
        "images.login",
        "images.pulling",
    ),
    *(
        "images.pushing",
        "images.registries",
        "images.registry",
        "images.transport",
        "images.answers",
        "images.list_registry",
        "images.refetching",
        "images.searching",
    ),
    *(
        "images.adding",
        "images.ahead",
        "images.archive",
        "images.check",
        "images.committing",
        "images.compression",
        "images.digest",
        "images.history",
        "images.importing",
        "images.layers",
        "images.lists",
        "images.loading",
        "images.removing",
        "images.saving",
    ),
    *("engine.explain", "linux.explain", "runtime.cgroups.dbus", "runtime.cgroups.systemd"),
    *("freeze", "oci.commands.ps", "testing", "warm"),
)
# What `run`, `exec` and `ps` use, by storeys: it comes first. tests/integration/engine/test_imports.py holds that it is that.
FIRST = {
    "": "_native command_line database errors files frozen jsontext light output program record units",
    "cli": (
        "commands.exec commands.ps commands.run foreground invocation main options parse preferences present request table "
        "terminal values values.keys values.scalars"
    ),
    "engine": (
        "borrow config container create engine etc exec exit_hook layout life names query reconcile remove session spec "
        "spec_limits spec_mounts start store surroundings"
    ),
    "images": "image reference store",
    "linux": "flags plan syscalls trees",
    "monitor": "connection exits launch",
    "network": "addresses bridge firewall names netlink networks ports",
    "runtime": (
        "capabilities cgroups.hierarchy compile compile.context compile.mounts compile.namespaces compile.network compile.process "
        "devices seccomp seccomp_profile spec"
    ),
    "storage": "overlay snapshots",
}
# Of the standard library, what commands import where they use it.
STANDARD = (
    "_json",
    "_locale",
    "binascii",
    "errno",
    "fcntl",
    "select",
    "struct",
    "termios",
    "time",
    "zlib",
    "_posixsubprocess",
)

ENCODINGS = ("ascii", "utf-8")


def first() -> list[str]:
    """Give the names of FIRST in full."""
    return [
        f"minirun.{storey}.{name}" if storey else f"minirun.{name}"
        for storey, names in FIRST.items()
        for name in names.split()
    ]


def names() -> list[str]:
    """Give the names of our modules that are held, in their order; some of the first stand there again."""
    found = first()
    for folder, folders, files in os.walk(HOME):
        folders[:] = sorted(set(folders) - {"__pycache__"})
        parts = os.path.relpath(folder, HOME).split("/") if folder != HOME else []
        for file in sorted(file for file in files if file.endswith(".py") and file != "__init__.py"):
            name = ".".join((*parts, file.removesuffix(".py")))
            if not any(name == excluded or name.startswith(f"{excluded}.") for excluded in EXCLUDED):
                found.append(f"minirun.{name}")
    return found


def preload() -> None:
    """Import them all."""
    import_sqlite3()
    for name in (*STANDARD, *names()):
        __import__(name)
    for name in ENCODINGS:
        _codecs.lookup(name)  # it imports them, and remembers
