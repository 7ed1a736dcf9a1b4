"""Names of images: what users write, what is stored, what is shown.

Owns: `Reference`, its parser, the shapes of ids and digests. Leaves to others: what a name leads to (images/store).

    busybox                    docker.io/library/busybox:latest
    me/app:1.2                 docker.io/me/app:1.2
    registry:5000/team/app     registry:5000/team/app:latest
    localhost/app@sha256:...   the same, with a digest

The grammar is that of github.com/distribution/reference, written out by hand: `run` parses a name and can't pay for `re`.
"""

from __future__ import annotations

from ..errors import InvalidInput
from ..record import Record

DEFAULT_DOMAIN = "docker.io"
OFFICIAL = "library"
DEFAULT_TAG = "latest"
NAME_MAX = 255
TAG_MAX = 128

LOWER = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
ALPHANUMERIC = LOWER | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
HEX = frozenset("0123456789abcdef")
TAG = ALPHANUMERIC | frozenset("_.-")
DOMAIN = ALPHANUMERIC | frozenset("-")


class Reference(Record):
    """A parsed name; at most one of `tag` and `digest` decides, the digest first. Both are "" when not given."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """The repository in full: docker.io/library/busybox."""
        return f"{self.domain}/{self.path}"

    @property
    def full(self) -> str:
        """The name under which an image is stored: with domain and tag, "latest" when none was given."""
        return f"{self.name}:{self.tag or DEFAULT_TAG}"

    @property
    def familiar_name(self) -> str:
        """The repository as users write it: busybox."""
        return familiar(self.name)

    @property
    def familiar(self) -> str:
        """Name and tag as users write it: busybox:latest."""
        return f"{self.familiar_name}:{self.tag or DEFAULT_TAG}"


def parse(text: str) -> Reference:
    """Parse a name with an optional tag and digest; raises InvalidInput."""
    if len(text) == 64 and set(text) <= HEX:
        raise _invalid(text, "a name can't look like an image id")
    rest, _, digest = text.partition("@")
    if "@" in text and not is_digest(digest):
        raise _invalid(text, f"'{_shown(digest)}' is no digest (sha256: and 64 hexadecimal digits)")
    slash = rest.rfind("/")
    colon = rest.rfind(":")
    tag = ""
    if colon > slash:
        rest, tag = rest[:colon], rest[colon + 1 :]
        if not _is_tag(tag):
            raise _invalid(text, "a tag has letters, digits, '_', '.' and '-', at most 128 of them")
    domain, path = _split_domain(rest)
    if not _is_domain(domain) or not path:
        raise _invalid(text)
    if path != path.lower():
        raise _invalid(text, f"repository name ({_shown(path)}) must be lowercase")
    if not all(_is_path_component(part) for part in path.split("/")):
        raise _invalid(text)
    if len(domain) + 1 + len(path) > NAME_MAX:
        raise _invalid(text, f"a repository name has at most {NAME_MAX} characters")
    return Reference(domain=domain, path=path, tag=tag, digest=digest)


def familiar(full: str) -> str:
    """Give the short form of a stored name without checking it again: the way out, for each row of a table."""
    if not full.startswith(f"{DEFAULT_DOMAIN}/"):
        return full
    path = full[len(DEFAULT_DOMAIN) + 1 :]
    official = path.removeprefix(f"{OFFICIAL}/")
    return path if "/" in official else official


def is_digest(text: str) -> bool:
    """Say whether `text` is a digest that this store can hold: sha256 in lower case, nothing else (it becomes a file name)."""
    return len(text) == 71 and text.startswith("sha256:") and set(text[7:]) <= HEX


def id_prefix(text: str) -> str:
    """Give the hexadecimal digits when `text` can be (the beginning of) an image id, "" otherwise."""
    digits = text.removeprefix("sha256:")
    return digits if 0 < len(digits) <= 64 and set(digits) <= HEX else ""


def _split_domain(rest: str) -> tuple[str, str]:
    first, slash, path = rest.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        domain, path = DEFAULT_DOMAIN, rest
    else:
        domain = DEFAULT_DOMAIN if first == "index.docker.io" else first
    if domain == DEFAULT_DOMAIN and path and "/" not in path:
        path = f"{OFFICIAL}/{path}"
    return domain, path


def _is_tag(tag: str) -> bool:
    return 0 < len(tag) <= TAG_MAX and tag[0] not in ".-" and set(tag) <= TAG


def _is_domain(domain: str) -> bool:
    if domain.startswith("["):
        host, bracket, rest = domain[1:].partition("]")
        if not bracket or not host or not set(host) <= frozenset("0123456789abcdefABCDEF:"):
            return False
        return rest == "" or (rest[0] == ":" and _is_port(rest[1:]))
    host, colon, port = domain.partition(":")
    if colon and not _is_port(port):
        return False
    return all(part and set(part) <= DOMAIN and part[0] != "-" and part[-1] != "-" for part in host.split("."))


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_path_component(part: str) -> bool:
    """[a-z0-9]+ joined by one '.', one or two '_', or any number of '-'."""
    if not part or part[0] not in LOWER or part[-1] not in LOWER:
        return False
    separator = ""
    for character in part:
        if character in LOWER:
            if separator and separator not in (".", "_", "__") and set(separator) != {"-"}:
                return False
            separator = ""
        elif character in "._-":
            separator += character
        else:
            return False
    return True


def _invalid(text: str, reason: str = "") -> InvalidInput:
    return InvalidInput(f"invalid reference format: '{_shown(text)}'" + (f": {reason}" if reason else ""))


def _shown(text: str) -> str:
    """What a user wrote, on one line and without what a terminal obeys."""
    return ascii(text[:300])[1:-1]
