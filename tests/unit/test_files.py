"""Locks by number: who waits, who doesn't, and that nothing is left of them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from minirun.files import Lock


def test_a_number_is_held_by_one_at_a_time_and_others_are_free(tmp_path: Path) -> None:
    path = str(tmp_path / "locks")
    with Lock(path, 2**60 - 1):
        assert not Lock(path, 2**60 - 1).acquire(wait=False)
        other = Lock(path, 7)
        assert other.acquire(wait=False)
        other.release()
    assert Lock(path, 2**60 - 1).acquire(wait=False)


def test_a_waiter_gets_it_when_it_is_given_back(tmp_path: Path) -> None:
    path, order = str(tmp_path / "locks"), []

    def wait() -> None:
        with Lock(path, 1):
            order.append("waiter")

    with Lock(path, 1):
        waiter = threading.Thread(target=wait)
        waiter.start()
        waiter.join(0.1)
        order.append("holder")
    waiter.join(10)
    assert order == ["holder", "waiter"]


def test_the_end_of_its_process_gives_it_back_and_leaves_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "locks")
    child = os.fork()
    if child == 0:
        Lock(path, 1).acquire()
        os._exit(0)
    os.waitpid(child, 0)
    lock = Lock(path, 1)
    assert lock.acquire(wait=False)
    lock.release()
    assert os.listdir(tmp_path) == ["locks"]
    assert os.stat(path).st_size == 0
