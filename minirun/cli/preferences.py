"""What a user has said once for all commands, in docker's config.json: how lists look, which keys detach, which proxies there are.

    psFormat imagesFormat statsFormat volumesFormat     what --format is when nothing is given
    detachKeys                                          what --detach-keys is
    proxies                                             variables of new containers

Owns: reading these. Leaves to others: logins, which lie in the same file (images/credentials). A file that is no JSON is warned of.
"""

from __future__ import annotations

import os

from ..output import warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# proxies.default of config.json, and the variable that it becomes; each is set in capitals and in small letters.
_PROXIES = (
    ("httpProxy", "HTTP_PROXY"),
    ("httpsProxy", "HTTPS_PROXY"),
    ("noProxy", "NO_PROXY"),
    ("ftpProxy", "FTP_PROXY"),
    ("allProxy", "ALL_PROXY"),
)


def preference(name: str) -> Any:
    """Give what the file says under this name, None for nothing."""
    directory = os.environ.get("DOCKER_CONFIG", "") or os.path.expanduser("~/.docker")
    try:
        with open(f"{directory}/config.json", encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError:
        return None  # most users have none
    if f'"{name}"' not in text:
        return None
    from ..jsontext import loads

    try:
        document = loads(text.strip())
    except ValueError as error:
        warn(f"WARNING: {directory}/config.json is no JSON, and isn't heeded: {error}")
        return None
    return document.get(name) if isinstance(document, dict) else None


def text_preference(name: str) -> str:
    """Give a text that the file has under this name, "" for nothing or something else."""
    value = preference(name)
    return value if isinstance(value, str) else ""


def proxy_variables() -> tuple[str, ...]:
    """Give the environment that the user's proxies make. Docker's documentation, "Use a proxy server with the Docker CLI"."""
    proxies = preference("proxies")
    given = proxies.get("default") if isinstance(proxies, dict) else None
    if not isinstance(given, dict):
        return ()
    found = [(name, given[key]) for key, name in _PROXIES if isinstance(given.get(key), str) and given[key]]
    return tuple(f"{spelling}={value}" for name, value in found for spelling in (name, name.lower()))
