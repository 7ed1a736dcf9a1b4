"""The verbs beside docker's own: the same words give the same lines on standard output and the same exit code."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.dockerd import at_once, private_docker

SCRIPT = "trap 'exit 7' TERM; sleep 600 & wait"  # the same two processes at every moment

# In this order, on `running`, which was run, and `resting`, which was created. Ids are told apart from nothing.
SEQUENCE = (
    "rename running running",
    "rename running resting",
    "rename running moved",
    "ps --format {{.Names}}",
    "rename moved running",
    "rename no-such other",
    "pause resting",
    "pause no-such running",
    "pause running",
    "exec running true",
    "attach running",
    "start running",
    "rm running",
    "ps -a --format {{.Names}}={{.State}}",
    "ps -q -f status=paused --format {{.Names}}",
    "inspect -f {{.State.Status}},{{.State.Running}},{{.State.Paused}} running",
    "top running -o pid,comm",
    "kill -s WINCH running",
    "inspect -f {{.State.Status}} running",
    "unpause running",
    "pause running",
    "unpause running resting",
    "top resting",
    "top running -o comm",
    "port running",
    "port running 80",
    "port resting",
    "port no-such",
    "stats --no-stream --format {{.Name}}:{{.NetIO}} running",
    "stats --no-stream no-such",
    "update running",
    "update --cpus 900 running",
    "update -m 1m running",
    "pause running",
    "stop running",
    "inspect -f {{.State.Status}},{{.State.ExitCode}} running",
    "unpause running",
    "start running",
    "pause running",
    "rm -f running",
    "container prune",
    "container prune -f --filter label=x",
    "container prune -f --filter bogus=1",
    "image prune",
    "image prune -a",
    "system prune",
    "system prune -a --volumes --filter until=1h",
    "ps -a -f health=none --format {{.Names}}",
    "ps -a -f health=foo",
    "ps -a -f exited=x",
    "ps -a -f is-task=true",
    "ps -a -f publish=xx",
    "container prune -f",
)


def normalized(text: str) -> str:
    """Without what differs from run to run: ids, process ids, sizes of a container's directory, which docker doesn't count."""
    text = re.sub(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b", "ID", text)
    text = re.sub(r"reclaimed space: .*", "reclaimed space: SOME", text)
    return re.sub(r"(?m)^\d+ +", "N ", text)


@pytest.fixture(scope="module")
def docker(tmp_path_factory, fixture_archive):
    with private_docker(tmp_path_factory.mktemp("docker")) as daemon:
        daemon("import", str(fixture_archive("busybox")), "busybox:latest")
        yield daemon


@pytest.mark.no_census  # dockerd keeps processes and mounts of its own while it runs
def test_the_same_words_do_the_same(docker, store):
    ours = store.words
    theirs = docker.words()
    for words in (theirs, ours):
        subprocess.run(
            [*words, "run", "-d", "--name", "running", "--network", "none", "busybox", "sh", "-c", SCRIPT], check=True
        )
        subprocess.run([*words, "create", "--name", "resting", "--network", "none", "busybox", "true"], check=True)

    def answer(words: list[str], line: str) -> tuple[int, str]:
        done = subprocess.run(
            [*words, *line.split()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, normalized(done.stdout)

    answers = at_once(lambda words: [answer(words, line) for line in SEQUENCE], (theirs, ours))
    differences = [
        f"{line}:\n  docker  {his}\n  minirun {mine}"
        for line, his, mine in zip(SEQUENCE, *answers, strict=True)
        if his != mine
    ]
    assert not differences, "\n".join(differences)
