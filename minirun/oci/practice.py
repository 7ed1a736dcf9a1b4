"""Practice of `minirun-oci run`: its line is read, its configuration, and its plan is made (engine/practice says why)."""

from __future__ import annotations

from ..jsontext import dumps
from ..runtime import bundle
from ..runtime.compile import Placement, compile_container
from .default_spec import default_spec
from .options import GLOBAL, find
from .parse import parse, parse_command

NOWHERE = "/dev/null/nowhere"  # no file can be there
_RUN = ("run", "--bundle", NOWHERE, "nothing")


def practise() -> None:
    """Go that way once. The host notices nothing."""
    name, *rest = parse(GLOBAL, _RUN, options_stop=True).arguments
    command = find(name)
    assert command is not None
    parse_command(command, rest, "minirun-oci")
    spec = bundle.parse(NOWHERE, dumps(default_spec("minirun-oci", rootless=False)).encode()).spec
    place = Placement(mountpoint=NOWHERE, gate=NOWHERE, verdict=NOWHERE, cgroup=NOWHERE, keyring="nothing")
    compile_container(spec.replace(linux=spec.linux.replace(seccomp=None)), place).encode()
