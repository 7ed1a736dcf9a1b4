"""What the commands of `minirun-oci` import over a runtime that does nothing: an engine calls several for each container.

What the runtime adds is pinned where containers really run.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.test_import_budget import FORBIDDEN, full

CHECKOUT = Path(__file__).resolve().parents[3]

SCRIPT = """
import sys
bare = set(sys.modules)
sys.path.insert(0, {checkout!r})
class Container:
    status, process = "stopped", None
    def __getattr__(self, verb): return lambda *_, **__: {{}}
class Fake(type(sys)):
    listing, run = (lambda *_: []), (lambda *_, **__: 0)
    def __getattr__(self, name): return lambda *_, **__: Container()
for name in ("bundle", "container", "create", "run"):
    sys.modules["minirun.runtime." + name] = Fake(name)
from minirun.oci.main import main
code = main({words!r}, "minirun-oci")
sys.stderr.write(" ".join(sorted(set(sys.modules) - bare)))
sys.exit(code)
"""

ALWAYS = "command_line errors light output program record"
FACE = "__init__ commands.__init__ invocation log main options parse"
OF_COMMAND = {
    "create --bundle /b --pid-file /p x": "oci.commands.create",
    "--root /r --log-format json start x": "oci.commands.start oci.values",
    "state x": "oci.commands.state oci.present jsontext",
    "kill x KILL": "oci.commands.kill signals",
    "delete --force x": "oci.commands.delete",
    "run -d x": "oci.commands.run",
    "list": "oci.commands.list oci.present jsontext",
}


@pytest.mark.parametrize("line", OF_COMMAND)
def test_a_command_imports_what_it_uses(line: str) -> None:
    script = SCRIPT.format(checkout=str(CHECKOUT), words=line.split())
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modules = set(done.stderr.splitlines()[-1].split())
    expected = {"minirun"} | full("minirun.oci", FACE) | full("minirun", f"{ALWAYS} {OF_COMMAND[line]}")
    ours = {name for name in modules if name.partition(".")[0] == "minirun"}
    assert {name for name in ours if not name.startswith("minirun.runtime.")} == expected
    assert not modules & (FORBIDDEN | {"re", "enum", "json"})
