"""Showing who we are: the answer to a registry's challenge.

Owns: `Authorization`: challenges, tokens, which realm may be told a password. Leaves to others: whose password
(images/credentials), asking again (images/registry).

    401 WWW-Authenticate -> Basic: the password
                         -> Bearer: a token from the realm: with who we are in a form (OAuth2, POST), and where a registry knows
                            no such thing in the query (GET); without credentials always the latter

A realm is given a password only when the registry has a business with it: it is the registry's own host, shares its domain, or the
administrator has named it. Others are asked without.

Sources: RFC 9110, 11.6.1; distribution's documentation "Token Authentication Specification", "OAuth2".
"""

from __future__ import annotations

import base64
import ipaddress
import urllib.parse

from ..errors import Corrupt
from . import manifest as documents
from .answers import Refused, check, read_all, words_of
from .transport import Transport, join, origin, pass_over

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    import urllib3

    from .credentials import Credentials

    class Keychain(Protocol):
        """Who knows what to show at a registry (images/credentials)."""

        def find(self, domain: str) -> Credentials | None: ...


TOKEN_MAX = 1024 * 1024  # bytes of an answer with a token
CLIENT = "minirun"
_SHARED = frozenset({"ac", "co", "com", "edu", "go", "gov", "ne", "net", "nom", "or", "org"})
# What servers that only know GET have been seen to answer to POST: no such thing in several words, and "who are you?".
_NO_OAUTH = frozenset({400, 401, 404, 405, 501})


class Authorization:
    """What one repository of one registry is shown; `name` is how errors call it."""

    def __init__(self, transport: Transport, keychain: Keychain, name: str) -> None:
        self._transport = transport
        self._keychain = keychain
        self._name = name

    def answer_to(self, challenge: str, scope: str) -> str:
        """Give the Authorization header that a challenge asks for, "" when we have nothing to show."""
        asked = _challenges(challenge)
        domain = self._transport.endpoint.domain
        credentials = self._keychain.find(domain) if domain else None
        if (bearer := asked.get("bearer")) is not None:
            return f"Bearer {self._token(bearer, scope, credentials)}"
        if "basic" in asked and credentials is not None and credentials.username:
            return _basic(credentials)
        return ""

    def _token(self, asked: dict[str, str], scope: str, credentials: Credentials | None) -> str:
        realm = asked.get("realm", "")
        if not realm.lower().startswith(("https://", "http://")):
            raise Corrupt(f"{self._name} names no place to log in at: {realm[:200]!a}")
        parts = urllib.parse.urlsplit(join(realm, realm))
        host = parts.hostname or ""
        if parts.scheme == "http" and not self._transport.endpoint.is_plain and not _is_loopback(host):
            raise Corrupt(f"{self._name} wants a login without TLS at {parts.netloc!a}: not done")
        if credentials is not None and not self._may_know(host):
            credentials = None
        service = asked.get("service", "")
        scopes = (scope or asked.get("scope", "")).split()
        document = None
        if credentials is not None and (credentials.identity_token or credentials.username):
            document = self._exchange(realm, service, scopes, credentials)
        if document is None:
            document = self._ask_for_token(realm, service, scopes, credentials)
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str) or not token or not token.isascii() or any(each <= " " for each in token):
            raise Corrupt(f"{origin(realm)} gave no token")
        return token

    def _may_know(self, host: str) -> bool:
        """Has the registry a business with this host? Its own, one of the same domain, or one that was named."""
        own = urllib.parse.urlsplit(self._transport.endpoint.base).hostname or ""
        if host == own or host in self._transport.endpoint.realms:
            return True
        if any(part.isdigit() for part in (own.rpartition(".")[2], host.rpartition(".")[2])) or ":" in own + host:
            return False  # addresses have no domain
        return "." in own and _domain_of(own) == _domain_of(host)

    def _ask_for_token(
        self, realm: str, service: str, scopes: list[str], credentials: Credentials | None
    ) -> dict[str, Any]:
        query = [("service", service)] if service else []
        query += [("scope", scope) for scope in scopes]
        headers = {}
        if credentials is not None and credentials.username:
            query += [("account", credentials.username), ("client_id", CLIENT)]
            headers["Authorization"] = _basic(credentials)
        url = f"{realm}{'&' if '?' in realm else '?'}{urllib.parse.urlencode(query)}"
        return self._token_document(self._transport.request("GET", url, headers), realm)

    def _exchange(self, realm: str, service: str, scopes: list[str], credentials: Credentials) -> dict[str, Any] | None:
        """Ask as OAuth2 has it; None where that isn't known and a password can be tried in another way."""
        form = {"service": service, "client_id": CLIENT, "scope": " ".join(scopes)}
        if credentials.identity_token:
            form |= {"grant_type": "refresh_token", "refresh_token": credentials.identity_token}
        else:
            form |= {"grant_type": "password", "username": credentials.username, "password": credentials.password}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self._transport.request("POST", realm, headers, urllib.parse.urlencode(form).encode())
        if answer.status in _NO_OAUTH and not credentials.identity_token:
            pass_over(answer)
            return None
        return self._token_document(answer, realm)

    def _token_document(self, answer: urllib3.BaseHTTPResponse, realm: str) -> dict[str, Any]:
        if answer.status in (401, 403):
            _, said = words_of(answer)
            raise Refused(
                f"{self._name}: unauthorized: {said or 'incorrect username or password'}", 401, "UNAUTHORIZED"
            )
        check(answer, "fetch a token", origin(realm), (200,))
        document = documents.read_json(read_all(answer, TOKEN_MAX, "the token"), "the token")
        if not isinstance(document, dict):
            raise Corrupt(f"{origin(realm)} gave no token")
        return document


def _basic(credentials: Credentials) -> str:
    pair = f"{credentials.username}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, which may well begin with "127."
        return False


def _domain_of(host: str) -> list[str]:
    """Give the labels that somebody has registered: two, and three below co.uk, com.au and their like, which are everybody's."""
    labels = host.split(".")
    is_shared = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SHARED
    return labels[-3 if is_shared else -2 :]


def _challenges(text: str) -> dict[str, dict[str, str]]:
    """Read WWW-Authenticate: scheme in lower case -> parameters. RFC 9110, 11.6.1. Several may stand in one header."""
    found: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    rest = text.strip()
    while rest:
        word, rest = _word(rest)
        if rest.startswith("="):
            value, rest = _value(rest[1:])
            current[word.lower()] = value
            rest = rest.lstrip(" ,")
        elif word:
            current = found.setdefault(word.lower(), {})
            rest = rest.lstrip(" ,")
        else:
            rest = rest[1:]
    return found


def _word(text: str) -> tuple[str, str]:
    end = 0
    while end < len(text) and text[end] not in ' ,="':
        end += 1
    return text[:end], text[end:]


def _value(text: str) -> tuple[str, str]:
    if not text.startswith('"'):
        end = next((place for place, each in enumerate(text) if each in " ,"), len(text))
        return text[:end], text[end:]
    value, place = "", 1
    while place < len(text) and text[place] != '"':
        if text[place] == "\\":
            place += 1
        value += text[place : place + 1]
        place += 1
    return value, text[place + 1 :]
