"""The log of `minirun-oci` in the host's: `--log journald:NAME` and `--log syslog:NAME`, as crun has them.

Owns: what such a message looks like on its way. Leaves to others: what is said, and when (oci/log).
A service that isn't there loses messages, which must not hide what a command does. systemd.journal-fields(7), syslog(3)
"""

from __future__ import annotations

import _socket

from ..errors import InvalidInput
from ..light import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Sender = Callable[[str, str], None]

JOURNAL = "/run/systemd/journal/socket"
_PRIORITIES = {"error": 3, "warning": 4, "debug": 7}  # syslog(3)


def sender(service: str, name: str) -> Sender:
    """Give what sends a level and a message to `service`. InvalidInput without a name to send them by."""
    if not name or not name.isprintable():
        raise InvalidInput(f"--log {service}:NAME needs the name by which its messages are found")
    return _to_journal(name) if service == "journald" else _to_syslog(name)


def _to_journal(name: str) -> Sender:
    def send(level: str, message: str) -> None:
        text = message.replace("\n", " ")
        fields = f"MESSAGE={text}\nPRIORITY={_PRIORITIES[level]}\nSYSLOG_IDENTIFIER={name}\n"
        with suppress(OSError):
            socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
            try:
                socket.sendto(fields.encode("utf-8", "backslashreplace"), _socket.MSG_DONTWAIT, JOURNAL)
            finally:
                socket.close()

    return send


def _to_syslog(name: str) -> Sender:
    import syslog

    syslog.openlog(name, syslog.LOG_PID, syslog.LOG_USER)

    def send(level: str, message: str) -> None:
        syslog.syslog(_PRIORITIES[level], message.encode("utf-8", "backslashreplace").decode())

    return send
