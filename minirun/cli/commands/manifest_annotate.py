"""`minirun manifest annotate`: say what an image of a list runs on."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    name, image = parsed.arguments
    features = tuple(each for text in parsed.many("os-features") for each in text.split(",") if each)
    with invocation.engine() as engine:
        engine.images.annotate_list(
            name,
            image,
            os=parsed.text("os"),
            architecture=parsed.text("arch"),
            variant=parsed.text("variant"),
            os_version=parsed.text("os-version"),
            os_features=features,
        )
    return 0
