"""minirun: run containers. `from minirun import Engine` is the library; `minirun` is the command line.

Names are imported when they are first used: each import is paid for by every start. docs/python.md shows their use.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .engine.capture import Completed as Completed
    from .engine.config import BindMount as BindMount
    from .engine.config import ContainerConfig as ContainerConfig
    from .engine.config import Device as Device
    from .engine.config import ImageMount as ImageMount
    from .engine.config import PortMapping as PortMapping
    from .engine.config import TmpfsMount as TmpfsMount
    from .engine.config import Ulimit as Ulimit
    from .engine.config import VolumeMount as VolumeMount
    from .engine.container import Container as Container
    from .engine.container import ExecConfig as ExecConfig
    from .engine.engine import Engine as Engine
    from .engine.running import Running as Running
    from .engine.session import Attachment as Attachment
    from .engine.session import Session as Session
    from .engine.update import Limits as Limits
    from .errors import Conflict as Conflict
    from .errors import Corrupt as Corrupt
    from .errors import Exhausted as Exhausted
    from .errors import InvalidInput as InvalidInput
    from .errors import MinirunError as MinirunError
    from .errors import NotFound as NotFound
    from .errors import NotReady as NotReady
    from .errors import NotSupported as NotSupported
    from .errors import StartFailed as StartFailed

__version__ = "0.1.0"

_HOMES = {
    "Attachment": "engine.session",
    "BindMount": "engine.config",
    "Completed": "engine.capture",
    "Conflict": "errors",
    "Container": "engine.container",
    "ContainerConfig": "engine.config",
    "Corrupt": "errors",
    "Device": "engine.config",
    "Engine": "engine.engine",
    "ExecConfig": "engine.container",
    "Exhausted": "errors",
    "ImageMount": "engine.config",
    "InvalidInput": "errors",
    "Limits": "engine.update",
    "MinirunError": "errors",
    "NotFound": "errors",
    "NotReady": "errors",
    "NotSupported": "errors",
    "PortMapping": "engine.config",
    "Running": "engine.running",
    "Session": "engine.session",
    "StartFailed": "errors",
    "TmpfsMount": "engine.config",
    "Ulimit": "engine.config",
    "VolumeMount": "engine.config",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'minirun' has no attribute {name!r}")
    return getattr(__import__(f"{__name__}.{home}", fromlist=[name]), name)


def __dir__() -> list[str]:
    return __all__
