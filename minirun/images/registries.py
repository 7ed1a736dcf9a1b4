"""Where a registry is: addresses, mirrors, certificates, and what the administrator allows.

Owns: `Endpoint`, the configuration in /etc/minirun/registries.json, certs.d. Leaves to others: talking to it (images/transport,
registry).

    {
      "registry-mirrors": ["https://mirror.example"],         of docker.io, tried first
      "mirrors": {"registry.example": ["https://cache:5000"]}, of any registry
      "insecure-registries": ["lab:5000", "10.0.0.0/8"],      certificates aren't checked, plain HTTP is taken
      "auth-realms": {"registry.example": ["login.other"]}    hosts besides its own that may be given its password
    }

Certificates: /etc/minirun/certs.d/HOST[:PORT]/ and /etc/docker/certs.d/HOST[:PORT]/ with *.crt (authorities), and pairs of
*.cert and *.key (ours). As with docker, registries on this host (localhost, 127.0.0.0/8, ::1) may speak plain HTTP.
"""

from __future__ import annotations

import glob
import ipaddress
import json
import os

from ..errors import MinirunError
from ..record import Record
from .reference import DEFAULT_DOMAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FILE = "/etc/minirun/registries.json"
CERTIFICATES = ("/etc/minirun/certs.d", "/etc/docker/certs.d")
HUB_HOST = "registry-1.docker.io"
_KEYS = ("registry-mirrors", "mirrors", "insecure-registries", "auth-realms")


class Endpoint(Record):
    """One address of a registry; `base` has scheme, host and maybe a port and a path, and no slash at its end."""

    base: str
    domain: str  # whose credentials it may be given; "" for a mirror with none
    verify: bool = True
    authorities: tuple[str, ...] = ()
    client: tuple[tuple[str, str], ...] = ()  # certificate and key
    realms: tuple[str, ...] = ()  # further hosts that may ask for the password

    @property
    def host(self) -> str:
        """Host and port."""
        return self.base.split("://", 1)[1].split("/", 1)[0]

    @property
    def is_plain(self) -> bool:
        """Does it speak HTTP without TLS?"""
        return self.base.startswith("http://")


class Registries:
    """The configuration, read once."""

    def __init__(self, path: str = FILE, certificates: tuple[str, ...] = CERTIFICATES) -> None:
        self._certificates = certificates
        document = _read(path)
        mirrors = _table(document, "mirrors", path)
        mirrors[DEFAULT_DOMAIN] = _list(document, "registry-mirrors", path) + mirrors.get(DEFAULT_DOMAIN, [])
        self._mirrors = mirrors
        self._insecure = _list(document, "insecure-registries", path)
        self._realms = _table(document, "auth-realms", path)

    def configured(self) -> tuple[list[str], list[str]]:
        """Give the mirrors of docker.io, and the registries whose certificates aren't checked, for people to read."""
        return list(self._mirrors[DEFAULT_DOMAIN]), list(self._insecure)

    def endpoints(self, domain: str, *, mirrors: bool = True) -> list[Endpoint]:
        """Give the addresses of a registry in the order in which they are tried."""
        found: list[Endpoint] = []
        for base in self._mirrors.get(domain, []) if mirrors else []:
            scheme, separator, rest = base.rstrip("/").partition("://")
            if not separator or scheme not in ("http", "https") or not rest:
                raise MinirunError(f"{FILE}: a mirror is an address as https://host, not {base!a}")
            if scheme == "http" and not self._is_insecure(rest.split("/", 1)[0]):
                raise MinirunError(f"{FILE}: the mirror {base!a} without TLS must stand among insecure-registries")
            found += self._at(f"{scheme}://{rest}", "")
        host = HUB_HOST if domain == DEFAULT_DOMAIN else domain
        secure = self._at(f"https://{host}", domain)
        found += secure
        if not secure[0].verify:  # where a certificate is asked for, nothing else will do
            found += [endpoint.replace(base=f"http://{host}") for endpoint in secure]
        return found

    def _at(self, base: str, domain: str) -> list[Endpoint]:
        host = base.split("://", 1)[1].split("/", 1)[0]
        authorities, client = self._files(host)
        verify = not self._is_insecure(host) or bool(authorities)
        realms = tuple(self._realms.get(domain, ()))
        return [
            Endpoint(base=base, domain=domain, verify=verify, authorities=authorities, client=client, realms=realms)
        ]

    def _is_insecure(self, host: str) -> bool:
        name = _without_port(host)
        if name == "localhost" or host in self._insecure or name in self._insecure:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        if address.is_loopback:
            return True
        for entry in self._insecure:
            try:
                if address in ipaddress.ip_network(entry, strict=False):
                    return True
            except ValueError:  # a name
                continue
        return False

    def _files(self, host: str) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
        authorities: list[str] = []
        client: list[tuple[str, str]] = []
        for top in self._certificates:
            place = glob.escape(f"{top}/{host}")
            authorities += sorted(glob.glob(f"{place}/*.crt"))
            for certificate in sorted(glob.glob(f"{place}/*.cert")):
                key = certificate.removesuffix(".cert") + ".key"
                if not os.path.exists(key):
                    raise MinirunError(f"{certificate} has no key beside it: {key} is missing")
                client.append((certificate, key))
        return tuple(authorities), tuple(client)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise MinirunError(f"read {path}: {ascii(str(error))[1:-1]}: mend it") from error
    if not isinstance(document, dict) or (unknown := [key for key in document if key not in _KEYS]):
        named = f"unknown: {unknown[0]!a}" if isinstance(document, dict) else "no JSON object"
        raise MinirunError(f"read {path}: {named}; it may have {', '.join(_KEYS)}")
    return document


def _list(document: dict[str, Any], key: str, path: str) -> list[str]:
    found = document.get(key, [])
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise MinirunError(f"read {path}: {key} is no list of texts")
    return found


def _table(document: dict[str, Any], key: str, path: str) -> dict[str, list[str]]:
    found = document.get(key, {})
    if not isinstance(found, dict):
        raise MinirunError(f"read {path}: {key} is no object")
    return {name: _list(found, name, path) for name in found}
