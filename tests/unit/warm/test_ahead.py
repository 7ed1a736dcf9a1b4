"""A worker's memory: which pages it will need, and another process that goes on with it. In processes of their own."""

from __future__ import annotations

import subprocess
import sys


def in_a_process(script: str) -> str:
    """Run a script that uses the core, and give what it prints."""
    words = [sys.executable, "-c", "import os, resource, signal\nfrom minirun._native import lib\n" + script]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_one_process_has_written_to_the_next_one_has_for_itself():
    faults = in_a_process(
        """
held = [str(number) for number in range(200_000)]
assert lib.mr_pages_remember() == 0
never, _ = os.pipe()
def faults_of(prepare):
    here, there = os.pipe()
    if os.fork() == 0:
        prepare()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for text in held[:50_000]:
            kept = text  # a reference more, a reference less: a page that is written to
        os.write(there, b"%d" % (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before))
        lib.mr_pages_learn()
        os._exit(0)
    os.wait()
    return int(os.read(here, 20))
first = faults_of(lambda: None)
print(first, faults_of(lambda: lib.mr_pages_touch(never)))
"""
    )
    first, second = map(int, faults.split())
    assert first > 500
    assert second < first / 5


def test_pages_are_touched_until_something_else_is_to_be_done():
    touched = in_a_process(
        """
held = [str(number) for number in range(200_000)]
assert lib.mr_pages_remember() == 0
if os.fork() == 0:
    for text in held:
        kept = text
    lib.mr_pages_learn()
    os._exit(0)
os.wait()
never, _ = os.pipe()
ready, writer = os.pipe()
os.write(writer, b"x")
for descriptor in (ready, never):
    if os.fork() == 0:
        print(lib.mr_pages_touch(descriptor), flush=True)
        os._exit(0)
    os.wait()
"""
    )
    early, whole = map(int, touched.split())
    assert early < 200 < 1000 < whole


def test_another_process_goes_on_and_its_end_is_its_own():
    """The first one ends after it, so that the memory outlives the second; both are their parent's children."""
    seen = in_a_process(
        """
here, there = os.pipe()
child = os.fork()
if child == 0:
    before = os.getpid()
    os.umask(0o123)
    assert lib.mr_step(-1) == 0
    assert os.getpid() != before and os.umask(0) == 0o123
    os.write(there, b"%d" % os.getpid())
    text = " ".join(str(number) for number in range(1000))  # it has a stack and a heap
    assert len(os.popen("echo " + text).read()) == len(text) + 1  # and can start others
    os._exit(len(text) % 256)
pid = int(os.read(here, 20))
ends = dict(os.wait() for _ in range(2))
print(pid != child, os.waitstatus_to_exitcode(ends[pid]), os.waitstatus_to_exitcode(ends[child]), next(iter(ends)) == pid)
"""
    )
    length = len(" ".join(str(number) for number in range(1000)))
    assert seen == f"True {length % 256} 0 True\n"


def test_one_that_is_killed_takes_the_first_along():
    seen = in_a_process(
        """
here, there = os.pipe()
child = os.fork()
if child == 0:
    assert lib.mr_step(-1) == 0
    os.write(there, b"%d" % os.getpid())
    signal.pause()
pid = int(os.read(here, 20))
os.kill(pid, signal.SIGKILL)
ends = dict(os.wait() for _ in range(2))
print(os.waitstatus_to_exitcode(ends[pid]), os.waitstatus_to_exitcode(ends[child]))
"""
    )
    assert seen == "-9 0\n"


def test_a_cgroup_that_is_none_is_refused_in_the_process_as_it_was():
    seen = in_a_process(
        """
child = os.fork()
if child == 0:
    before = os.getpid()
    result = lib.mr_step(os.open("/", os.O_RDONLY))
    os._exit(0 if result == -9 and os.getpid() == before else 1)  # EBADF
print(os.wait()[1])
"""
    )
    assert seen == "0\n"
