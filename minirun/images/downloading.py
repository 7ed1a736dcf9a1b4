"""An archive from a web address, for `import`.

Owns: `download`. Leaves to others: connections, redirects, patience (images/transport), what is in the archive (images/importing).
"""

from __future__ import annotations

from ..light import contextmanager
from .answers import Unreachable, check
from .registries import Endpoint
from .transport import Transport, join, origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    import urllib3


class _Body:
    """What is there, read as it comes; `name` is its address, without what may be a secret."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, name: str) -> None:
        self.name = name
        self._answer = answer

    def read(self, size: int, /) -> bytes:
        """Give the next bytes, b"" after the last. Raises Unreachable."""
        import urllib3

        try:
            return self._answer.read1(size)
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"{self.name}: the connection broke: try again") from error


@contextmanager
def download(url: str) -> Iterator[_Body]:
    """Open what an address leads to. Raises NotFound, Refused, Unreachable, Corrupt (no address). Blocks until it begins."""
    transport = Transport(Endpoint(base=origin(join(url, url)), domain=""))
    try:
        answer = transport.request("GET", url)
        check(answer, "download", url.partition("?")[0], (200,))
        yield _Body(answer, url.partition("?")[0])
    finally:
        transport.close()
