"""Another process that goes on with a worker's memory (native/ahead.c): clone3(2), so it is here, where none is taken away."""

from __future__ import annotations

from tests.unit.warm.test_ahead import in_a_process


def test_another_process_goes_on_and_its_end_is_its_own():
    """The first one ends after it, so that the memory outlives the second; both are their parent's children."""
    seen = in_a_process(
        """
here, there = os.pipe()
child = os.fork()
if child == 0:
    before = os.getpid()
    os.umask(0o123)
    assert lib.mr_step() == 0
    assert os.getpid() != before and os.umask(0) == 0o123
    os.write(there, b"%d" % os.getpid())
    text = " ".join(str(number) for number in range(1000))  # it has a stack and a heap
    assert len(os.popen("echo " + text).read()) == len(text) + 1  # and can start others
    os._exit(len(text) % 256)
pid = int(os.read(here, 20))
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
before = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
ends = dict(os.wait() for _ in range(2))
print(pid != child, os.waitstatus_to_exitcode(ends[pid]), os.waitstatus_to_exitcode(ends[child]), before)
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
    assert lib.mr_step() == 0
    os.write(there, b"%d" % os.getpid())
    signal.pause()
pid = int(os.read(here, 20))
os.kill(pid, signal.SIGKILL)
ends = dict(os.wait() for _ in range(2))
print(os.waitstatus_to_exitcode(ends[pid]), os.waitstatus_to_exitcode(ends[child]))
"""
    )
    assert seen == "-9 0\n"
