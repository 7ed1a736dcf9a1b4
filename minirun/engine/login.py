"""Logging in to a registry and out of it; needs no data root and no rights.

Owns: `log_in`, `log_in_again`, `log_out`, `known_user`. Leaves to others: the registry's answer (images/login),
keeping (images/credentials).
"""

from __future__ import annotations

from ..images import login
from ..images.answers import Refused
from ..images.credentials import Credentials, Keychain, server_of

__all__ = ["Refused", "known_user", "log_in", "log_in_again", "log_out"]


def known_user(server: str) -> str:
    """Give the name that a user has logged in with before, or ""."""
    known = Keychain().find(login.domain_of(server))
    return known.username if known else ""


def log_in(server: str, username: str, password: str) -> str:
    """Try name and password at a registry ("" is docker.io), and keep them when they are right.

    Gives a warning for the user when they lie in clear text from now on. Raises InvalidInput, Refused, Unreachable,
    MinirunError. Blocks.
    """
    domain = login.domain_of(server)
    credentials = login.log_in(domain, Credentials(username=username, password=password))
    return Keychain().store(domain, credentials)


def log_in_again(server: str) -> bool:
    """Try what is kept for a server; False when nothing is. Raises as `log_in` does."""
    domain = login.domain_of(server)
    known = Keychain().find(domain)
    if known is None:
        return False
    login.log_in(domain, known)
    return True


def log_out(server: str) -> tuple[str, bool]:
    """Forget name and password: gives what docker calls the server, and whether there was anything to forget."""
    domain = login.domain_of(server)
    return server_of(domain), Keychain().erase(domain)
