"""`events`: what every process did is one stream, in the order in which it happened, and whoever follows sees it at once."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time

import pytest

from tests.waiting import until


@pytest.fixture
def begin():
    """The instant from which a test's own events count, as --since takes it."""
    return f"{time.time():.9f}"


def actions(minirun, begin, *more):
    now = f"{time.time():.9f}"
    lines = minirun("events", "--since", begin, "--until", now, "--format", "{{.Type}} {{.Action}}", *more).stdout
    return lines.splitlines()


def test_the_life_of_a_container_is_told_in_order(minirun, busybox, begin):
    minirun("create", "--name", "told", "--network", "none", busybox, "sleep", "600")
    minirun("start", "told")
    minirun("exec", "told", "true")
    minirun("pause", "told")
    minirun("unpause", "told")
    minirun("rename", "told", "retold")
    minirun("restart", "-t", "0", "retold")
    minirun("kill", "retold")
    minirun("rm", "retold")
    assert actions(minirun, begin, "--filter", "type=container") == [
        f"container {action}"
        for action in (
            "create", "start", "exec_create: true ", "exec_start: true ", "exec_die", "pause", "unpause", "rename",
            "kill", "kill", "die", "stop", "start", "restart", "kill", "die", "destroy",
        )
    ]  # fmt: skip


def test_looks_and_copies_are_told_and_the_end_by_force(minirun, busybox, begin, tmp_path):
    minirun("run", "-d", "--name", "told", "--network", "none", busybox, "sleep", "600")
    minirun("top", "told")
    minirun("cp", "told:/etc/passwd", str(tmp_path / "file"))
    minirun("cp", str(tmp_path / "file"), "told:/file")
    minirun("export", "-o", str(tmp_path / "archive"), "told")
    minirun("commit", "-p=false", "-m", "why", "told", "told-image")
    minirun("rm", "-f", "told")
    minirun("rmi", "told-image")
    assert actions(minirun, begin) == [
        "container create", "network connect", "container start", "container top", "container archive-path",
        "container extract-to-dir", "container export", "image tag", "container commit", "container kill", "container die",
        "network disconnect", "container destroy", "image untag", "image delete",
    ]  # fmt: skip
    template = "{{json .Actor.Attributes}}"
    shown = minirun("events", "--since", begin, "--until", "0s", "-f", "event=commit", "--format", template)
    attributes = json.loads(shown.stdout)
    assert (attributes["comment"], attributes["imageRef"]) == ("why", "told-image:latest")
    assert list(attributes) == sorted(attributes)


def test_a_line_reads_as_docker_has_it(minirun, busybox, begin):
    minirun("run", "--rm", "--name", "three", "-l", "tier=web", busybox, "sh", "-c", "exit 3", check=False)
    lines = minirun("events", "--since", begin, "--until", "0s", "-f", "event=die").stdout.splitlines()
    assert len(lines) == 1
    image = re.escape(busybox)
    assert re.fullmatch(
        rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{9}}(Z|[+-]\d\d:\d\d) container die [0-9a-f]{{64}} "
        rf"\(execDuration=\d+, exitCode=3, image={image}, minirun\.fixture=\w+, name=three, tier=web\)",
        lines[0],
    )
    event = json.loads(
        minirun("events", "--since", begin, "--until", "0s", "-f", "event=die", "--format", "json").stdout
    )
    assert (event["status"], event["Action"], event["Type"], event["scope"]) == ("die", "die", "container", "local")
    labels = {"tier": "web", "minirun.fixture": event["Actor"]["Attributes"]["minirun.fixture"]}  # the image's too
    attributes = event["Actor"]["Attributes"]
    assert attributes.pop("execDuration").isdecimal()
    assert attributes == {"exitCode": "3", "image": busybox, "name": "three", **labels}
    assert event["timeNano"] // 10**9 == event["time"]


def test_a_foreground_run_on_the_bridge_tells_of_its_streams_and_its_network(minirun, busybox, begin):
    minirun("run", "--rm", busybox, "true")
    assert actions(minirun, begin) == [
        "container create", "container attach", "network connect", "container start",
        "container die", "network disconnect", "container destroy",
    ]  # fmt: skip


