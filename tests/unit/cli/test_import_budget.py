"""What the hot commands import: names, not times. A new import is paid for by every start, so it is added here knowingly.

The command line's own share is pinned here, over an engine that does nothing; what the engine adds to it is pinned where
containers really run (tests/integration).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]

# Each costs a millisecond or more, or drags in what does.
FORBIDDEN = frozenset(
    """argparse ast asyncio calendar collections concurrent contextlib ctypes dataclasses datetime decimal difflib email fractions
    functools hashlib heapq
    importlib.metadata importlib.resources inspect locale logging pathlib pickle platform pyroute2 random secrets selectors
    shutil signal socket ssl statistics string subprocess tempfile textwrap threading tokenize typing unittest urllib uuid
    xml zipfile""".split()  # noqa: SIM905
)

SCRIPT = """
import sys
bare = set(sys.modules)
sys.path.insert(0, {checkout!r})
from minirun.cli.main import main
from minirun.cli.invocation import Invocation
{fake}
Invocation.engine = lambda self: Engine()
code = main({words!r})
sys.stderr.write(" ".join(sorted(set(sys.modules) - bare)))
sys.exit(code)
"""

# Just enough of an engine, made of nothing that the real one doesn't import too.
FAKE = """
class Engine:
    id, auto_remove = "0" * 64, False
    def __enter__(self): return self
    def __exit__(self, *_): pass
    connection = property(lambda self: self)
    def __getattr__(self, verb): return lambda *_, **__: {"containers": (), "logs": (), "wait": 0, "finish": 0}.get(verb, self)
"""

CLI = "__init__ commands.__init__ invocation main options parse"
OF_COMMAND = {
    "run -d --name box -e A=b busybox true": (
        "commands.run preferences request terminal values.__init__ values.environment values.scalars"
    ),
    "exec x true": "commands.exec preferences request terminal",
    "ps -a": "commands.ps preferences present table",
    "logs x": "commands.logs",
    "rm x": "commands.rm",
    "stop x": "commands.stop",
}
BELOW = {
    "run -d --name box -e A=b busybox true": "engine.__init__ engine.config engine.names engine.session units",
    "exec x true": "engine.__init__ engine.config engine.container engine.session",
    "ps -a": "units",
    "logs x": "",
    "rm x": "",
    "stop x": "",
}


def imported(line: str) -> set[str]:
    """Give the names of all modules that a command imports beyond the bare interpreter."""
    script = SCRIPT.format(checkout=str(CHECKOUT), fake=FAKE, words=line.split())
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return set(done.stderr.splitlines()[-1].split())


def full(prefix: str, names: str) -> set[str]:
    return {f"{prefix}.{name}".removesuffix(".__init__") for name in names.split()}


@pytest.mark.parametrize("line", OF_COMMAND)
def test_a_hot_command_imports_what_it_uses(line: str) -> None:
    modules = imported(line)
    ours = {name for name in modules if name.partition(".")[0] == "minirun"}
    expected = {"minirun"} | full("minirun", "command_line errors light output program record")
    expected |= full("minirun.cli", CLI) | full("minirun.cli", OF_COMMAND[line]) | full("minirun", BELOW[line])
    assert ours == expected
    assert not {name for name in modules if name in FORBIDDEN or name.partition(".")[0] in FORBIDDEN}


def test_the_option_table_is_made_of_constants() -> None:
    """Loading the table must cost nothing: no row is built before its command is asked for."""
    from minirun.cli import options

    assert all(isinstance(cell, str) for name, *_ in options._COMMANDS for row in _rows(name) for cell in row)


def _rows(name: str) -> tuple[tuple[str, ...], ...]:
    from minirun.cli.options import find

    command = find(name)
    assert command is not None
    return command.rows
