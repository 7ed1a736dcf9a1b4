"""What the preloaded process practises leaves no trace on the host, and does leave one in the interpreter."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
from minirun.warm.preload import preload
preload()
from minirun.engine.practice import NOWHERE
from minirun.linux import plan
from minirun.warm.server import practise

seen = set()
is_on = False

def note(event, arguments):
    if is_on:
        seen.add((event, str(arguments[0]) if arguments else ""))

sys.addaudithook(note)
is_on = True
practise()
is_on = False
for event, what in sorted(seen):
    if not what.startswith(NOWHERE) and what != ":memory:" and event != "sqlite3.connect/handle":
        print(event, what)
print(sum(map(len, plan._encoded)), "operations known")
"""


def test_it_opens_no_file_and_asks_for_nothing_of_the_host_but_what_cannot_be_there():
    done = subprocess.run([sys.executable, "-I", "-c", SCRIPT], capture_output=True, text=True, check=True)
    *events, known = done.stdout.splitlines()
    assert events == []
    assert int(known.split()[0]) > 100
