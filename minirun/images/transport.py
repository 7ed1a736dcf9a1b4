"""HTTP to one registry: connections, TLS, proxies, redirects, patience.

Owns: `Transport`: one request with its redirects and its repetitions. Leaves to others: who we are (images/registry), what is
asked for.

Three rules: what we are known by goes to the origin it was made for and to no other (CVE-2020-15157); from TLS nothing leads
back to plain HTTP; a client certificate is shown to its registry alone. Content is never decoded on the way: a digest is of the
bytes as stored.
"""

from __future__ import annotations

import errno
import os
import random
import select
import socket
import ssl
import threading
import time
import urllib.parse
import urllib.request
import weakref

import urllib3

from .. import __version__
from ..errors import Corrupt, MinirunError
from ..light import suppress
from .answers import Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO, Any

    from .registries import Endpoint

USER_AGENT = f"minirun/{__version__}"
CONNECT_SECONDS = 15.0
SILENCE_SECONDS = 30.0  # a server that sends nothing for so long is given up
ATTEMPTS = 5
PAUSE_SECONDS = 0.5  # before the second attempt; doubled each time
PAUSE_MAX_SECONDS = 60.0
REDIRECTS_MAX = 5
UNREAD_MAX = 64 * 1024  # bytes that are read of an answer nobody wants, so that its connection can be used again
AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_MOVED = frozenset({301, 302, 303, 307, 308})
_SECRET = ("authorization", "cookie")
# Nobody is there, or not who we want: to ask again at once changes nothing.
_FINAL = (urllib3.exceptions.SSLError, urllib3.exceptions.NewConnectionError)


class Transport:
    """Connections to one endpoint and to where it sends us. Safe for use by several threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._given_up = threading.Event()
        self._live = _Live(self._given_up)
        self._own = self._live.pool(endpoint.base, _context(endpoint))
        self._others: dict[str, urllib3.PoolManager] = {}
        if not endpoint.verify:  # as the administrator has said, or on this host: nothing to warn of at each request
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | IO[bytes] | None = None,
        attempts: int = ATTEMPTS,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request and give the answer, whose body is still to be read; it may be of any status.

        A GET or HEAD is redirected and repeated (408, 429, 5xx, no answer); anything else is for the caller to repeat.
        Raises Unreachable. Blocks.
        """
        repeatable = method in ("GET", "HEAD")
        for attempt in range(attempts if repeatable else 1):
            last = attempt == (attempts if repeatable else 1) - 1
            if self._given_up.is_set():
                raise Unreachable(f"{origin(url)}: given up")
            try:
                answer = self._follow(method, url, dict(headers or {}), body)
            except urllib3.exceptions.HTTPError as error:
                if last or isinstance(error, _FINAL):
                    raise self._unreachable(url, error) from error
                self.pause(attempt)
                continue
            if answer.status not in AGAIN or last:
                return answer
            pass_over(answer)
            self.pause(attempt, answer.headers.get("Retry-After", ""))
        raise AssertionError("unreachable")

    def give_up(self) -> None:
        """Let no request wait or begin any more, until `go_on`: whoever wants something gets Unreachable."""
        self._given_up.set()
        self._live.cut()

    def go_on(self) -> None:
        """Let requests be made again."""
        self._given_up.clear()

    def pause(self, attempt: int, retry_after: str = "") -> None:
        """Wait before one more attempt, longer after each; as long as the server says, up to a minute."""
        seconds = PAUSE_SECONDS * 2**attempt * random.uniform(0.8, 1.2)  # noqa: S311 -- many clients shall not come at once
        self._given_up.wait(min(max(seconds, _seconds_of(retry_after)), PAUSE_MAX_SECONDS))

    def close(self) -> None:
        """Close all connections."""
        for pool in (self._own, *self._others.values()):
            pool.clear()

    def _follow(
        self, method: str, url: str, headers: dict[str, str], body: bytes | IO[bytes] | None
    ) -> urllib3.BaseHTTPResponse:
        for _ in range(REDIRECTS_MAX + 1):
            answer = self._pool_for(url).request(
                method,
                url,
                headers={"User-Agent": USER_AGENT, **headers},
                body=body,
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=SILENCE_SECONDS),
            )
            target = answer.headers.get("Location", "")
            if answer.status not in _MOVED or method not in ("GET", "HEAD") or not target:
                return answer
            pass_over(answer)
            target = join(url, target)
            if url.startswith("https:") and not target.startswith("https:"):
                raise MinirunError(f"{_shown(url)} leads from TLS to plain HTTP: not followed")
            if origin(target) != origin(url):
                headers = {name: value for name, value in headers.items() if name.lower() not in _SECRET}
            url = target
        raise MinirunError(f"{_shown(url)}: more than {REDIRECTS_MAX} redirects")

    def _pool_for(self, url: str) -> urllib3.PoolManager:
        if origin(url) == origin(self.endpoint.base):
            return self._own
        place = origin(url)
        if place not in self._others:
            # Somebody else's host: certificates are checked with this host's authorities, and ours isn't shown. A registry
            # whose certificate isn't checked may send us to another port of its host.
            same_host = urllib.parse.urlsplit(url).hostname == urllib.parse.urlsplit(self.endpoint.base).hostname
            is_plain = place.startswith("http:")
            if same_host:
                context = _context(self.endpoint.replace(client=(), base=place))
            else:
                context = None if is_plain else ssl.create_default_context()
            self._others[place] = self._live.pool(url, context)
        return self._others[place]

    def _unreachable(self, url: str, error: Exception) -> Unreachable:
        place = origin(url)
        text = " ".join(str(error).split())
        if isinstance(error, urllib3.exceptions.SSLError):
            if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text.lower():
                return Unreachable(f"{place}: http: server gave HTTP response to HTTPS client: see insecure-registries")
            host = self.endpoint.host
            reason = text.partition("certificate verify failed: ")[2].partition(" (_ssl")[0] or text
            return Unreachable(
                f"{place}: tls: failed to verify certificate: {_shown(reason)}: "
                f"put the authority's certificate into /etc/minirun/certs.d/{host}/ca.crt"
            )
        if isinstance(error, urllib3.exceptions.NameResolutionError):
            return Unreachable(f"{place}: no such host: check the name, and /etc/resolv.conf")
        if isinstance(error, urllib3.exceptions.NewConnectionError):
            reason = text.rpartition("] ")[2].rpartition(": ")[2] or text
            return Unreachable(f"{place}: connect: {_shown(reason).lower()}")
        if isinstance(error, urllib3.exceptions.TimeoutError):
            return Unreachable(f"{place}: no answer within {SILENCE_SECONDS:g} seconds")
        return Unreachable(f"{place}: {_shown(text)}")


