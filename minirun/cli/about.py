"""What `version` and `info` say of the program itself, with the fields of docker's client and server.

Owns: these facts. Leaves to others: the host and the store (engine/info), how it is shown (cli/describe).

Docker has a client and a server; here both are the same thing, and templates written for either find their field. What docker may
leave empty is empty where there is no answer (the commit and the time of a build). GoVersion isn't there: nothing of it is Go.
"""

from __future__ import annotations

import os
import platform

from .. import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The version of docker's API whose objects `inspect` and --format show. Nothing serves it.
API_VERSION = "1.50"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}  # uname(2) to Go's names


def client() -> dict[str, Any]:
    """Give Client of `version`."""
    return {
        "Platform": {"Name": "minirun"},
        "Version": __version__,
        "ApiVersion": API_VERSION,
        "DefaultAPIVersion": API_VERSION,
        "GitCommit": "",
        **_machine(),
        "BuildTime": "",
        "Context": "default",
        **_python(),
    }


def server() -> dict[str, Any]:
    """Give Server of `version`."""
    interface = {"ApiVersion": API_VERSION, "MinAPIVersion": API_VERSION}
    build = {"GitCommit": "", **_machine()}
    details = {**interface, **build, "BuildTime": "", "Experimental": "false"}
    return {
        "Platform": {"Name": "minirun"},
        "Components": [
            {"Name": "Engine", "Version": __version__, "Details": dict(sorted(details.items()))},
            {"Name": "minirun-oci", "Version": __version__, "Details": {"GitCommit": ""}},
            {"Name": "python", "Version": platform.python_version(), "Details": {"GitCommit": ""}},
        ],
        "Version": __version__,
        **interface,
        **build,
        "BuildTime": "",
        **_python(),
    }


def client_info() -> dict[str, Any]:
    """Give ClientInfo of `info`."""
    own = client()
    fields = ("Platform", "Version", "DefaultAPIVersion", "GitCommit", "Os", "Arch", "BuildTime", "Context")
    return {"Debug": False, **{name: own[name] for name in fields}, "Plugins": [], "Warnings": None}


def _machine() -> dict[str, str]:
    host = os.uname()
    return {"Os": "linux", "Arch": ARCHITECTURES.get(host.machine, host.machine), "KernelVersion": host.release}


def _python() -> dict[str, str]:
    return {"PythonVersion": platform.python_version()}
