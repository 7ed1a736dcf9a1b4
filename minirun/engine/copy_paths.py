"""Docker's rules for the two paths of a `cp`: pure text, and what is looked up on the host.

Owns: what a trailing slash and `/.` mean, what the copy is called where it arrives, docker's words for what can't be. Leaves to
others: looking into a container and copying (engine/copy).

| the source is | and the destination | so |
|---|---|---|
| anything | is a directory | it goes into it; of `dir/.` what is in it does |
| a directory | isn't there | it becomes the destination |
| a directory | is a file | "cannot copy directory" |
| a file | isn't there, and ends with a slash or dot | "no such directory" |
| a file | isn't there, or is a file | it becomes the destination |
"""

from __future__ import annotations

import os
import stat
from posixpath import normpath

from ..errors import InvalidInput, MinirunError, NotFound
from ..record import Record

LINKS_MAX = 40


class Place(Record):
    """One end of a copy: what lies at `path`, which keeps its trailing slash or dot. `rebase` is the name that was asked for."""

    path: str
    exists: bool = False
    is_directory: bool = False
    rebase: str = ""


def split_argument(text: str) -> tuple[str, str]:
    """Give container and path of an argument of `cp`; no container for a path of the host, which `./` or `/` may begin."""
    container, colon, path = text.partition(":")
    if text.startswith(("/", ".")) or not colon:
        return "", text
    return container, path


def base(path: str) -> str:
    """Give the last component: "." for nothing, "/" for the root."""
    if not path:
        return "."
    return path.rstrip("/").rpartition("/")[2] or "/"


def says_content(path: str) -> bool:
    """Say whether a path ends in "." and so means what is in a directory."""
    return base(path) == "."


def says_directory(path: str) -> bool:
    """Say whether a path can only mean a directory."""
    return path.endswith("/") or says_content(path)


def clean(path: str) -> str:
    """Give a path without needless parts; ".." goes by the text alone."""
    cleaned = normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def keep_end(cleaned: str, original: str) -> str:
    """Give a cleaned path the trailing slash or dot again that the original had."""
    if original and says_content(original) and not says_content(cleaned):
        cleaned += "." if cleaned.endswith("/") else "/."
    if original.endswith("/") and not cleaned.endswith("/"):
        cleaned += "/"
    return cleaned


def in_container(path: str) -> str:
    """Give a path of a container, which is always absolute."""
    return keep_end(clean(f"/{path}"), path)


def on_host(path: str) -> str:
    """Give a path of the host, taken from the current directory."""
    return keep_end(os.path.abspath(path), path)


def split_entry(path: str) -> tuple[str, str]:
    """Give the directory that something lies in and its name there, "." for what is in a directory."""
    cleaned = clean(path) + ("/." if says_content(path) else "")
    directory, _, name = cleaned.rpartition("/")
    return directory or ("/" if path.startswith("/") else "."), name


def arrange(source: Place, destination: Place) -> tuple[str, str]:
    """Give the directory that the copy goes into, and its name there, "" for the source's own. Raises InvalidInput."""
    if destination.exists and destination.is_directory:
        return destination.path, source.rebase
    if destination.exists and source.is_directory:
        raise InvalidInput("cannot copy directory")
    if not destination.exists and not source.is_directory and says_directory(destination.path):
        raise InvalidInput("no such directory")
    return split_entry(destination.path) if destination.path else ("", "")


def host_source(path: str, *, follow: bool) -> Place:
    """Look up what is to be copied into a container; with `follow` what a link leads to, under the link's name. Raises NotFound."""
    full = on_host(path)
    if follow:
        resolved = keep_end(_resolved(full), full)
    else:
        directory, _, name = full.rpartition("/")
        resolved = f"{_resolved(directory or '/').rstrip('/')}/{name}"
        if not name:
            resolved = resolved.rstrip("/") or "/"
    try:
        found = os.lstat(resolved)
    except OSError as error:
        raise NotFound(f"lstat {resolved}: {(error.strerror or '').lower()}") from error
    if says_directory(path) and not stat.S_ISDIR(found.st_mode):
        raise InvalidInput("not a directory")
    rebase = base(full) if base(full) != base(resolved) else ""
    return Place(path=resolved, exists=True, is_directory=stat.S_ISDIR(found.st_mode), rebase=rebase)


def _resolved(path: str) -> str:
    try:
        return os.path.realpath(path, strict=True)
    except OSError as error:
        raise NotFound(f"lstat {error.filename or path}: {(error.strerror or '').lower()}") from error


def check_output(path: str) -> None:
    """Raise InvalidInput when nothing can be written to a path of the host: its directory isn't there, or it is a device."""
    directory = os.path.dirname(clean(path))
    if directory and not os.path.isdir(directory):
        raise InvalidInput(f'invalid output path: directory "{directory}" does not exist')
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise InvalidInput(f"stat {path}: {(error.strerror or '').lower()}") from error
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise InvalidInput(f'invalid output path: "{path}" must be a directory or a regular file')


def host_destination(path: str) -> Place:
    """Look up where something is to be copied to on the host; a link is followed, also one that leads to nothing yet."""
    for _ in range(LINKS_MAX):
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            parent = split_entry(path)[0]
            if not os.path.isdir(parent):
                raise NotFound(f"lstat {parent}: no such file or directory") from None
            return Place(path=path)
        except OSError as error:
            raise InvalidInput(f"lstat {path}: {(error.strerror or '').lower()}") from error
        if not stat.S_ISLNK(found.st_mode):
            return Place(path=path, exists=True, is_directory=stat.S_ISDIR(found.st_mode))
        path = os.path.join(split_entry(path)[0], os.readlink(path))
    raise MinirunError(f"{path}: too many symbolic links")
