"""What an installation adds to what pip puts down: the archive of compiled modules, and scripts that start without a detour.

    python -I -m minirun.freeze

Owns: both, for the environment of the Python that runs it. Leaves to others: reading the archive (frozen), the launcher.

The scripts: the kernel starts the interpreter itself, with -I (root's program imports nothing from the caller's directory or
environment; pip would drop the option) and -S: what `site` would find is written into the script, so that it needn't be looked for
in every start. They lie in share/minirun, where the launcher (native/launcher.c) finds them; an installation
without it has them as its commands.
"""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
from collections.abc import Iterator

from .files import write_atomically
from .frozen import ARCHIVE, HOME, pack

COMMANDS = {"minirun": "minirun.cli.main", "minirun-oci": "minirun.oci.main"}
PROGRAMS = {**COMMANDS, "minirun-warm": "minirun.warm.server"}
# Garbage is cycles, of which a command makes few: collecting at every 700 new objects, as is the default, finds nothing for 2 ms.
SCRIPT = """#!{python} -IS
import gc
import sys

{head}gc.set_threshold(100_000)
sys.path += {paths!r}
from minirun.frozen import thaw

thaw()
from {module} import entry

entry()
"""


def main() -> None:
    """Write the archive and the scripts. Raises OSError, and SyntaxError for a module that can't be compiled."""
    os.makedirs(os.path.dirname(ARCHIVE), exist_ok=True)
    write_atomically(ARCHIVE, pack(dict(_compiled())), 0o644, durable=True)
    folder = os.path.dirname(sys.executable)
    paths = _paths_of_site()
    os.makedirs(script(""), exist_ok=True)
    for program, module in PROGRAMS.items():
        # The launcher says by which path it was called, which is what a script finds as its own.
        text = SCRIPT.format(python=f"{folder}/python3", head="del sys.argv[0]\n", paths=paths, module=module)
        write_atomically(script(program), text.encode(), 0o755)
    for program, module in COMMANDS.items():
        command = os.path.join(folder, program)
        if not _is_launcher(command):
            text = SCRIPT.format(python=f"{folder}/python3", head="", paths=paths, module=module)
            write_atomically(command, text.encode(), 0o755)


def script(program: str) -> str:
    """Give the path of what the launcher runs cold."""
    return os.path.join(os.path.dirname(os.path.dirname(sys.executable)), "share", "minirun", program)


def _is_launcher(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF"
    except FileNotFoundError:
        return False


def _compiled() -> Iterator[tuple[str, tuple[str, int, int, bool, bytes]]]:
    """Give each module of the package with what `pack` wants to know of it; parents come before their children."""
    for folder, folders, files in os.walk(HOME):
        folders[:] = sorted(set(folders) - {"__pycache__"})
        for file in sorted(file for file in files if file.endswith(".py")):
            source = os.path.join(folder, file)
            relative = os.path.relpath(source, HOME)
            parts = ["minirun", *relative.removesuffix(".py").split("/")]
            package = parts[-1] == "__init__"
            with open(source, "rb") as opened:
                status = os.stat(opened.fileno())
                code = compile(opened.read(), source, "exec", dont_inherit=True)
            name = ".".join(parts[:-1] if package else parts)
            yield name, (relative, status.st_mtime_ns, status.st_size, package, marshal.dumps(code))


def _paths_of_site() -> list[str]:
    """Give what `site` adds to the module search path of this environment."""
    show = [sys.executable, "-IS", "-c", "import sys; print('\\n'.join(sys.path))"]
    without = subprocess.run(show, capture_output=True, text=True, check=True).stdout.splitlines()
    return [path for path in sys.path if path not in without]


if __name__ == "__main__":
    main()