class _Live:
    """The connections of a transport, so that a thread that waits for an answer, or for one, need not be waited for."""

    def __init__(self, given_up: threading.Event) -> None:
        self._given_up = given_up
        self._connections: weakref.WeakSet[urllib3.connection.HTTPConnection] = weakref.WeakSet()
        self._begun: dict[
            urllib3.connection.HTTPConnection, socket.socket
        ] = {}  # second descriptors: TLS takes the first
        self._lock = threading.Lock()
        live = self

        class Plain(urllib3.connection.HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return live.begin(self)

            def connect(self) -> None:
                try:
                    super().connect()
                    live.add(self)
                finally:
                    live.forget(self)

        class Secure(Plain, urllib3.connection.HTTPSConnection):
            pass

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Secure

        self._classes = {"http": PlainPool, "https": SecurePool}

    def pool(self, url: str, context: ssl.SSLContext | None) -> urllib3.PoolManager:
        """Give connections to an address, which are known here from then on."""
        manager = _pool(url, context)
        manager.pool_classes_by_scheme = self._classes
        return manager

    def add(self, connection: urllib3.connection.HTTPConnection) -> None:
        """Note one that has been made."""
        with self._lock:
            self._connections.add(connection)

    def begin(self, connection: urllib3.connection.HTTPConnection) -> socket.socket:
        """Give a connected socket, as urllib3's own function does, or raise what that raises."""
        try:
            return self._reach(connection)
        except socket.gaierror as error:
            raise urllib3.exceptions.NameResolutionError(connection.host, connection, error) from error
        except TimeoutError as error:
            raise urllib3.exceptions.ConnectTimeoutError(connection, f"{connection.host}: {error}") from error
        except OSError as error:
            raise urllib3.exceptions.NewConnectionError(connection, str(error)) from error

    def _reach(self, connection: urllib3.connection.HTTPConnection) -> socket.socket:
        """Try one address after the other."""
        failure = OSError("it has no address")
        host = connection._dns_host.strip("[]")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, connection.port, type=socket.SOCK_STREAM):
            begun = socket.socket(family, kind, protocol)
            try:
                for option in connection.socket_options or ():
                    begun.setsockopt(*option)
                self._try(connection, begun, address)
                return begun
            except OSError as error:
                begun.close()
                failure = error
        raise failure

    def _try(self, connection: urllib3.connection.HTTPConnection, begun: socket.socket, address: Any) -> None:
        """Connect, while others can end it: it is begun before they know of it, since nothing ends what isn't. connect(2)"""
        begun.setblocking(False)
        begun.connect_ex(address)
        self.forget(connection)
        with self._lock:
            self._begun[connection] = begun.dup()
        if self._given_up.is_set():
            raise OSError(errno.ECANCELED, "given up")
        ready = select.poll()
        ready.register(begun, select.POLLOUT)
        if not ready.poll(CONNECT_SECONDS * 1000):
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        if error := begun.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
        begun.settimeout(CONNECT_SECONDS)  # for what TLS says first

    def forget(self, connection: urllib3.connection.HTTPConnection) -> None:
        """It is no longer being made. Safe to repeat."""
        with self._lock:
            begun = self._begun.pop(connection, None)
        if begun is not None:
            begun.close()

    def cut(self) -> None:
        """Let all of them end: who reads from one reads the end, who writes or waits for one fails. shutdown(2)"""
        with self._lock:
            made = [connection.sock for connection in self._connections]
            for each in (*made, *self._begun.values()):
                with suppress(OSError):  # the other side was faster
                    if each is not None:
                        socket.socket.shutdown(each, socket.SHUT_RDWR)  # below TLS, which another thread is using


