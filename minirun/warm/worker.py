"""A worker: from the fork to the command's own code.

Owns: the order, and the last moment in which the command can still be left to its caller. Leaves to others: single facts (adopt).
Until the token is taken nothing has been done that anybody could see, and every failure means: run it cold. From then on this
process is the command.
"""

from __future__ import annotations

import _signal
import _socket
import os
import sys

from .._native import lib
from ..frozen import Archive
from ..light import suppress
from ..program import end_with
from . import adopt, request
from .request import ACCEPTED, Rejected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from .caller import Facts, Peer
    from .request import Request

# What runs a program's command line, and what says whether it needs the caller's own process.
PROGRAMS = {
    b"minirun": ("minirun.cli.main", "minirun.cli.needs_caller"),
    b"minirun-oci": ("minirun.oci.main", "minirun.oci.needs_caller"),
}
_TOKEN = 8  # bytes of an eventfd's value


def become(asked: Request, socket: _socket.socket, peer: Peer, facts: Facts, parent: int, highest: int) -> NoReturn:
    """Become the command, in a process just forked by `parent`, none of whose descriptors is above `highest`."""
    try:
        entry = _prepare(asked, socket, peer, facts, parent, highest)
    except BaseException:
        os._exit(1)  # the server says COLD when there is a token left
    try:
        entry()
    except BaseException as error:  # as the interpreter ends when nothing has caught it
        sys.excepthook(type(error), error, error.__traceback__)
        lib.mr_unmap_shared_files()
        if isinstance(error, KeyboardInterrupt):
            _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
            os.kill(os.getpid(), _signal.SIGINT)
    os._exit(1)


def _prepare(
    asked: Request, socket: _socket.socket, peer: Peer, facts: Facts, parent: int, highest: int
) -> Callable[[], None]:
    """Do everything up to the token, take it, and give what runs the command. Raises whatever speaks against it."""
    if lib.mr_end_with_parent(parent) < 0:
        raise Rejected("the preloaded process has ended")
    os.setpgid(0, 0)  # one of its own in the session of its parent isn't orphaned: it can be stopped. credentials(7)
    _signal.set_wakeup_fd(-1)
    module, needs_caller = (sys.modules[name] for name in PROGRAMS[asked.program])
    archive = next((finder for finder in sys.meta_path if isinstance(finder, Archive)), None)
    directory, *theirs = request.receive(request.socket_of(os.dup(asked.pair)), 1 + len(asked.numbers)) or (-1,)
    if directory < 0:
        raise Rejected("its descriptors")
    keep = [socket.detach(), asked.token, directory, *([archive.descriptor] if archive else [])]
    keep = adopt.place(dict(zip(asked.numbers, theirs, strict=True)), keep, max(highest, directory, *theirs, 0))
    connection, token, directory = keep[:3]
    if archive:
        archive.descriptor = keep[3]
    adopt.adopt(asked, peer, facts, directory)
    if needs_caller.needs_caller(sys.argv[1:], has_terminal=asked.has_terminal, reads_terminal=_is_terminal(0)):
        raise Rejected("it needs its caller's own process")
    adopt.open_streams()
    ourselves = os.pidfd_open(os.getpid())
    os.read(token, _TOKEN)  # BlockingIOError: the caller has lost patience
    with suppress(OSError):  # who asked has ended; what ends its worker is on its way
        request.answer(request.socket_of(connection), ACCEPTED, os.getpid(), ourselves)
    request.close_all((token, directory, ourselves))
    end_with(_leave)
    entry: Callable[[], None] = module.entry
    return entry


def _leave() -> None:
    """The last act of a command: it holds no file of its caller's by its memory, which is fit for the next one."""
    lib.mr_unmap_shared_files()
    lib.mr_worker_ends()


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
