"""A pull that is killed at any moment: the next one goes on where it was, and the store is whole.

`MINIRUN_PULL_KILLS` is the number of kills; 100 take about two minutes.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun import Engine
from tests.registries import Faulty, Handler, Served, layer_of

MINIRUN = str(Path(sys.executable).parent / "minirun")
KILLS = int(os.environ.get("MINIRUN_PULL_KILLS", "5"))
PIECE = 64 * 1024


class Slow:
    """Serves blobs in pieces, as a line does, and counts what it has sent of each, per round."""

    def __init__(self, server: Faulty) -> None:
        self.sent: dict[str, int] = {}
        self._server = server
        server.faults.append(self)

    def __call__(self, handler: Handler) -> bool:
        digest = handler.path.rpartition("/")[2]
        if "/blobs/" not in handler.path or digest not in self.sent:
            return False
        data = self._server.content[handler.path][1]
        sent = self.sent  # of this round: a connection whose client was killed may outlive it
        wanted = handler.headers.get("Range", "")
        begin = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        handler.send_response(206 if begin else 200)
        if begin:
            handler.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(data) - begin))
        handler.end_headers()
        for place in range(begin, len(data), PIECE):
            piece = data[place : place + PIECE]
            sent[digest] += len(piece)
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

    def pull() -> subprocess.Popen[bytes]:
        slow.sent = dict.fromkeys(sizes, 0)
        return subprocess.Popen(
            [MINIRUN, *roots, "pull", "-q", name], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    begun = time.monotonic()
    with pull() as first:
        assert first.wait() == 0, first.communicate()[1]
    whole = time.monotonic() - begun
    kept_rounds = 0
    for number in range(KILLS):
        where = f"kill {number} of seed {seed}"
        shutil.rmtree(root)
        with pull() as process:
            time.sleep(chance.uniform(0, whole))
            process.send_signal(signal.SIGKILL)
        kept = {digest: _size(incoming / digest[7:]) for digest in sizes}
        published = {digest: (root / "images/blobs/sha256" / digest[7:]).exists() for digest in sizes}
        kept_rounds += any(kept.values())
        with pull() as process:
            assert process.wait() == 0, (where, process.communicate()[1])
        for digest, size in sizes.items():
            missing = 0 if published[digest] else size - kept[digest]
            assert slow.sent[digest] == missing, (where, digest)
        with Engine(str(root), str(tmp_path / "run")) as engine:
            assert engine.images.resolve(name).id == image.id
            assert engine.check() == [], where
        assert not incoming.exists() or os.listdir(incoming) == [], where
        stages = root / "snapshots" / "staging"
        assert not stages.exists() or os.listdir(stages) == [], where
    assert kept_rounds > 0


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
