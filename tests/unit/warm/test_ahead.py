"""A worker's memory: which pages it will need, what it lets go of. In processes of their own."""

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
        lib.mr_pages_learn(0)
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
    lib.mr_pages_learn(0)
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
