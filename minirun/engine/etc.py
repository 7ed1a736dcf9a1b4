"""The files of /etc that describe a container's network: hosts, hostname, resolv.conf.

Owns: which text a container gets (its own, the host's, another container's) and writing it into the container's directory,
from where the start binds it. Leaves to others: the form of the lines (network/names).
"""

from __future__ import annotations

import os

from ..files import read_bytes, write_atomically

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..network.networks import Endpoint
    from .container import Container
    from .engine import Engine

FILES = ("hosts", "hostname", "resolv.conf")
RESOLVER_FILES = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")


def write(engine: Engine, container: Container, endpoint: Endpoint | None, lender: Container | None) -> None:
    """Write the three files into the container's directory; raises InvalidInput for a name that would add a line, OSError.

    With `lender` (`--network container:NAME`) they are that container's, as docker has it.
    """
    directory = engine.layout.container(container.id)
    if lender is not None:
        source = engine.layout.container(lender.id)
        for name in FILES:
            write_atomically(f"{directory}/{name}", read_bytes(f"{source}/{name}") or b"", 0o644)
        return
    for name, text in _texts(container, endpoint).items():
        write_atomically(f"{directory}/{name}", text.encode(), 0o644)


def _texts(container: Container, endpoint: Endpoint | None) -> dict[str, str]:
    from ..network import names

    config = container.config
    if config.network == "host" and not config.extra_hosts:
        hosts = _host_file("/etc/hosts")
    else:
        hosts = names.hosts_text(container.hostname, endpoint, config.extra_hosts)
    return {
        "hosts": hosts,
        "hostname": container.hostname + "\n",
        "resolv.conf": names.resolv_text(config, _resolver_text()),
    }


def _resolver_text() -> str:
    """Give the host's resolv.conf; where it names only a resolver on loopback (systemd-resolved), the file with the real ones."""
    text = _host_file(RESOLVER_FILES[0])
    servers = [line.split()[1] for line in text.splitlines() if line.startswith("nameserver") and len(line.split()) > 1]
    if servers and all(server.startswith("127.0.0.53") for server in servers) and os.path.exists(RESOLVER_FILES[1]):
        return _host_file(RESOLVER_FILES[1])
    return text


def _host_file(path: str) -> str:
    return (read_bytes(path, 1 << 16) or b"").decode("utf-8", "replace")
