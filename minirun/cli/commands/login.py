"""`minirun login`: find out whether a registry takes a name and password, and keep them where docker does."""

from __future__ import annotations

import os
import sys

from ...errors import BadCall, MinirunError
from ...output import say, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...command_line import Parsed
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    from ...engine.login import Refused, known_user, log_in, log_in_again

    parsed = invocation.parsed
    server = parsed.arguments[0] if parsed.arguments else ""
    if not any(parsed.text(name) for name in ("username", "password")) and not parsed.flag("password-stdin"):
        try:
            if log_in_again(server):
                say("Authenticating with existing credentials...\nLogin Succeeded")
                return 0
        except Refused as error:
            warn(f"Login did not succeed, error: {error}")
    username, password = _asked(parsed, lambda: known_user(server))
    if warning := log_in(server, username, password):
        for line in ("", *warning.splitlines(), ""):
            warn(line)
    say("Login Succeeded")
    return 0


def _asked(parsed: Parsed, known: Callable[[], str]) -> tuple[str, str]:
    """Give name and password: from the options, from standard input, or by asking."""
    username, password = parsed.text("username"), parsed.text("password")
    if parsed.flag("password-stdin"):
        if password:
            raise BadCall("conflicting options: cannot specify both --password and --password-stdin")
        if not username:
            raise BadCall("the --password-stdin option requires --username to be set")
        return username, sys.stdin.buffer.read().decode(errors="replace").removesuffix("\n").removesuffix("\r")
    if password:
        warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
    if username and password:
        return username, password
    if not os.isatty(0):
        raise MinirunError("Cannot perform an interactive login from a non TTY device")
    usual = known()
    if not username:
        username = input(f"Username{f' ({usual})' if usual else ''}: ").strip() or usual
    if not username:
        raise MinirunError("username is required")
    if not password:
        import getpass

        password = getpass.getpass("Password: ")
    if not password:
        raise MinirunError("password is required")
    return username, password
