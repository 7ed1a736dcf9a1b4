"""What `--version` says, in the form of the program whose name was called.

Owns: these lines; docker reads "NAME version X" and "commit: X" out of them, podman shows them. Leaves to others: what is
supported (runtime/features).
"""

from __future__ import annotations

from .. import __version__

# The release of each whose command line and configuration are answered for here.
_LIKE = {"runc": "1.2.0", "crun": "1.15"}


def version(program: str) -> str:
    """Give the text of `--version`, without a newline at its end."""
    from ..runtime.spec import SPECIFICATION

    lines = [
        f"{program} version {_LIKE.get(program, __version__)}",
        f"commit: minirun-{__version__}",
        f"spec: {SPECIFICATION}",
    ]
    if program == "crun":
        from ..runtime.container import ROOT

        lines.insert(2, f"rundir: {ROOT}")
        lines.append(_supported())
    return "\n".join(lines)


def _supported() -> str:
    """Give crun's line of what was built in."""
    from ..runtime.features import features

    linux = features()["linux"]
    words = {
        "SYSTEMD": linux["cgroup"]["systemd"],
        "SELINUX": linux["selinux"]["enabled"],
        "APPARMOR": linux["apparmor"]["enabled"],
        "CAP": linux["capabilities"],
        "SECCOMP": linux["seccomp"]["enabled"],
        "EBPF": linux["cgroup"]["v2"],  # the only way to filter devices there
    }
    return " ".join(f"+{word}" for word, there in words.items() if there)
