"""`search`: asking a registry's index for repositories by a word.

Owns: the one request of docker's old search interface, reading its answer. Leaves to others: the table (cli/commands/search).

    GET https://index.docker.io/v1/search?q=WORD&n=COUNT -> {"results": [{name, description, star_count, is_official, ...}]}

It is no part of the distribution specification, and few registries but Docker Hub have it.
"""

from __future__ import annotations

import urllib.parse

from ..errors import Corrupt, InvalidInput, MinirunError
from ..record import Record
from . import manifest as documents
from .answers import Unreachable, check, read_all
from .login import domain_of
from .reference import DEFAULT_DOMAIN
from .registries import Registries
from .transport import Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HUB_INDEX = "https://index.docker.io"
DEFAULT_LIMIT, LIMIT_MAX = 25, 100


class Result(Record):
    """A repository that was found."""

    name: str
    description: str = ""
    stars: int = 0
    is_official: bool = False
    is_automated: bool = False


def search(term: str, limit: int = 0, registries: Registries | None = None) -> list[Result]:
    """Give the repositories that a word finds, those with the most stars first; `term` may begin with a registry's name.

    Raises InvalidInput, NotFound (the registry has no search), Refused, Unreachable, Corrupt. Blocks.
    """
    limit = limit or DEFAULT_LIMIT
    if not 1 <= limit <= LIMIT_MAX:
        raise InvalidInput(f"limit {limit} is outside the range of [1, {LIMIT_MAX}]")
    if "://" in term:
        raise InvalidInput(
            f"invalid repository name: repository name ({ascii(term[:200])[1:-1]}) should not have a scheme"
        )
    domain, word = _split(term)
    if not word:
        raise InvalidInput("search term is empty")
    query = urllib.parse.urlencode({"q": word, "n": limit})
    failures: list[MinirunError] = []
    for endpoint in (registries or Registries()).endpoints(domain, mirrors=False):
        base = HUB_INDEX if domain == DEFAULT_DOMAIN else endpoint.base
        transport = Transport(endpoint.replace(base=base))
        try:
            answer = transport.request("GET", f"{base}/v1/search?{query}")
            check(answer, f"search for {ascii(word[:100])[1:-1]}", endpoint.host, (200,))
            document = documents.read_json(read_all(answer, documents.DOCUMENT_MAX, "the results"), "the results")
            return sorted(_results(document, base), key=lambda each: -each.stars)[:limit]
        except Unreachable as error:
            failures.append(error)
        finally:
            transport.close()
    raise failures[0]


def _split(term: str) -> tuple[str, str]:
    """Give registry and word: what comes before the first slash is a registry when it can be nothing else."""
    first, slash, rest = term.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return domain_of(first), rest
    return DEFAULT_DOMAIN, term.removeprefix("library/")


def _results(document: Any, base: str) -> list[Result]:
    results = document.get("results") if isinstance(document, dict) else None
    if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
        raise Corrupt(f"{base} gave no results of a search")
    return [
        Result(
            name=_text(each.get("name")),
            description=_text(each.get("description")),
            stars=each["star_count"] if isinstance(each.get("star_count"), int) else 0,
            is_official=each.get("is_official") is True,
            is_automated=each.get("is_automated") is True,
        )
        for each in results
    ]


def _text(value: Any) -> str:
    """What somebody else wrote, on one line and without what a terminal obeys."""
    text = " ".join(value.split()) if isinstance(value, str) else ""
    return "".join(each if each.isprintable() else "?" for each in text)
