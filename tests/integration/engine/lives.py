"""The lives of a few containers as a model: what each command of docker's does to them, what it answers, and who can be asked.

Owns: `Model` (containers by name, what is in their file, what was committed), `Subject` (a command line that the model is compared
with), the classes of messages. Leaves to others: which commands come in which order (test_sequences). The model is docker's, as its
daemon has shown it; it knows nothing of how minirun works.

    created --> running <--> paused        started, restarted, paused, unpaused
       |        ^  |
       |        |  v
       +-------> exited                    by itself, by a signal, by stop; and back by its restart policy

Three kinds of program, told apart by what SIGTERM does to them as the first process of a container:

    deaf     has no handler, so that the kernel drops it: only SIGKILL ends it (137)
    polite   ends with 7
    short    is over at once, with 3

And four restart policies. What is over at once and always started again would be in no state for long enough to be compared: it
gets `on-failure:1` instead of `always`, which ends.
"""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.waiting import catching, until

PROGRAMS = {
    "deaf": ("sleep", "1000"),
    "polite": ("sh", "-c", "trap 'exit 7' TERM; sleep 1000 & wait"),
    "short": ("sh", "-c", "exit 3"),
}
POLICIES = ("no", "on-failure:1", "always", "unless-stopped")
SNAPSHOT = "sequences-snapshot"
SETTLE_SECONDS = 10.0
FILE = "/what"  # the one file that is copied in and out

# What a refusal says, whoever says it and however: the first that is found. "" stands for silence.
CLASSES = {
    "no such container": r"No such container",
    "no such object": r"[Nn]o such object",
    "no such file": r"Could not find the file|no such file or directory",
    "same name": r"Renaming a container with the same name",
    "name taken": r"is already in use by container",
    "paused already": r"already paused",
    "not paused": r"is not paused",
    "paused": r"is paused|a paused container|must be unpaused",
    "runs": r"is running: stop the container|cannot remove a running container|container is running|You cannot remove a running",
    "not running": r"is not running",
}


def class_of(said: str) -> str:
    """Give the class of what a command said on standard error; a text of no known class is a class of its own."""
    if not said.strip():
        return ""
    for name, pattern in CLASSES.items():
        if re.search(pattern, said):
            return name
    return f"other: {said.strip()}"


@dataclass(frozen=True)
class Life:
    """One container."""

    program: str
    state: str = "created"
    code: int = 0
    content: str | None = None
    policy: str = "no"
    restarts: int = 0  # by its policy, since it was started by hand
    told: bool = False  # by hand, by any signal: its policy has no say any more

    @property
    def runs(self) -> bool:
        return self.state in ("running", "paused")

    def started(self) -> Life:
        """What a start by hand makes of it."""
        life = replace(self, restarts=0, told=False)
        return life._over(3) if self.program == "short" else replace(life, state="running", code=0)

    def dies(self) -> Life:
        """What its first process leaves behind that somebody has killed, who isn't docker."""
        return self._over(137)

    def ended(self, code: int) -> Life:
        """What a signal by hand leaves behind that ends it."""
        return replace(self, state="exited", code=code, told=True)

    def _over(self, code: int) -> Life:
        """A run has ended, and another one may follow."""
        again = self.policy in ("always", "unless-stopped") or (self.policy == "on-failure:1" and self.restarts < 1)
        if self.told or not again:
            return replace(self, state="exited", code=code)
        life = replace(self, restarts=self.restarts + 1)
        return life._over(3) if self.program == "short" else replace(life, state="running", code=0)

    def asked_to_stop(self) -> Life:
        """What SIGTERM, patience and SIGKILL make of it."""
        return self.ended(7 if self.program == "polite" else 137) if self.runs else self

    def with_policy(self, policy: str) -> Life:
        return replace(self, policy="on-failure:1" if self.program == "short" and policy != "no" else policy)


@dataclass(frozen=True)
class Answer:
    """What a command gives: its exit code, the class of what it says on standard error."""

    code: int = 0
    said: str = ""


MISSING = Answer(1, "no such container")


