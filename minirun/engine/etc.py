"""The files of /etc that describe a container's network: hosts, hostname, resolv.conf.

Owns: which text a container gets (its own, the host's, another container's) and writing it into the run directory, from
where the start binds it: like the addresses in them, they last as long as a run. Leaves to others: the form of the lines
(network/names).
"""

from __future__ import annotations

from ..files import read_bytes, write_new

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..network.networks import Endpoint
    from .container import Container
    from .engine import Engine

FILES = ("hosts", "hostname", "resolv.conf")


def write(
    engine: Engine,
    container: Container,
    endpoint: Endpoint | None,
    lender: Container | None,
    linked: Iterable[tuple[str, str]] = (),
) -> None:
    """Write the three files into the container's run directory; raises InvalidInput for a name that would add a line, OSError.

    With `lender` (`--network container:NAME`) they are that container's, as docker has it. `linked`: addresses and names for hosts.
    """
    directory = engine.layout.run(container.id)
    if lender is not None:
        source = engine.layout.run(lender.id)
        for name in FILES:
            write_new(f"{directory}/{name}", read_bytes(f"{source}/{name}") or b"", 0o644)
    else:
        for name, text in _texts(container, endpoint, linked).items():
            write_new(f"{directory}/{name}", text.encode(), 0o644)
    if container.config.has_user_namespace:
        from .userns import give

        give(engine, container, *(f"{directory}/{name}" for name in FILES))


def _texts(container: Container, endpoint: Endpoint | None, linked: Iterable[tuple[str, str]]) -> dict[str, str]:
    from ..network import names

    config = container.config
    if config.network == "host" and not config.extra_hosts:
        hosts = _host_file("/etc/hosts")
    else:
        full = ".".join(filter(None, (container.hostname, config.domainname)))
        hosts = names.hosts_text(full, endpoint, config.extra_hosts, linked)
    return {
        "hosts": hosts,
        "hostname": container.hostname + "\n",
        "resolv.conf": names.resolv_text(config, names.host_resolv_text(), loopback_works=config.network == "host"),
    }


def _host_file(path: str) -> str:
    return (read_bytes(path, 1 << 16) or b"").decode("utf-8", "replace")
