"""Published ports: `[address:][host[-last]:]container[-last][/protocol]`, the address of version 6 in brackets.

Owns: this grammar. Leaves to others: which host port a 0 becomes, whether a port is free (network/).
"""

from __future__ import annotations

import _socket

from ...engine.config import PortMapping
from ...errors import InvalidInput

PROTOCOLS = ("tcp", "udp", "sctp")


def publish(text: str) -> tuple[PortMapping, ...]:
    """Read one `-p`: a mapping for each container port. Raises InvalidInput."""
    address, host, container = _split(text)
    container, slash, protocol = container.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in PROTOCOLS:
        raise InvalidInput(f"invalid proto: {protocol}")
    if not container:
        raise InvalidInput(f"no port specified: {text}<empty>")
    first, last = _range(container, "containerPort", 1)
    if not host:
        host_first = host_last = 0
    else:
        host_first, host_last = _range(host, "hostPort", 0)
        if host_last - host_first != last - first and not (host_first == host_last == 0):
            raise InvalidInput(f"invalid ranges specified for container and host Ports: {container} and {host}")
    address = _address(address)
    return tuple(
        PortMapping(
            container_port=first + step,
            protocol=protocol,
            host_address=address,
            host_port=host_first + step if host_first else 0,
        )
        for step in range(last - first + 1)
    )


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