def origin(url: str) -> str:
    """Give scheme, host and port of an address: what a secret is bound to. RFC 6454"""
    parts = urllib.parse.urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme, 0)
    host = parts.hostname or ""
    port = parts.port or default
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}" + (f":{port}" if port != default else "")


def join(url: str, target: str) -> str:
    """Give the address that a registry's answer to `url` leads to. Raises Corrupt when that is none of the web's."""
    try:
        joined = urllib.parse.urljoin(url, target)
        parts = urllib.parse.urlsplit(joined)
        if parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0):
            return joined
    except ValueError:  # brackets without an address, a port that is no number
        pass
    raise Corrupt(f"{_shown(url)} leads to {_shown(target)}, which is no web address")


def pass_over(answer: urllib3.BaseHTTPResponse) -> None:
    """Have done with an answer: its connection is used again when little of the body is left, else closed."""
    try:
        is_short = len(answer.read(UNREAD_MAX)) < UNREAD_MAX
    except urllib3.exceptions.HTTPError:
        is_short = False
    if not is_short:
        answer.close()
    answer.release_conn()


def _context(endpoint: Endpoint) -> ssl.SSLContext | None:
    """Give what TLS to an endpoint takes; None for plain HTTP. Reading this host's authorities takes
    50 ms, so only who asks them does.
    """
    if endpoint.is_plain:
        return None
    context = ssl.create_default_context() if endpoint.verify else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        for path in endpoint.authorities:
            context.load_verify_locations(path)
        for certificate, key in endpoint.client:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise MinirunError(f"read the certificates of {endpoint.host}: {error}") from error
    if not endpoint.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _pool(url: str, context: ssl.SSLContext | None) -> urllib3.PoolManager:
    """Connect directly, or by the proxy that the environment names for this host."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all", "")
    if not proxy or _goes_directly(host):
        return urllib3.PoolManager(num_pools=4, maxsize=8, ssl_context=context)
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    user = urllib.parse.urlsplit(proxy)
    headers = None
    if user.username:
        pair = f"{urllib.parse.unquote(user.username)}:{urllib.parse.unquote(user.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=pair)
    return urllib3.ProxyManager(proxy, num_pools=4, maxsize=8, ssl_context=context, proxy_headers=headers)


def _goes_directly(host: str) -> bool:
    """Is it named in NO_PROXY? What lies on this host always is, as for docker."""
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # undocumented, and there since 2.6

    name = urllib.parse.urlsplit(f"//{host}").hostname or ""
    return name == "localhost" or name.startswith("127.") or name == "::1" or bool(proxy_bypass_environment(host))


def _seconds_of(retry_after: str) -> float:
    """Read Retry-After: seconds or a date. RFC 9110, 10.2.3"""
    if retry_after.isdecimal():
        return float(retry_after[:9])
    if not retry_after:
        return 0.0
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(retry_after).timestamp() - time.time()
    except (ValueError, TypeError):
        return 0.0


def _shown(text: str) -> str:
    """On one line, without what a terminal obeys, and without the query, which may be a secret."""
    return ascii(text.partition("?")[0][:300])[1:-1]
