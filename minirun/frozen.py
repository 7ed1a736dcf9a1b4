"""Importing minirun's modules from one file of compiled code: a command opens one file instead of eighty.

Owns: the finder and loader over that file, and where it lies. Leaves to others: writing it (freeze, at installation).

It says of each module what its .pyc would say, in the same terms (time and size of the source): a module whose source has changed
since, and every module when the file is missing or of another Python, is imported in the ordinary way. Why: docs/decisions/0012.
"""

from __future__ import annotations

import marshal
import sys
from _frozen_importlib import ModuleSpec  # importlib.machinery's and importlib.util's own, without importing those
from _frozen_importlib_external import MAGIC_NUMBER
from os import O_CLOEXEC, O_RDONLY, close, path, pread, stat
from os import open as open_descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType
    from typing import TypeAlias

    # Source below the package's folder, its mtime in nanoseconds and size, is it a package, offset and size of its code.
    Entry: TypeAlias = tuple[str, int, int, bool, int, int]

HOME = path.dirname(path.abspath(__file__))
ARCHIVE = f"{HOME}/__pycache__/frozen.{sys.implementation.cache_tag}"
FORMAT = b"minirun modules 1\n" + MAGIC_NUMBER  # of Python's bytecode, as in a .pyc
HEAD = len(FORMAT) + 8  # and the offset of the index, which comes last


class Archive:
    """A finder and loader (importlib.abc: MetaPathFinder, Loader) of the modules in an open file.

    The descriptor stays open (close-on-exec) as long as the process: most commands read a small part of the file.
    """

    def __init__(self, descriptor: int, index: dict[str, Entry]) -> None:
        self.descriptor = descriptor
        self._index = index

    def find_spec(self, name: str, search: object = None, target: object = None) -> ModuleSpec | None:
        entry = self._index.get(name)
        if entry is None:
            return None
        file = f"{HOME}/{entry[0]}"
        try:
            source = stat(file)
        except OSError:
            return None
        if (source.st_mtime_ns, source.st_size) != entry[1:3]:
            return None
        spec = ModuleSpec(name, self, origin=file, is_package=entry[3])  # type: ignore[arg-type]  # a loader by shape
        if entry[3]:
            spec.submodule_search_locations = [path.dirname(file)]
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = module.__spec__.origin if module.__spec__ else None
        exec(self.get_code(module.__name__), module.__dict__)  # noqa: S102  what an importer does

    def get_code(self, name: str) -> CodeType:
        offset, size = self._index[name][4:]
        code: CodeType = marshal.loads(pread(self.descriptor, size, offset))  # noqa: S302  trusted like a .pyc
        return code


def pack(modules: dict[str, tuple[str, int, int, bool, bytes]]) -> bytes:
    """Give an archive's content, from name to source, time, size, whether it is a package, and marshalled code."""
    index: dict[str, Entry] = {}
    code = b""
    for name, (source, time, size, package, data) in modules.items():
        index[name] = (source, time, size, package, HEAD + len(code), len(data))
        code += data
    return FORMAT + (HEAD + len(code)).to_bytes(8, "little") + code + marshal.dumps(index)


def thaw() -> None:
    """Import from the archive from now on, if there is one for this Python."""
    try:
        descriptor = open_descriptor(ARCHIVE, O_RDONLY | O_CLOEXEC)
    except OSError:
        return
    head = pread(descriptor, HEAD, 0)
    # Where the caller has closed a standard stream, its number is not for a file of ours.
    if descriptor <= 2 or head[:-8] != FORMAT:
        close(descriptor)
        return
    try:
        index = marshal.loads(pread(descriptor, 1 << 20, int.from_bytes(head[-8:], "little")))  # noqa: S302  trusted like a .pyc
    except (EOFError, ValueError, TypeError, OSError):  # cut short: the index comes last
        close(descriptor)
        return
    sys.meta_path.insert(0, Archive(descriptor, index))
