"""Pages that a fork takes from the preloaded process, and files that a worker's memory lets go of. In processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import CHECKOUT


def in_a_process(script: str) -> str:
    """Run a script that uses the core, and give what it prints."""
    words = [sys.executable, "-c", "import os, resource, signal\nfrom minirun._native import lib\n" + script]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_was_written_to_after_one_fork_is_taken_back_after_the_next():
    faults = in_a_process(
        """
held = [str(number) for number in range(200_000)]
assert lib.mr_pages_remember() == 0
def fork():
    pid = os.fork()
    if pid == 0:
        signal.pause()
    return pid
def faults_of_writing():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for text in held[:50_000]:
        kept = text  # a reference more, a reference less: a page that is written to
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
children = [fork()]
first = faults_of_writing()
lib.mr_pages_note()
children.append(fork())
lib.mr_pages_take()
print(first, faults_of_writing())
for pid in children:
    os.kill(pid, signal.SIGKILL)
    os.wait()
"""
    )
    first, second = map(int, faults.split())
    assert first > 500
    assert second < first / 5


MAPPED = """
import mmap, sys
with open(sys.argv[1], "r+b") as file:
    shared, private = mmap.mmap(file.fileno(), 0), mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
lib.mr_unmap_shared_files()
print(sum(sys.argv[1] in line for line in open("/proc/self/maps")), private[:4], flush=True)
os._exit(0)  # its objects believe that they are mapped
"""
IOCTL = {"x86_64": "16", "aarch64": "29"}[os.uname().machine]


@pytest.mark.parametrize("is_older", [False, True], ids=["the kernel finds it", "by its table"])
def test_a_file_that_is_mapped_to_be_shared_is_let_go_of(tmp_path, is_older):
    """Before Linux 6.11 the kernel can't be asked (PROCMAP_QUERY)."""
    file = tmp_path / "mapped"
    file.write_bytes(b"kept" * 1024)
    words = [sys.executable, "-c", "import os\nfrom minirun._native import lib\n" + MAPPED, str(file)]
    if is_older:
        without = tmp_path / "without"
        subprocess.run(["gcc", "-std=gnu11", "-o", without, CHECKOUT / "native/tests/without.c"], check=True)
        words = [str(without), IOCTL, *words]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("1 b'kept'\n", 0), done.stderr
