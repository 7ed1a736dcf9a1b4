"""`minirun import`: an image from the archive of a root file system, from a file or standard input."""

from __future__ import annotations

from ...errors import InvalidInput
from ...output import say
from ..input import archive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    source = parsed.arguments[0]
    reference = parsed.arguments[1] if len(parsed.arguments) > 1 else ""
    if source.startswith(("http://", "https://")):
        raise InvalidInput(
            f"{source}: an archive is read from a file or standard input: curl -L {source} | minirun import - {reference}".rstrip()
        )
    with invocation.engine() as engine, archive(source, "requires an archive: minirun import FILE") as stream:
        image = engine.images.import_archive(
            stream,
            reference,
            changes=parsed.many("change"),
            message=parsed.text("message"),
            platform=parsed.text("platform"),
        )
    say(image.id)
    return 0
