"""Names and addresses: `--network`, `--hostname`, `--add-host`, `--dns` and its relatives.

Owns: these grammars. What they give ends up as lines of files in the container, so nothing here lets white space or a
control character through. Leaves to others: the files themselves (network/names), whether a container exists (engine/).
"""

from __future__ import annotations

import _socket

from ...errors import InvalidInput

_MODES = ("none", "host", "bridge")
_HOST_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")
HOST_NAME_MAX = 64  # sethostname(2)


def mode(text: str) -> str:
    """Read a network: none, host, bridge, container:NAME."""
    if "=" in text:
        text = _name_of(text)
    if text in ("", "default"):
        return "bridge"
    if text in _MODES:
        return text
    if text.startswith("container:"):
        if text == "container:":
            raise InvalidInput("invalid container format container:<name|id>")
        return text
    raise InvalidInput(
        f"network {text} not found: there are none, host, bridge and container:NAME (networks of your own come later)"
    )


def _name_of(text: str) -> str:
    """Read `name=bridge`; what else can be said there is of networks of one's own."""
    fields = [part.partition("=") for part in text.split(",")]
    for key, _, _ in fields:
        if key == "alias":
            raise InvalidInput("network-scoped aliases are only supported for user-defined networks")
        if key in ("ip", "ip6", "link-local-ip"):
            raise InvalidInput("user specified IP address is supported on user defined networks only")
        if key != "name":
            raise InvalidInput(f"invalid field: {key}: there is name alone")
    return fields[-1][2]


def mac_address(text: str) -> str:
    """Read six bytes of a hardware address; one of a group (its first byte is odd) is none of a device's. Raises InvalidInput."""
    parts = text.replace("-", ":").split(":") if text else []
    digits = frozenset("0123456789abcdefABCDEF")
    if text and (len(parts) != 6 or not all(len(part) == 2 and digits.issuperset(part) for part in parts)):
        raise InvalidInput(f"{text} is not a valid mac address")
    if parts and int(parts[0], 16) & 1:
        raise InvalidInput(f"{text} is not a valid mac address: it is that of a group")
    return ":".join(parts).lower()


def hostname(text: str) -> str:
    """Read a host name; an empty one means the default."""
    if not text:
        return ""
    if len(text) > HOST_NAME_MAX or not _HOST_LETTERS.issuperset(text) or text[0] in "-." or text[-1] in "-.":
        raise InvalidInput(f"invalid hostname: {text}")
    return text


def extra_host(text: str) -> tuple[str, ...]:
    """Read `name:address` or `name=address`; the address may be `host-gateway`."""
    splitter = "=" if "=" in text else ":"
    name, found, address = text.partition(splitter)
    if not found or not name or not address:
        raise InvalidInput(f'bad format for add-host: "{text}"')
    if not _HOST_LETTERS.issuperset(name):
        raise InvalidInput(f'invalid host name in add-host: "{name}"')
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    if bare != "host-gateway" and not is_address(bare):
        raise InvalidInput(f'invalid IP address in add-host: "{address}"')
    return (f"{name}:{bare}",)


def link(text: str) -> tuple[str, ...]:
    """Read `container[:alias]`; the alias becomes a name in /etc/hosts. Raises InvalidInput."""
    if not text:
        raise InvalidInput("empty string specified for links")
    name, _, alias = text.partition(":")
    alias = alias or name.removeprefix("/")
    if not name or ":" in alias:
        raise InvalidInput(f"bad format for links: {text}")
    if not _HOST_LETTERS.issuperset(alias) or alias[0] in "-.":
        raise InvalidInput(f'invalid alias "{alias}" for a link: letters, digits, dots, hyphens and underscores')
    return (f"{name}:{alias}",)


def dns_server(text: str) -> tuple[str, ...]:
    """Read the address of a name server."""
    bare = text.strip()
    if not is_address(bare):
        raise InvalidInput(f"IP address is not correctly formatted: {text}")
    return (bare,)


def dns_search(text: str) -> tuple[str, ...]:
    """Read a domain that short names are tried in; `.` alone means none."""
    bare = text.strip()
    if bare != "." and (
        not bare or len(bare) > 255 or not _HOST_LETTERS.issuperset(bare) or ".." in bare or bare[0] in ".-"
    ):
        raise InvalidInput(f"{text} is not a valid domain")
    return (bare,)


def dns_option(text: str) -> tuple[str, ...]:
    """Read an option of resolv.conf(5), such as `ndots:2`; an empty text is none."""
    if not text:
        return ()
    if not all(letter in _HOST_LETTERS or letter == ":" for letter in text):
        raise InvalidInput(f"'{text}' is not an option of resolv.conf")
    return (text,)


def is_address(text: str) -> bool:
    """Tell whether this is an IP address of either version."""
    try:
        _socket.inet_pton(_socket.AF_INET6 if ":" in text else _socket.AF_INET, text)
    except (OSError, ValueError):
        return False
    return True
