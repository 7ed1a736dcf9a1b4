"""Giving a container another name.

Owns: `rename`, docker's rules and words for it. Leaves to others: which names are allowed (engine/names), that none is given
twice (engine/store).
"""

from __future__ import annotations

from .. import database
from ..errors import Conflict, InvalidInput, NotFound
from .names import check_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .container import Container
    from .engine import Engine


def rename(engine: Engine, container: Container, name: str) -> None:
    """Rename a container in whatever state. Raises InvalidInput, Conflict; then it has the name that it had."""
    if not name:
        raise InvalidInput("Neither old nor new names may be empty")
    try:
        wanted = check_name(name)
    except InvalidInput as error:
        raise InvalidInput(f"Error when allocating new name: {error}") from error
    with engine.lock(container.id), database.transaction(engine.connection):
        current = engine.rows.get(container.id)
        if current is None or current.status == "removing":
            raise NotFound(f"No such container: {container.name}")
        if current.name == wanted:
            raise Conflict("Renaming a container with the same name as its current name")
        try:
            engine.rows.check_name_is_free(wanted)
        except Conflict as error:
            raise Conflict(f"Error when allocating new name: {error}") from error
        # the configuration too: a name that was drawn needn't be told from one that was asked for any more
        engine.rows.update(container.id, name=wanted, config=current.config.replace(name=wanted))
        engine.rows.note(current.replace(name=wanted), "rename", oldName=f"/{current.name}")
