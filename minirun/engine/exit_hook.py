"""What a monitor runs: when a container ended and no owner took care of it, record the exit, remove if asked to; when the delay
before a container's next run is over, start it; when its health has changed, or a further process of it has ended that nobody waits
for, take note.

    python -I -m minirun.engine.exit_hook ROOT RUN_ROOT ID [restart | healthy | unhealthy | exec EXEC_ID WAIT_STATUS]

Owns: this command line. Leaves to others: everything else (engine/life, engine/restarts). It has no terminal and nobody reads it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .engine import Engine

ENVIRONMENT = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)


def command(root: str, run_root: str, container_id: str, *what: str) -> list[str]:
    """Give the argument vector that runs this module with the interpreter that runs now."""
    return [sys.executable, "-I", "-m", "minirun.engine.exit_hook", root, run_root, container_id, *what]


def main(arguments: list[str]) -> int:
    from .engine import Engine
    from .life import settle

    root, run_root, container_id, *what = arguments
    with Engine(root, run_root, until_exit=True) as engine:
        if what == ["restart"]:
            from .restarts import start_again

            start_again(engine, container_id)
        elif what[:1] == ["exec"]:
            _exec_ended(engine, container_id, *what[1:])
        elif what:
            from .health import changed

            changed(engine, container_id, *what)
        else:
            settle(engine, container_id)
    return 0


def _exec_ended(engine: Engine, container_id: str, exec_id: str, wait_status: str) -> None:
    from ..monitor.exits import exit_code_of
    from .exec import note_end

    container = engine.rows.get(container_id)
    if container is not None:
        note_end(engine, container, exec_id, exit_code_of(int(wait_status)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