@dataclass
class Model:
    """All containers by name, and what the committed image has in its file; each method is one command."""

    lives: dict[str, Life] = field(default_factory=dict)
    snapshot: str | None = None
    has_snapshot: bool = False

    def copy(self) -> Model:
        return Model(dict(self.lives), self.snapshot, self.has_snapshot)

    def create(self, name: str, program: str, from_snapshot: bool, policy: str = "no", *, run: bool = False) -> Answer:
        if name in self.lives:
            return Answer(125 if run else 1, "name taken")
        life = Life(program, content=self.snapshot if from_snapshot else None).with_policy(policy)
        self.lives[name] = life.started() if run else life
        return Answer()

    def start(self, name: str) -> Answer:
        life = self.lives.get(name)
        if life is None:
            return MISSING
        if life.state == "paused":
            return Answer(1, "paused")
        if life.state != "running":
            self.lives[name] = life.started()
        return Answer()

    def stop(self, name: str) -> Answer:
        if name not in self.lives:
            return MISSING
        self.lives[name] = self.lives[name].asked_to_stop()
        return Answer()

    def restart(self, name: str) -> Answer:
        if name not in self.lives:
            return MISSING
        self.lives[name] = self.lives[name].started()
        return Answer()

    def kill(self, name: str, number: str) -> Answer:
        life = self.lives.get(name)
        if life is None:
            return MISSING
        if not life.runs:
            return Answer(1, "not running")
        if number == "KILL":
            self.lives[name] = life.ended(137)
        elif number == "TERM" and life.program == "polite":
            self.lives[name] = life.ended(7)
        else:
            self.lives[name] = replace(life, state="running", told=True)  # any signal wakes one that is paused
        return Answer()

    def update(self, name: str, policy: str) -> Answer:
        life = self.lives.get(name)
        if life is None:
            return MISSING
        self.lives[name] = life.with_policy(policy)
        return Answer()

    def restarts(self, name: str) -> Answer:
        return Answer() if name in self.lives else Answer(1, "no such object")

    def pause(self, name: str) -> Answer:
        life = self.lives.get(name)
        if life is None:
            return MISSING
        if not life.runs:
            return Answer(1, "not running")
        if life.state == "paused":
            return Answer(1, "paused already")
        self.lives[name] = replace(life, state="paused")
        return Answer()

    def unpause(self, name: str) -> Answer:
        life = self.lives.get(name)
        if life is None:
            return MISSING
        if life.state != "paused":
            return Answer(1, "not paused")
        self.lives[name] = replace(life, state="running")
        return Answer()

    def rm(self, name: str, force: bool) -> Answer:
        life = self.lives.get(name)
        if life is None:
            return replace(MISSING, code=0) if force else MISSING  # said, and no error
        if life.runs and not force:
            return Answer(1, "paused" if life.state == "paused" else "runs")
        del self.lives[name]
        return Answer()

    def rename(self, name: str, new: str) -> Answer:
        if name not in self.lives:
            return MISSING
        if name == new:
            return Answer(1, "same name")
        if new in self.lives:
            return Answer(1, "name taken")
        self.lives[new] = self.lives.pop(name)
        return Answer()

    def commit(self, name: str) -> Answer:
        if name not in self.lives:
            return MISSING
        self.snapshot, self.has_snapshot = self.lives[name].content, True
        return Answer()

    def copy_in(self, name: str, content: str) -> Answer:
        if name not in self.lives:
            return MISSING
        self.lives[name] = replace(self.lives[name], content=content)
        return Answer()

    def copy_out(self, name: str) -> Answer:
        life = self.lives.get(name)
        if life is None:
            return MISSING
        return Answer() if life.content is not None else Answer(1, "no such file")

    def exec(self, name: str) -> Answer:
        life = self.lives.get(name)
        if life is None:
            return MISSING
        if life.state == "running":
            return Answer()
        return Answer(1, "paused" if life.state == "paused" else "not running")


class Subject:
    """A command line that runs containers: minirun's, or docker's."""

    def __init__(self, words: Sequence[str], place: Path) -> None:
        self.words = list(words)
        self.place = place  # of the files that are copied in and out
        place.mkdir(exist_ok=True)

    def __call__(self, *words: str) -> tuple[Answer, str]:
        """Run a command; gives its answer and its standard output."""
        done = subprocess.run(
            [*self.words, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        # That a process is killed without waiting is minirun's own remark, on a command that succeeds.
        said = "\n".join(line for line in done.stderr.splitlines() if "killed without waiting" not in line)
        return Answer(done.returncode, class_of(said)), done.stdout

    def states(self) -> dict[str, tuple[str, int]]:
        """Give state and exit code of each container, as `ps` shows them."""
        answer, shown = self("ps", "-a", "--format", "{{.Names}}\t{{.State}}\t{{.Status}}")
        assert answer == Answer(), answer
        found = {}
        for line in shown.splitlines():
            name, state, status = line.split("\t")
            code = re.match(r"Exited \((\d+)\)", status)
            found[name] = (state, int(code[1]) if code else 0)
        return found

    def settle(self, *models: Model, patient: bool = False) -> Model:
        """Give the model that is true, the first of several; fails when none is.

        One look decides, unless `patient` says that something is ending by itself: a program that is over at once, or one that
        handles a signal.
        """
        wanted = [{name: (life.state, life.code) for name, life in model.lives.items()} for model in models]
        end = time.monotonic() + (SETTLE_SECONDS if patient else 0)
        while (seen := self.states()) not in wanted:
            if time.monotonic() > end:
                raise AssertionError(f"the model has {' or '.join(map(str, wanted))}, {self.words[0]} shows {seen}")
        return models[wanted.index(seen)]

    def until_it_listens(self, name: str) -> None:
        """Wait until a polite program has its handler."""
        until(f"{name} handles SIGTERM", catching(self.pid(name), signal.SIGTERM))

    def until_it_runs_again(self, name: str, before: int) -> None:
        """Wait until a container has another first process than `before`."""
        until(f"{name} runs again", lambda: self.pid(name) not in (0, before))

    def pid(self, name: str) -> int:
        """Give the process id of a container's first process."""
        return int(self("inspect", "-f", "{{.State.Pid}}", name)[1])

    def clear(self) -> None:
        """Remove every container, and what was committed."""
        for name in self.states():
            self("rm", "-f", name)
        self("rmi", "-f", SNAPSHOT)
        self("image", "prune", "-f")  # what was committed before, under the same name
