"""Published ports: `[address:][host[-last]:]container[-last][/protocol]`, the address of version 6 in brackets.

Owns: this grammar. Leaves to others: which host port a 0 becomes, whether a port is free (network/).
"""

from __future__ import annotations

import _socket

from ...engine.config import PortMapping
from ...errors import InvalidInput

PROTOCOLS = ("tcp", "udp", "sctp")


def publish(text: str) -> tuple[PortMapping, ...]:
    """Read one `-p`: a mapping for each container port. Raises InvalidInput.

    A range of the host's that leads to one port means the first of them that is free.
    """
    if "=" in text:
        text = _short(text)
    address, host, container = _split(text)
    container, slash, protocol = container.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in PROTOCOLS:
        raise InvalidInput(f"invalid proto: {protocol}")
    if not container:
        raise InvalidInput(f"no port specified: {text}<empty>")
    first, last = _range(container, "containerPort", 1)
    host_first, host_last = _range(host, "hostPort", 0) if host else (0, 0)
    address = _address(address)
    if first == last and host_last > host_first > 0:
        return (
            PortMapping(
                container_port=first,
                protocol=protocol,
                host_address=address,
                host_port=host_first,
                host_port_last=host_last,
            ),
        )
    if host_last - host_first != last - first and host_last:
        raise InvalidInput(f"invalid ranges specified for container and host Ports: {container} and {host}")
    return tuple(
        PortMapping(
            container_port=first + step,
            protocol=protocol,
            host_address=address,
            host_port=host_first + step if host_first else 0,
        )
        for step in range(last - first + 1)
    )


def _short(text: str) -> str:
    """Write `target=80,published=8080,protocol=udp` as `8080:80/udp`. A mode means something to swarms alone."""
    fields = {"target": "", "published": "", "protocol": "tcp", "mode": "ingress"}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or not value:
            raise InvalidInput(f"invalid field {part}")
        if key.lower() not in fields:
            raise InvalidInput(f"invalid field key {key}")
        fields[key.lower()] = value
    for key in ("target", "published"):
        if fields[key] and _port(fields[key]) < 0:
            raise InvalidInput(f"invalid {key} port ({fields[key]}): value must be an integer")
    if fields["mode"] not in ("ingress", "host"):
        raise InvalidInput(f"invalid publish mode ({fields['mode']}): must be either 'ingress' or 'host'")
    if not fields["target"]:
        raise InvalidInput("missing mandatory field 'target'")
    return f"{fields['published']}:{fields['target']}/{fields['protocol']}"


def expose(text: str) -> tuple[str, ...]:
    """Read one `--expose`: `port[-last][/protocol]`, as many entries as ports. Raises InvalidInput."""
    if ":" in text:
        raise InvalidInput(f"invalid port format for --expose: {text}")
    numbers, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in PROTOCOLS:
        raise InvalidInput(f"invalid proto: {protocol}")
    try:
        first, last = _range(numbers, "containerPort", 1)
    except InvalidInput as error:
        raise InvalidInput(f"invalid range format for --expose: {text}, error: {error}") from error
    return tuple(f"{number}/{protocol}" for number in range(first, last + 1))


def _split(text: str) -> tuple[str, str, str]:
    """Cut at the last two colons; what is left of them is the address, which may hold colons itself."""
    rest, _, container = text.rpartition(":")
    if not rest:
        return "", "", container
    address, _, host = rest.rpartition(":")
    return address, host, container


def _range(text: str, what: str, lowest: int) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    numbers = [_port(part) for part in ((first, last) if dash else (first,))]
    if any(number < lowest for number in numbers) or numbers[0] > numbers[-1]:
        raise InvalidInput(f"invalid {what}: {text}")
    return numbers[0], numbers[-1]


def _port(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= 65535:
        return int(text)
    return -1


def _address(text: str) -> str:
    """Give an IP address in its canonical spelling; "" stands for every address."""
    if not text:
        return ""
    bracketed = text.startswith("[") and text.endswith("]")
    bare = text[1:-1] if bracketed else text
    family = _socket.AF_INET6 if bracketed or ":" in bare else _socket.AF_INET
    try:
        if family == _socket.AF_INET6 and not bracketed:
            raise OSError("an address of version 6 stands in brackets")
        return _socket.inet_ntop(family, _socket.inet_pton(family, bare))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"invalid IP address: {text}") from error