def test_a_further_process_that_nobody_waits_for_is_told_of_to_its_end(minirun, busybox, begin, run_container):
    name = run_container("--network", "none", busybox, "sleep", "600")
    minirun("exec", "-d", name, "sh", "-c", "exit 4")
    assert minirun("exec", "-d", name, "/nosuch", check=False).returncode == 127

    def ends() -> list[str]:
        words = (
            "--since",
            begin,
            "--until",
            "0s",
            "-f",
            "event=exec_die",
            "--format",
            "{{.Actor.Attributes.exitCode}}",
        )
        return minirun("events", *words).stdout.split()

    until("its end to be told of", ends)
    minirun("exec", name, "sh", "-c", "exit 5", check=False)
    assert ends() == ["4", "5"]


def test_names_of_images_are_told(minirun, busybox, begin):
    minirun("tag", busybox, "told:1")
    minirun("rmi", "told:1")
    assert actions(minirun, begin, "-f", "image=told") == ["image tag", "image untag"]
    assert actions(minirun, begin, "-f", "image=told:1") == ["image tag", "image untag"]
    assert actions(minirun, begin, "-f", "image=tol") == []


def test_volumes_are_told_of_from_their_making_to_their_end(minirun, busybox, begin):
    try:
        minirun("run", "--rm", "--network", "none", "-v", "told-volume:/data", busybox, "true")
    finally:
        minirun("volume", "rm", "told-volume")
    assert actions(minirun, begin, "-f", "volume=told-volume") == [
        "volume create", "volume mount", "volume unmount", "volume destroy",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (("container=one",), ["create one", "destroy one"]),
        (("container=one", "container=two"), ["create one", "create two", "destroy one", "destroy two"]),
        (("container=one", "event=create"), ["create one"]),
        (("label=a", "label=b=2"), ["create two", "destroy two"]),
        (("label=a", "label=b=3"), []),
        (("type=image",), []),
    ],
)
def test_values_of_one_filter_are_alternatives_and_filters_fit_together(minirun, busybox, begin, filters, expected):
    minirun("create", "--name", "one", "-l", "a=1", busybox)
    minirun("create", "--name", "two", "-l", "a=1", "-l", "b=2", busybox)
    minirun("rm", "one", "two")
    words = [word for text in filters for word in ("-f", text)]
    template = "{{.Action}} {{.Actor.Attributes.name}}"
    shown = minirun("events", "--since", begin, "--until", "0s", "--format", template, *words).stdout
    assert shown.splitlines() == expected


def test_a_filter_that_is_none_is_refused(minirun):
    done = minirun("events", "--until", "0s", "-f", "colour=red", check=False)
    assert (done.returncode, done.stderr) == (1, "Error: invalid filter 'colour'\n")


def test_a_beginning_after_the_end_is_refused_in_dockers_words(minirun):
    done = minirun("events", "--since", "20", "--until", "10.5", check=False)
    assert (done.returncode, done.stderr) == (1, "Error: `since` time (20) cannot be after `until` time (10)\n")


def test_what_others_do_is_seen_within_a_tenth_of_a_second(minirun, busybox):
    """The first event is waited for, so that the follower is there; then each has to arrive before its deadline."""
    follower = minirun.start("events", "--format", "{{.Action}} {{.TimeNano}}", stdout=subprocess.PIPE)
    arrived: dict[str, list[float]] = {}
    seen = threading.Event()

    def read():
        for line in follower.stdout:
            action, at_ns = line.decode().split()
            arrived.setdefault(action, []).append(time.time() - int(at_ns) / 1e9)
            seen.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        deadline = time.monotonic() + 30
        while not seen.wait(0.2):
            assert time.monotonic() < deadline
            minirun("create", "--name", "heard", busybox)
            minirun("rm", "heard")
        arrived.clear()
        for _ in range(10):
            minirun("create", "--name", "heard", busybox)
            minirun("rm", "heard")
        minirun("tag", busybox, "heard:1")
        minirun("rmi", "heard:1")
        while "untag" not in arrived:
            assert time.monotonic() < deadline
            assert seen.wait(30)
            seen.clear()
    finally:
        follower.terminate()
        follower.wait()
        reader.join()
        follower.stdout.close()
    assert len(arrived["create"]) >= 10
    delays = sorted(delay for action in arrived.values() for delay in action)
    assert delays[len(delays) // 2] < 0.1, delays


def test_a_follower_ends_at_its_time_and_shows_what_came_before(minirun, busybox, begin):
    minirun("create", "--name", "before", busybox)
    minirun("rm", "before")
    done = minirun("events", "--since", begin, "--until", f"{time.time() + 1:.3f}", "--format", "{{.Action}}")
    assert done.stdout.splitlines() == ["create", "destroy"]
