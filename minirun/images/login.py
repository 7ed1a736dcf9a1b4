"""Logging in: does a registry take these credentials?

Owns: `log_in`, what users call a server. Leaves to others: keeping them (images/credentials), the questions (the command line).
"""

from __future__ import annotations

from ..errors import InvalidInput, MinirunError
from .answers import Refused, Unreachable
from .credentials import Credentials
from .reference import DEFAULT_DOMAIN, parse
from .registries import Registries
from .registry import Registry
from .transport import Transport


class _Given:
    """A keychain that knows the one thing that is being tried."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def find(self, domain: str) -> Credentials | None:
        """Give it, whoever asks."""
        return self._credentials


def domain_of(server: str) -> str:
    """Give the domain that a user means by a server's name or address; "" is docker.io. Raises InvalidInput."""
    host = server.split("://", 1)[-1].split("/", 1)[0]
    if host in ("", "index.docker.io", "registry-1.docker.io", DEFAULT_DOMAIN):
        return DEFAULT_DOMAIN
    try:
        parsed = parse(f"{host if '.' in host or ':' in host else f'{host}:443'}/name")
    except InvalidInput as error:
        raise InvalidInput(f"'{ascii(server)[1:-1]}' is no name of a registry") from error
    return parsed.domain if "." in host or ":" in host else host


def log_in(domain: str, credentials: Credentials, registries: Registries | None = None) -> Credentials:
    """Try credentials at a registry and give them back as they are to be kept. Raises Refused, Unreachable."""
    failure: MinirunError | None = None
    for endpoint in (registries or Registries()).endpoints(domain, mirrors=False):
        registry = Registry(Transport(endpoint), "", _Given(credentials))
        try:
            registry.ping()
            return credentials
        except Unreachable as error:
            failure = failure or error
        except Refused as error:
            raise Refused(f"login attempt to {endpoint.base}/v2/ failed: {error}", error.status, error.code) from error
        finally:
            registry.close()
    raise failure or MinirunError(f"log in to {domain}: there is no address for it")
