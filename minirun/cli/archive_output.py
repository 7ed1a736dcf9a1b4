"""Archives that a command writes: into a file, whole or not at all, or to standard output, unless that is a terminal.

Owns: `write_archive`. Leaves to others: what is in them.
"""

from __future__ import annotations

import os

from ..engine.copy_paths import check_output
from ..errors import InvalidInput, MinirunError
from ..output import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def write_archive(pieces: Iterable[bytes], output: str, what: str) -> None:
    """Write an archive to the file `output`, to standard output when that is "". `what` was tried, for errors.

    A file appears when it is complete; until then, and after a failure, what was there before is there. Raises InvalidInput,
    MinirunError.
    """
    if not output:
        if os.isatty(1):
            raise InvalidInput("cowardly refusing to save to a terminal. Use the -o flag or redirect")
        for piece in pieces:
            write_all(1, piece)
        return
    try:
        check_output(output)
    except InvalidInput as error:
        raise InvalidInput(f"failed to {what}: {error}") from error
    if os.path.isdir(output):
        raise InvalidInput(f"failed to {what}: {output} is a directory")
    try:
        descriptor, temporary = _open_beside(output)
    except OSError as error:
        raise MinirunError(f"failed to {what}: write {output}: {_reason(error)}") from error
    try:
        for piece in pieces:
            write_all(descriptor, piece)
        if not temporary:
            name = _name_beside(output)
            os.link(f"/proc/self/fd/{descriptor}", name, src_dir_fd=descriptor, follow_symlinks=True)
            temporary = name
        os.rename(temporary, output)
        temporary = ""
    except OSError as error:
        raise MinirunError(f"failed to {what}: write {output}: {_reason(error)}") from error
    finally:
        os.close(descriptor)
        if temporary:
            os.unlink(temporary)


def _reason(error: OSError) -> str:
    """Give why, in docker's form, which begins small; what follows may be names ("Linux 5.15")."""
    reason = error.strerror or ""
    return reason[:1].lower() + reason[1:]


def _open_beside(output: str) -> tuple[int, str]:
    """Open a file in the directory of `output`, and give its name: "" for none, so that a kill leaves nothing.

    Where the file system can't do that (open(2), O_TMPFILE) it has one from the beginning.
    """
    try:
        return os.open(os.path.dirname(output) or ".", os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o600), ""
    except OSError:
        temporary = _name_beside(output)
        return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), temporary


def _name_beside(output: str) -> str:
    """Give a name for a moment. Others may write to the directory (/tmp): nobody guesses it, and what is there is never taken."""
    return f"{output}.{os.urandom(8).hex()}.tmp"
