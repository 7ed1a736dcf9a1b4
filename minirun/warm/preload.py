"""Which modules the preloaded process holds.

Owns: the list, by rule: all of the command lines and what is below them, but what only a few commands need and is dear, or starts
threads. Leaves to others: importing the rest, when a worker's command asks for it, as a cold one does.
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


def names() -> list[str]:
    """Give the names of our modules that are held."""
    found = []
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
