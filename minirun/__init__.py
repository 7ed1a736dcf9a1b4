"""minirun: run containers. `from minirun import Engine` is the library; `minirun` is the command line.

Names are imported when they are first used: each import is paid for by every start.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .engine.config import ContainerConfig as ContainerConfig
    from .engine.container import Container as Container
    from .engine.container import ExecConfig as ExecConfig
    from .engine.engine import Engine as Engine
    from .engine.update import Limits as Limits
    from .errors import MinirunError as MinirunError

__version__ = "0.1.0"

_HOMES = {
    "Container": "engine.container",
    "ContainerConfig": "engine.config",
    "Engine": "engine.engine",
    "ExecConfig": "engine.container",
    "Limits": "engine.update",
    "MinirunError": "errors",
}
__all__ = ["Container", "ContainerConfig", "Engine", "ExecConfig", "Limits", "MinirunError", "__version__"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'minirun' has no attribute {name!r}")
    return getattr(__import__(f"{__name__}.{home}", fromlist=[name]), name)
