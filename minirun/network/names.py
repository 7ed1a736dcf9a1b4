"""Names: the text of a container's /etc/hosts and /etc/resolv.conf.

Owns: both texts, and refusing what would smuggle a line into them.
Leaves to others: writing the files and mounting them (engine), /etc/hostname (engine).
"""

from __future__ import annotations

from ..errors import InvalidInput
from .addresses import packed, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    from .networks import Endpoint

    class NameConfig(Protocol):
        """What `resolv_text` reads of a request; engine.config.ContainerConfig has it."""

        @property
        def dns(self) -> tuple[str, ...]: ...
        @property
        def dns_search(self) -> tuple[str, ...]: ...
        @property
        def dns_options(self) -> tuple[str, ...]: ...


HOST_GATEWAY = "host-gateway"  # --add-host name:host-gateway
RESOLV_CONF = "/etc/resolv.conf"
SYSTEMD_RESOLV_CONF = "/run/systemd/resolve/resolv.conf"  # what stands behind the stub at 127.0.0.53
FALLBACK_NAME_SERVERS = ("8.8.8.8", "8.8.4.4")  # docker's, for a host whose only resolver is out of a container's reach

_LOCALHOST = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def hosts_text(
    hostname: str,
    endpoint: Endpoint | None,
    extra_hosts: Iterable[str] = (),
    linked: Iterable[tuple[str, str]] = (),
) -> str:
    """Give /etc/hosts: localhost, `extra_hosts` (name:address, name=address), `linked` (address, names), the container's own name.

    Raises InvalidInput for a name or address that is none, or for host-gateway without a bridge.
    """
    lines = [_LOCALHOST]
    for extra in extra_hosts:
        name, address = split_extra_host(extra)
        if address == HOST_GATEWAY:
            gateways = [endpoint.gateway4, endpoint.gateway6] if endpoint else []
            if not gateways:
                raise InvalidInput(f"--add-host {extra!r}: host-gateway needs the network bridge")
            lines += [f"{gateway}\t{name}\n" for gateway in gateways if gateway]
        else:
            lines.append(f"{address}\t{name}\n")
    for address, names in linked:
        lines.append(f"{address}\t{' '.join(_checked(name, '--link') for name in names.split(' '))}\n")
    if endpoint is not None and hostname:
        names = _checked(hostname, "host name")
        short = hostname.partition(".")[0]
        if short and short != hostname:
            names += f" {short}"
        lines += [f"{address}\t{names}\n" for address in (endpoint.address4, endpoint.address6) if address]
    return "".join(lines)


def split_extra_host(extra: str) -> tuple[str, str]:
    """Give name and address of `name:address` or `name=address`; the address may stand in brackets. Raises InvalidInput."""
    name, separator, address = extra.partition("=") if "=" in extra else extra.partition(":")
    if not separator or not name or not address:
        raise InvalidInput(f"--add-host {extra!r}: write it as name:address")
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if address != HOST_GATEWAY:
        try:
            address = text(packed(address))
        except (OSError, ValueError) as error:
            raise InvalidInput(f"--add-host {extra!r}: {address!r} is not an IP address") from error
    return _checked(name, "--add-host"), address


def host_resolv_text() -> str:
    """Read the host's resolv.conf, past systemd-resolved's stub; "" when there is none."""
    content = _read(RESOLV_CONF)
    servers = [words[1] for words in _words(content) if words[0] == "nameserver" and len(words) > 1]
    if servers == ["127.0.0.53"]:
        return _read(SYSTEMD_RESOLV_CONF) or content
    return content


def resolv_text(config: NameConfig, host_text: str, *, loopback_works: bool = False, has_ipv6: bool = True) -> str:
    """Give /etc/resolv.conf: what was asked for, and the host's where nothing was.

    Name servers on a loopback address are the container's own loopback in there, so they are left out (unless
    `loopback_works`: --network host), and IPv6 ones where there is no IPv6. If none is left, docker's fallback stands in.
    `--dns-search .` means no search domains. Raises InvalidInput for a name server that is no address.
    """
    servers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    for words in _words(host_text):
        if words[0] == "nameserver" and len(words) > 1 and _is_usable(words[1], loopback_works, has_ipv6):
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            search = words[1:]
        elif words[0] == "options":
            options += words[1:]
    if config.dns:
        servers = [_checked_server(server) for server in config.dns]
    if config.dns_search:
        search = [_checked(domain, "--dns-search") for domain in config.dns_search]
    if config.dns_options:
        options = [_checked(option, "--dns-option") for option in config.dns_options]
    lines = [f"nameserver {server}" for server in servers or FALLBACK_NAME_SERVERS]
    if search and search != ["."]:
        lines.append("search " + " ".join(search))
    if options:
        lines.append("options " + " ".join(options))
    return "\n".join(lines) + "\n"


def _words(content: str) -> list[list[str]]:
    lines = (line.split() for line in content.splitlines())
    return [words for words in lines if words and words[0][0] not in "#;"]


def _is_usable(server: str, loopback_works: bool, has_ipv6: bool) -> bool:
    if loopback_works:
        return True
    try:
        address = packed(server)  # one with a zone (fe80::1%eth0) isn't an address in another network namespace
    except (OSError, ValueError):
        return False
    if len(address) == 4:
        return address[0] not in (0, 127)
    return has_ipv6 and address not in (bytes(16), bytes(15) + b"\x01")


def _checked_server(server: str) -> str:
    try:
        return text(packed(server))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"--dns {server!r}: not an IP address") from error


def _checked(value: str, what: str) -> str:
    """Give `value` when it is one printable word: a space or a line break would start a field or a line of its own."""
    if not value or not value.isprintable() or " " in value or "#" in value:
        raise InvalidInput(f"{what} {value!r}: only printable characters without spaces can stand in this file")
    return value


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
