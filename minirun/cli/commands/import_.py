"""`minirun import`: an image from the archive of a root file system, from a file, standard input or the web."""

from __future__ import annotations

from ...output import say
from ..input import archive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ...images.store import Stream
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    source = parsed.arguments[0]
    reference = parsed.arguments[1] if len(parsed.arguments) > 1 else ""
    with invocation.engine() as engine, _opened(source) as stream:
        image = engine.images.import_archive(
            stream,
            reference,
            changes=parsed.many("change"),
            message=parsed.text("message"),
            platform=parsed.text("platform"),
        )
    say(image.id)
    return 0


def _opened(source: str) -> AbstractContextManager[Stream]:
    if source.startswith(("http://", "https://")):
        from ...engine.bring import download

        say(f"Downloading from {source}")
        return download(source)
    return archive(source, "requires an archive: minirun import FILE")
