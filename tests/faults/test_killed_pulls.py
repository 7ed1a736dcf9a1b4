"""A pull that is killed at any moment: the next one goes on where it was, and the store is whole.

`MINIRUN_PULL_KILLS` is the number of kills; 100 take about two minutes.
"""

from __future__ import annotations

import functools
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from minirun import Engine
from tests.registries import Faulty, Handler, Served, layer_of
from tests.waiting import until

MINIRUN = str(Path(sys.executable).parent / "minirun")
KILLS = int(os.environ.get("MINIRUN_PULL_KILLS", "5"))
PIECE = 64 * 1024


class Round:
    """One pull: how much of each blob was sent, and after how many bytes nothing more comes of it until all are let go."""

    def __init__(self, digests: Iterable[str], holds: dict[str, float]) -> None:
        self.sent = dict.fromkeys(digests, 0)
        self.holds = holds
        self.go_on = threading.Event()

    def is_held(self, digest: str) -> bool:
        return self.sent[digest] >= self.holds.get(digest, math.inf)


class Slow:
    """Serves blobs in pieces, as a line does. A connection belongs to the round in which it came: it may outlive its client."""

    def __init__(self, server: Faulty) -> None:
        self.round = Round((), {})
        self._server = server
        server.faults.append(self)

    def __call__(self, handler: Handler) -> bool:
        now, digest = self.round, handler.path.rpartition("/")[2]
        if "/blobs/" not in handler.path or digest not in now.sent:
            return False
        data = self._server.content[handler.path][1]
        wanted = handler.headers.get("Range", "")
        begin = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        handler.send_response(206 if begin else 200)
        if begin:
            handler.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(data) - begin))
        handler.end_headers()
        for place in range(begin, len(data), PIECE):
            if now.is_held(digest):
                now.go_on.wait()
            piece = data[place : place + PIECE]
            now.sent[digest] += len(piece)
            handler.wfile.write(piece)
            time.sleep(0.0005)  # how fast the line is
        return True


@pytest.fixture
def served() -> Iterator[Faulty]:
    registry = Faulty()
    yield registry
    registry.end()


def test_a_killed_pull_is_finished_by_the_next_which_fetches_what_was_incomplete(
    served: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    image = Served(*(layer_of({f"file-{n}": chance.randbytes(1_500_000), f"d/{n}": b"x"}) for n in range(4)))
    name = served.add("killed", "1", image)
    slow = Slow(served)
    sizes = {digest: len(image.blobs[digest]) for digest in image.layers}
    root, roots = tmp_path / "data", ["--root", str(tmp_path / "data"), "--run-root", str(tmp_path / "run")]
    incoming = root / "images" / "incoming"

    def pull(holds: dict[str, float]) -> subprocess.Popen[bytes]:
        slow.round = Round(sizes, holds)
        return subprocess.Popen(
            [MINIRUN, *roots, "pull", "-q", name], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def is_received() -> bool:
        return any(_size(incoming / digest[7:]) for digest in sizes)

    def is_there(now: Round) -> bool:
        return any(map(now.is_held, sizes)) or now.sent == sizes

    with pull({}) as first:
        until("all to be sent", lambda: slow.round.sent == sizes)
        sent = time.monotonic()
        assert first.wait() == 0, first.communicate()[1]
    rest = time.monotonic() - sent
    kept_rounds = 0
    for number in range(KILLS):
        where = f"kill {number} of seed {seed}"
        shutil.rmtree(root)
        # Each at some byte, or not at all, and then at some moment of what is done next; the first time in what surely is written.
        holds = {digest: size * (chance.uniform(0, 2) if number else 0.8) for digest, size in sizes.items()}
        with pull(holds) as process:
            now = slow.round
            until("bytes to be sent", functools.partial(is_there, now))
            if number == 0:
                until("bytes to be received", is_received)
            time.sleep(chance.uniform(0, rest))
            process.send_signal(signal.SIGKILL)
        # Warm, it is its worker that pulls, which is gone when the next command begins.
        subprocess.run([MINIRUN, "version"], stdout=subprocess.DEVNULL, check=True)
        now.go_on.set()
        kept = {digest: _size(incoming / digest[7:]) for digest in sizes}
        published = {digest: (root / "images/blobs/sha256" / digest[7:]).exists() for digest in sizes}
        kept_rounds += any(kept.values())
        with pull({}) as process:
            assert process.wait() == 0, (where, process.communicate()[1])
        for digest, size in sizes.items():
            missing = 0 if published[digest] else size - kept[digest]
            assert slow.round.sent[digest] == missing, (where, digest)
        with Engine(str(root), str(tmp_path / "run")) as engine:
            assert engine.images.resolve(name).id == image.id
            assert engine.check() == [], where
        assert not incoming.exists() or os.listdir(incoming) == [], where
        stages = root / "snapshots" / "staging"
        assert not stages.exists() or os.listdir(stages) == [], where
    assert kept_rounds > 0


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
