"""`minirun image inspect`: images as JSON or by a template, or one of their documents as it is stored."""

from __future__ import annotations

from ...errors import NotFound
from ...output import warn, write
from .inspect import show_objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    document, platform = parsed.text("raw"), parsed.text("platform")
    if not (document or platform):
        return show_objects(invocation, "image")
    code = 0
    with invocation.engine() as engine:
        for name in parsed.arguments:
            try:
                data = engine.images.document(name, document or "config", platform)
                if document:
                    write(data.decode())
            except NotFound as error:
                warn(f"Error: {error}")
                code = 1
    return code or (0 if document else show_objects(invocation, "image"))
