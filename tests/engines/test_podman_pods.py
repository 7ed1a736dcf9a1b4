"""Pods of podman: containers of one pod share what the pod has, and start, pause, stop and go as one; Kubernetes' files too."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.conftest import Engine
from tests.waiting import until

pytestmark = pytest.mark.no_census  # the engines keep things of their own; conftest looks for ours

# The pod's own container takes no options on the command line. Its usual image holds a program that not every host has.
CONFIGURATION = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
pids_limit = 0
[engine]
infra_image = "localhost/holder"
"""
KUBERNETES = """
apiVersion: v1
kind: Pod
metadata: {name: played}
spec:
  restartPolicy: Never
  containers:
  - name: first
    image: localhost/busybox
    command: [sleep, "1000"]
    securityContext: {runAsUser: 1000, capabilities: {drop: [ALL]}}
    env: [{name: GREETING, value: hello}]
    volumeMounts: [{name: shared, mountPath: /shared, readOnly: true}]
  - name: second
    image: localhost/busybox
    command: [sleep, "1000"]
    volumeMounts: [{name: shared, mountPath: /shared}]
  volumes: [{name: shared, hostPath: {path: "DIRECTORY"}}]
"""


@pytest.fixture(scope="module")
def holder(podman: Engine, archive: Path) -> None:
    """The image of the pod's own container: it does nothing but hold the namespaces."""
    podman("import", "-c", 'CMD ["sleep", "1000"]', str(archive), "localhost/holder")


@pytest.fixture(autouse=True)
def configuration(holder: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "containers.conf"
    path.write_text(CONFIGURATION)
    monkeypatch.setenv("CONTAINERS_CONF", str(path))


@contextlib.contextmanager
def pod(podman: Engine, *options: str) -> Iterator[str]:
    """A pod with two containers, `one` and `two`; all of it is removed at the end."""
    try:
        podman("pod", "create", "--name", "pod", "--network", "none", *options)
        for name in ("one", "two"):
            podman("run", "-d", "--pod", "pod", "--name", name, "--stop-timeout", "0", podman.image, "sleep", "1000")
        yield "pod"
    finally:
        podman("pod", "rm", "-f", "-t", "0", "pod")


def namespace(podman: Engine, name: str, kind: str) -> str:
    return podman("exec", name, "readlink", f"/proc/self/ns/{kind}").stdout


def state(podman: Engine) -> str:
    return str(json.loads(podman("pod", "inspect", "pod").stdout)["State"])


def test_network_ipc_and_host_name_are_the_pods_and_the_rest_is_each_containers_own(podman: Engine) -> None:
    with pod(podman):
        for kind in ("net", "ipc", "uts"):
            assert namespace(podman, "one", kind) == namespace(podman, "two", kind)
        for kind in ("pid", "mnt"):
            assert namespace(podman, "one", kind) != namespace(podman, "two", kind)
        assert podman("exec", "two", "hostname").stdout == "pod\n"


def test_its_containers_meet_on_the_loopback(podman: Engine) -> None:
    with pod(podman):
        podman("exec", "-d", "one", "nc", "-l", "-p", "7000", "-e", "echo", "hello")
        asked = ("exec", "two", "nc", "127.0.0.1", "7000")
        until("the answer", lambda: podman(*asked, check=False).stdout == "hello\n")


def test_a_shared_process_namespace_shows_all_of_the_pod(podman: Engine) -> None:
    with pod(podman, "--share", "pid,net"):
        assert namespace(podman, "one", "pid") == namespace(podman, "two", "pid")
        podman("exec", "one", "touch", "/only-here")
        seen = podman("exec", "--privileged", "two", "sh", "-c", "ls /proc/*/root/only-here; ps").stdout
        assert seen.count("sleep 1000") == 3  # the pod's own, one, two
        assert "/root/only-here" in seen


def test_a_pod_pauses_stops_starts_and_goes_as_one(podman: Engine) -> None:
    with pod(podman):
        assert state(podman) == "Running"
        podman("pod", "pause", "pod")
        assert state(podman) == "Paused"
        podman("pod", "unpause", "pod")
        podman("pod", "stop", "-t", "0", "pod")
        assert state(podman) == "Exited"
        podman("pod", "start", "pod")
        assert state(podman) == "Running"
        assert namespace(podman, "one", "net") == namespace(podman, "two", "net")
        podman("pod", "kill", "pod")
        until("all to have ended", lambda: state(podman) == "Exited")
    assert podman("ps", "-aq").stdout == ""


def test_a_pod_of_kubernetes_is_played(podman: Engine, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    file = tmp_path / "pod.yaml"
    file.write_text(KUBERNETES.replace("DIRECTORY", str(shared)))
    try:
        podman("play", "kube", "--network", "none", str(file))
        podman("exec", "played-second", "sh", "-c", "echo written > /shared/file")
        script = "cat /shared/file; id -u; echo $GREETING; grep CapPrm /proc/self/status; touch /shared/x 2>&1 || echo refused"
        lines = podman("exec", "played-first", "sh", "-c", script).stdout.splitlines()
        assert lines[:4] == ["written", "1000", "hello", "CapPrm:\t0000000000000000"]
        assert lines[-1] == "refused"
        assert namespace(podman, "played-first", "net") == namespace(podman, "played-second", "net")
    finally:
        podman("play", "kube", "--down", str(file), check=False)
        podman("pod", "rm", "-f", "-t", "0", "--ignore", "played")
    assert podman("ps", "-aq").stdout == ""
