"""Commands in any order, against a model of what docker makes of them, and against docker itself.

Three names, so that commands meet containers of every state, and none at all. After each command all states, exit codes and
the class of what was said are the model's; after each sequence nothing is left behind. minirun's own processes are killed
meanwhile: the command in its middle, the monitor of a container.

MINIRUN_SEQUENCES=500 runs that many, drawn anew; without it a few, the same ones in every run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.census import Census
from tests.dockerd import at_once, private_docker
from tests.integration.engine.lives import FILE, POLICIES, PROGRAMS, SNAPSHOT, Answer, Life, Model, Subject

NAMES = st.sampled_from(("ann", "bob", "cat"))
VERBS = st.sampled_from(("create", "run"))
KINDS = st.sampled_from(tuple(PROGRAMS))
PLANS = st.sampled_from(POLICIES)
ASKED = int(os.environ.get("MINIRUN_SEQUENCES", "0"))
STEPS = 12

# Commands that a SIGKILL may interrupt. Those of the second row send signals: what they sent may arrive later.
QUIET = ("start", "pause", "unpause", "rm", "rename", "commit", "cp")
LOUD = ("stop", "restart", "kill")


class Sequences(RuleBasedStateMachine):
    """One sequence of commands. `subjects` are compared with the model, and so with each other."""

    subjects: tuple[Subject, ...] = ()
    network = "none"
    sequences = 0
    commands = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).sequences += 1
        if type(self).sequences % 50 == 0:
            self.report()
        self.model = Model()
        self.copies = 0

    @classmethod
    def report(cls) -> None:
        """Say how far it has got: for a long run (pytest -s)."""
        print(f"{cls.sequences} sequences, {cls.commands} commands, {len(cls.subjects)} subjects")

    def all(self, expected: Answer, *words: str, patient: bool = False) -> list[str]:
        """Run a command everywhere; gives what each wrote. `patient`: what it brings about takes its time (Subject.settle)."""
        type(self).commands += 1
        outputs = []
        answers = at_once(
            lambda subject: subject(*(word.replace("@", str(subject.place)) for word in words)), self.subjects
        )
        for subject, (answer, output) in zip(self.subjects, answers, strict=True):
            assert answer == expected, f"{subject.words[0]} {' '.join(words)}: {answer}, and the model says {expected}"
            outputs.append(output)
        for subject in self.subjects:
            subject.settle(self.model, patient=patient)
        return outputs

    def begun(self, name: str) -> None:
        """Wait until what was started can hear signals."""
        life = self.model.lives.get(name)
        if life is not None and life.state == "running" and life.program == "polite":
            for subject in self.subjects:
                subject.until_it_listens(name)

    # ---- commands

    @initialize(first=KINDS, second=KINDS, plans=st.tuples(PLANS, PLANS), verbs=st.tuples(VERBS, VERBS))
    def begin(self, first: str, second: str, plans: tuple[str, str], verbs: tuple[str, str]) -> None:
        """Two of the three names are there from the beginning, or most commands would meet nothing."""
        self.create("ann", first, plans[0], False, verbs[0])
        self.create("bob", second, plans[1], False, verbs[1])

    @rule(name=NAMES, program=KINDS, policy=PLANS, snapshot=st.booleans(), verb=VERBS)
    def create(self, name: str, program: str, policy: str, snapshot: bool, verb: str) -> None:
        snapshot = snapshot and self.model.has_snapshot
        policy = Life(program).with_policy(policy).policy
        expected = self.model.create(name, program, snapshot, policy, run=verb == "run")
        words = [*(("run", "-d") if verb == "run" else ("create",)), "--name", name, "--network", self.network]
        words += ["--restart", policy]
        image = SNAPSHOT if snapshot else "busybox"
        self.all(expected, *words, image, *PROGRAMS[program], patient=verb == "run")
        self.begun(name)

    @rule(name=NAMES, verb=st.sampled_from(("start", "restart")))
    def start(self, name: str, verb: str) -> None:
        expected = self.model.start(name) if verb == "start" else self.model.restart(name)
        self.all(expected, verb, *(("-t", "1") if verb == "restart" else ()), name, patient=True)
        self.begun(name)

    @rule(name=NAMES)
    def stop(self, name: str) -> None:
        self.all(self.model.stop(name), "stop", "-t", "1", name)

    @rule(name=NAMES, number=st.sampled_from(("KILL", "TERM", "WINCH")))
    def kill(self, name: str, number: str) -> None:
        self.all(self.model.kill(name, number), "kill", "-s", number, name, patient=number == "TERM")

    @rule(name=NAMES)
    def die(self, name: str) -> None:
        """Somebody else kills its first process: nothing that a policy would respect. A freezer of cgroup v1 lets nobody die."""
        life = self.model.lives.get(name)
        if life is None or life.state != "running":
            return
        pids = [subject.pid(name) for subject in self.subjects]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.died(name, life, pids)

    def died(self, name: str, life: Life, pids: list[int]) -> None:
        """See to it that every subject has noticed the end of what had these process ids."""
        self.model.lives[name] = life.dies()
        for subject, pid in zip(self.subjects, pids, strict=True):
            if self.model.lives[name].runs:
                subject.until_it_runs_again(name, pid)
            subject.settle(self.model, patient=True)
        self.begun(name)

    @rule(name=NAMES, policy=PLANS)
    def update(self, name: str, policy: str) -> None:
        life = self.model.lives.get(name)
        policy = life.with_policy(policy).policy if life is not None else policy
        self.all(self.model.update(name, policy), "update", "--restart", policy, name)

    @rule(name=NAMES)
    def count_restarts(self, name: str) -> None:
        expected = self.model.restarts(name)
        shown = set(self.all(expected, "inspect", "-f", "{{.RestartCount}}", name))
        if expected == Answer():
            assert shown == {f"{self.model.lives[name].restarts}\n"}

    @rule(name=NAMES)
    def pause(self, name: str) -> None:
        self.all(self.model.pause(name), "pause", name)

    @rule(name=NAMES)
    def unpause(self, name: str) -> None:
        self.all(self.model.unpause(name), "unpause", name)

    @rule(name=NAMES, force=st.booleans())
    def rm(self, name: str, force: bool) -> None:
        self.all(self.model.rm(name, force), "rm", *(("-f",) if force else ()), name)

    @rule(name=NAMES, new=NAMES)
    def rename(self, name: str, new: str) -> None:
        self.all(self.model.rename(name, new), "rename", name, new)

    @rule(name=NAMES)
    def commit(self, name: str) -> None:
        self.all(self.model.commit(name), "commit", name, SNAPSHOT)

    @rule(name=NAMES)
    def copy_in(self, name: str) -> None:
        self.copies += 1
        for subject in self.subjects:
            (subject.place / "in").write_text(str(self.copies))
        self.all(self.model.copy_in(name, str(self.copies)), "cp", "-q", "@/in", f"{name}:{FILE}")

    @rule(name=NAMES)
    def copy_out(self, name: str) -> None:
        for subject in self.subjects:
            (subject.place / "out").unlink(missing_ok=True)
        expected = self.model.copy_out(name)
        self.all(expected, "cp", "-q", f"{name}:{FILE}", "@/out")
        for subject in self.subjects if expected == Answer() else ():
            assert (subject.place / "out").read_text() == self.model.lives[name].content

    @rule(name=NAMES)
    def exec(self, name: str) -> None:
        self.all(self.model.exec(name), "exec", name, "true")

    @precondition(lambda self: any(life.state == "exited" for life in self.model.lives.values()))
    @rule()
    def wait(self) -> None:
        for name, life in self.model.lives.items():
            if life.state == "exited":
                assert set(self.all(Answer(), "wait", name)) == {f"{life.code}\n"}

    def teardown(self) -> None:
        for subject in self.subjects:
            subject.clear()


class OwnSequences(Sequences):
    """Sequences of minirun alone: its processes are killed, and after each the census is taken."""

    network = "bridge"
    census: Census

    @rule(name=NAMES)
    def kill_the_monitor(self, name: str) -> None:
        life = self.model.lives.get(name)
        if life is None or not life.runs:
            return
        (subject,) = self.subjects
        pid = subject.pid(name)
        monitor = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(monitor, signal.SIGKILL)
        self.died(name, life, [pid])

    @rule(name=NAMES, new=NAMES, verb=st.sampled_from((*QUIET, *LOUD)), after_ms=st.integers(0, 60))
    def kill_the_command(self, name: str, new: str, verb: str, after_ms: int) -> None:
        """Either nothing was done or all of it; what is in between is found and settled by the next command."""
        (subject,) = self.subjects
        before, after = self.model.copy(), self.model.copy()
        (subject.place / "in").write_text("interrupted")
        words, act = {
            "start": ((name,), after.start),
            "pause": ((name,), after.pause),
            "unpause": ((name,), after.unpause),
            "rm": (("-f", name), lambda name: after.rm(name, force=True)),
            "rename": ((name, new), lambda name: after.rename(name, new)),
            "commit": ((name, SNAPSHOT), after.commit),
            "cp": (("-q", f"{subject.place}/in", f"{name}:{FILE}"), lambda name: after.copy_in(name, "interrupted")),
            "stop": ((name,), after.stop),
            "restart": ((name,), after.restart),
            "kill": ((name,), lambda name: after.kill(name, "KILL")),
        }[verb]
        act(name)
        process = subprocess.Popen(
            [*subject.words, verb, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(after_ms / 1000)  # the moment is what is drawn, not something that is waited for
        process.kill()
        process.wait()
        if name not in before.lives:
            subject.settle(before)
        elif verb in LOUD:  # a signal that was sent may still be on its way: only the end is sure
            assert subject.states().keys() == before.lives.keys()
            self.model.rm(name, force=True)
            assert subject("rm", "-f", name)[0] == Answer()
            subject.settle(self.model)
        else:
            self.model = subject.settle(after, before, patient=True)
            self.finish(subject, name, verb)

    def finish(self, subject: Subject, name: str, verb: str) -> None:
        """What was interrupted can be done now, and a container that was held still meanwhile goes on."""
        if verb == "commit":
            self.commit(name)
        elif verb == "cp":
            self.copy_in(name)
        if name in self.model.lives:
            self.begun(name)
            self.exec(name)

    def teardown(self) -> None:
        super().teardown()
        leaks = self.census.leaks()
        assert not leaks, "this sequence left things behind:\n  " + "\n  ".join(leaks)


def run_sequences(machine: type[Sequences], count: int) -> None:
    """Run that many sequences; a failure is shrunk to the shortest that fails."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=ASKED or count,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=not ASKED,
            phases=(Phase.generate, Phase.shrink) if ASKED else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
    machine.report()


def test_any_sequence_does_what_the_model_says(store, roots, tmp_path):
    subject = Subject(store.words, tmp_path / "files")
    subject("ps")
    root, run_root = Path(store.words[2]), Path(store.words[4])
    subject("run", "--rm", "busybox", "true")  # what is made once is there

    class Machine(OwnSequences):
        subjects = (subject,)
        census = Census(root, run_root)

    run_sequences(Machine, 5)


@pytest.mark.no_census  # dockerd keeps processes and mounts of its own while it runs
def test_any_sequence_does_what_docker_does(store, tmp_path, tmp_path_factory, fixture_archive):
    with private_docker(tmp_path_factory.mktemp("d")) as daemon:  # a socket's path is short: unix(7)
        daemon("import", str(fixture_archive("busybox")), "busybox:latest")

        class Machine(Sequences):
            subjects = (Subject(daemon.words(), tmp_path / "theirs"), Subject(store.words, tmp_path / "ours"))

        run_sequences(Machine, 2)
