"""The verbs beside docker's own: the same words give the same lines on standard output and the same exit code."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence

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
# The same, on a store with `a-b_c.d` running, `box1` with a volume at rest, `ended` with code 5, `other:1` beside the image.
# No line shows several mounts of a container or names of an image: docker has them in the order of a map, another one each time.
LISTS = (
    "ps -a --format {{.Names}} -f name=a-b",
    "ps -a --format {{.Names}} -f name=^a-b_c.d$",
    "ps -a --format {{.Names}} -f name=^/a-b_c.d$",
    "ps -a --format {{.Names}} -f name=[",
    "ps -a --format {{.Names}} -f name=A-B",
    "ps -a --format {{.Names}} -f name=",
    "ps -a --format {{.Names}} -f id=",
    "ps -a --format {{.Names}} -f id=0zz",
    "ps -a --format {{.Names}} -f label=k=v -f label=x=z",
    "ps -a --format {{.Names}} -f label=",
    "ps -a --format {{.Names}} -f ancestor=busybox -f ancestor=no-such",
    "ps -a --format {{.Names}} -f since=ended -f before=box1",
    "ps --format {{.Names}} -f since=ended",
    "ps --format {{.Names}} -f status=created -f status=running",
    "ps --format {{.Names}} -f status=RUNNING",
    "ps --format {{.Names}} -f exited=5",
    "ps -a --format {{.Names}} -f exited=5",
    "ps -a --format {{.Names}} -f exited=-1",
    "ps -a --format {{.Names}} -f volume=named",
    "ps -a --format {{.Names}} -f volume=/tmp",
    "ps -a --format {{.Names}} -f volume=/v",
    "ps -a --format {{.Names}} -f network=none",
    "ps -a --format {{.Names}} -f is-task=false",
    "ps -a --format {{.Names}} -f isolation=default",
    "ps -a --format {{.Names}} -f isolation=hyperv",
    "ps -a --format {{.Names}} -f publish=80-90/udp",
    "ps -a --format {{.Names}} -f expose=80/foo",
    "ps -a --format {{.Names}} -f NAME=ended",
    "ps -a -f bogus",
    "ps -a -f =x",
    "ps -n 2 --format {{.Names}}",
    "ps -n 0 --format {{.Names}}",
    "ps -n -5 --format {{.Names}}",
    "ps -l --format {{.Names}}",
    "ps -l -f status=exited --format {{.Names}}",
    "ps -n 2 -l --format {{.Names}}",
    "ps -a --format {{.ID}}|{{.Image}}|{{.Command}}|{{.State}}|{{.Names}}|{{.Ports}}|{{.Labels}}|{{.Networks}}|{{.LocalVolumes}}",
    "ps -a --no-trunc --format {{.ID}}|{{.Command}}",
    "ps -a --format {{.Platform}}|{{.Size}}|{{.Mounts}}",
    "ps -a --format table",
    "ps -a --format raw",
    "ps -as --format raw -f name=box1",
    "ps -aq --format raw",
    "ps -a --format {{.Nope}}",
    "images -q",
    "images -q --no-trunc",
    "images --digests --format raw other",
    "images --format raw other",
    "images -q --format raw",
    "images other --format json",
    "images o*:1",
    "images other:nope",
    "images */*",
    "images -f dangling=true",
    "images -f dangling=x",
    "images -f label=x=y",
    "images -f since=busybox",
    "images -f before=no-such",
    "images -f reference=o* -f label=x",
    "images -f reference=[",
    "images -f bogus=1",
    "images --format {{.Nope}}",
    "volume ls --format raw",
    "volume ls -q --format raw",
    "logs no-such",
    "logs --tail 1 a-b_c.d",
    "logs --tail x /a-b_c.d",
    "logs ended extra",
    "logs 0000000000000000000000000000000000000000000000000000000000000000",
    "inspect -f {{.Name}} /a-b_c.d no-such ended",
    "inspect -f {{.Name}} no-such no-such-either",
    "inspect --type container busybox",
    "inspect --type image ended",
    "rm no-such box1 no-such-either",
    "rm -f no-such",
    "rm a-b_c.d ended",
    "rm ended ended",
    "start no-such a-b_c.d",
    "kill no-such a-b_c.d",
    "wait no-such a-b_c.d",
    "rmi no-such other:1 no-such-either",
)
# With words that are empty, or have spaces in them.
FIRST = (
    ("ps", "-a", "--format", "{{json .Names}}|{{upper .State}}|{{len .Names}}"),
    ("ps", "-a", "--format", "{{range .Names}}x{{end}}"),
    ("ps", "-a", "--format", '{{.Label "k"}}|{{.Label "none"}}'),
    ("ps", "-a", "--format", 'table {{.Names}}\\t{{.Label "k"}}\\t{{.Mounts}}\\t{{.Size}}'),
    ("ps", "-a", "--format", "{{.ID"),
    ("ps", "-a", "--format", "json", "--no-trunc", "-f", "name=ended"),
    ("images", "other", "--format", "{{json .}}"),
    ("images", "other", "--format", "{{json .Digest}} {{.Containers}}|{{.SharedSize}}|{{.UniqueSize}}|{{.VirtualSize}}"),
    ("inspect", "-f", "{{len .ExecIDs}} {{.ExecIDs}}", "a-b_c.d"),
    ("exec", "-d", "a-b_c.d", "sleep", "600"),
    ("inspect", "-f", "{{len .ExecIDs}}", "a-b_c.d"),
    ("logs", ""), ("inspect", ""), ("image", "inspect", ""), ("images", "", "-q"), ("rm", ""), ("wait", ""),
    ("stop", "no-such", ""),
)  # fmt: skip


def normalized(text: str) -> str:
    """Without what differs from run to run: ids, process ids, sizes of a container's directory, which docker doesn't count."""
    text = re.sub(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b", "ID", text)
    text = re.sub(r"reclaimed space: .*", "reclaimed space: SOME", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", text)
    text = re.sub(r"(\d+|Less than a|About a) (second|minute)s?( ago)?", "AGE", text)
    text = re.sub(r" {2,}", "  ", text)  # columns are as wide as the ages in them
    return re.sub(r"(?m)^\d+ +", "N ", text)


@pytest.fixture(scope="module")
def docker(tmp_path_factory, fixture_archive):
    with private_docker(tmp_path_factory.mktemp("docker")) as daemon:
        daemon("import", str(fixture_archive("busybox")), "busybox:latest")
        yield daemon


def answer(words: list[str], more: Sequence[str]) -> tuple[int, str]:
    """Give exit code and standard output."""
    done = subprocess.run(
        [*words, *more], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, normalized(done.stdout)


def compared(docker, store, lines: Sequence[Sequence[str]]) -> str:
    """Give the answers that differ, both of them, as text."""
    answers = at_once(lambda words: [answer(words, line) for line in lines], (docker.words(), store.words))
    return "\n".join(
        f"{' '.join(line)}:\n  docker  {his}\n  minirun {mine}"
        for line, his, mine in zip(lines, *answers, strict=True)
        if his != mine
    )


@pytest.mark.no_census  # dockerd keeps processes and mounts of its own while it runs
def test_the_same_words_do_the_same(docker, store):
    ours = store.words
    theirs = docker.words()
    for words in (theirs, ours):
        subprocess.run(
            [*words, "run", "-d", "--name", "running", "--network", "none", "busybox", "sh", "-c", SCRIPT], check=True
        )
        subprocess.run([*words, "create", "--name", "resting", "--network", "none", "busybox", "true"], check=True)

    assert compared(docker, store, [line.split() for line in SEQUENCE]) == ""


@pytest.mark.no_census
def test_lists_filters_and_names_are_the_same(docker, store):
    for words in (docker.words(), store.words):
        for line in (
            ("tag", "busybox", "other:1"),
            ("run", "-d", "--name", "a-b_c.d", "--label", "k=v", "--label", "x=y", "busybox", "sh", "-c", SCRIPT),
            ("run", "--name", "ended", "-v", "/tmp:/t", "busybox", "sh", "-c", "exit 5"),
            ("create", "--name", "box1", "-v", "named:/v", "busybox", "true"),
        ):
            more = ("--network", "none") if line[0] != "tag" else ()
            subprocess.run([*words, line[0], *more, *line[1:]], check=line[0] != "run", capture_output=True)
    try:
        assert compared(docker, store, [*FIRST, *(line.split() for line in LISTS)]) == ""
    finally:
        for name in ("a-b_c.d", "ended", "box1"):
            docker("rm", "-f", "-v", name)


# What docker's JSON has and ours hasn't: nothing of ours is Go; commits of its own come with what it expected; cgroup v1's.
NOT_OURS = re.compile(
    r"(Client|Server|ClientInfo)\.GoVersion|(Containerd|Runc|Init)Commit\.Expected|KernelMemory(TCP)?|BridgeNf\w+"
)


def names_in(document: dict, above: str = "") -> Iterator[str]:
    """Give the fields of an object, those of objects in it with a dot; not the keys of maps."""
    for name, value in document.items():
        yield above + name
        if isinstance(value, dict) and name not in ("Runtimes", "IndexConfigs"):
            yield from names_in(value, f"{above}{name}.")


@pytest.mark.no_census
def test_version_and_info_have_dockers_fields(docker, store):
    for command in ("version", "info"):
        theirs, ours = (
            set(names_in(json.loads(call(command, "-f", "{{json .}}"))))
            for call in (docker, lambda *words: store(*words).stdout)
        )
        assert {name for name in theirs - ours if not NOT_OURS.fullmatch(name)} == set()


@pytest.mark.no_census
def test_what_the_host_says_is_the_same(docker, store):
    for command, template in (
        ("version", "{{.Server.Os}} {{.Server.Arch}} {{.Server.KernelVersion}} {{.Client.Os}} {{.Client.Arch}}"),
        ("version", "{{.Server.Experimental}} {{.Client.Context}}"),
        ("info", "{{.OperatingSystem}} {{.OSVersion}} {{.OSType}} {{.Architecture}} {{.NCPU}} {{.MemTotal}} {{.Name}}"),
        ("info", "{{.Swarm.LocalNodeState}} {{.Swarm.NodeID}} {{.IPv4Forwarding}} {{.IndexServerAddress}} {{.Labels}}"),
        ("info", "{{.Plugins.Authorization}} {{.Plugins.Volume}} {{.GenericResources}} {{.ClientInfo.Context}}"),
        ("info", "{{.ProductLicense}} {{.DefaultAddressPools}} {{.HTTPProxy}} {{.Isolation}} {{.ServerErrors}}"),
    ):
        assert store(command, "-f", template).stdout == docker(command, "-f", template)
