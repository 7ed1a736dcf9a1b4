"""How the past of an image and of a name is said in a list.

Owns: the columns of `history` and `image log`. Leaves to others: which rows (images/history, images/tag_history), layout
(cli/table).
"""

from __future__ import annotations

import time

from ..units import human_size, human_span, local_time
from .present import ellipsis, short_id
from .table import Column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..images.history import Step
    from ..images.tag_history import Move
    from .table import Columns

HISTORY_TABLE = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")
LOG_TABLE = ("Number", "ID", "MovedSince", "How", "State")
_MISSING = "<missing>"
_CREATED_BY_WIDTH = 45
_NONE = "<none>"


def history_columns(*, truncate: bool, human: bool) -> Columns:
    """Give the fields of `history`, by the names that templates use; without `human`, sizes in bytes and times as they are."""
    now_ns = time.time_ns()

    def identifier(step: Step) -> str:
        if not step.image_id:
            return _MISSING
        return short_id(step.image_id) if truncate else step.image_id

    def since(step: Step) -> str:
        if not human:
            return _stamp(step)
        return f"{human_span(max(0, now_ns - step.created_ns) / 1e9)} ago" if step.created_ns else "N/A"

    def created_by(step: Step) -> str:
        text = step.created_by.replace("\t", " ")
        return ellipsis(text, _CREATED_BY_WIDTH) if truncate else text

    return {
        "ID": Column(heading="IMAGE", value=identifier),
        "CreatedSince": Column(heading="CREATED" if human else "CREATED AT", value=since),
        "CreatedAt": Column(heading="CREATED AT", value=_stamp),
        "CreatedBy": Column(heading="CREATED BY", value=created_by),
        "Size": Column(
            heading="SIZE", value=lambda step: human_size(step.size_bytes) if human else str(step.size_bytes)
        ),
        "Comment": Column(heading="COMMENT", value=lambda step: step.comment),
    }


def _stamp(step: Step) -> str:
    """The second that a step was made in, as docker says it: RFC 3339 in UTC."""
    if not step.created_ns:
        return "N/A"
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(step.created_ns // 1_000_000_000))


def log_columns(*, truncate: bool) -> Columns:
    """Give the fields of `image log`, by the names that templates use."""
    now_ns = time.time_ns()

    def identifier(move: Move) -> str:
        if not move.image_id:
            return _NONE
        return short_id(move.image_id) if truncate else move.image_id

    def state(move: Move) -> str:
        if not move.number:
            return "current"
        if not move.image_id:
            return ""
        return "available" if move.is_here else "removed"

    return {
        "Number": Column(heading="N", value=lambda move: str(move.number)),
        "ID": Column(heading="IMAGE ID", value=identifier),
        "MovedSince": Column(
            heading="MOVED", value=lambda move: f"{human_span(max(0, now_ns - move.moved_ns) / 1e9)} ago"
        ),
        "MovedAt": Column(heading="MOVED AT", value=lambda move: local_time(move.moved_ns)),
        "How": Column(heading="BY", value=lambda move: move.how),
        "State": Column(heading="STATE", value=state),
    }
