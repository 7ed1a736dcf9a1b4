"""What podman alone asks of a runtime: user namespaces, namespaces by path, joining another container's network."""

from __future__ import annotations

import pytest

from tests.engines.conftest import Engine

pytestmark = pytest.mark.no_census  # the engines keep things of their own; conftest looks for ours
MAPPED = ("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536")


def test_a_user_namespace_has_its_own_root_from_the_first_process_to_the_last(podman: Engine) -> None:
    with podman.container("mapped", *MAPPED):
        for words in (["exec", "mapped"], ["exec", "-t", "mapped"]):
            assert podman(*words, "cat", "/proc/self/uid_map").stdout.split() == ["0", "100000", "65536"]
        assert podman("exec", "mapped", "sh", "-c", "id -u; touch /root/new; stat -c %u /root/new /").stdout.split() == [
            "0", "0", "0",
        ]  # fmt: skip
        assert podman("exec", "mapped", "sh", "-c", "echo x >/dev/null; head -c 3 /dev/zero | wc -c").stdout == "3\n"


def test_devices_of_a_user_namespace_are_the_hosts_and_masks_hold(podman: Engine) -> None:
    script = "stat -c '%t %T' /dev/null; cat /proc/keys | wc -c; ls /sys/firmware | wc -l; mknod /tmp/n c 1 3 2>&1 || echo no"
    lines = podman.run(*MAPPED, "--", "sh", "-c", script).stdout.splitlines()
    assert lines[:3] == ["1 3", "0", "0"]
    assert lines[-1] == "no"


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid"])
def test_a_namespace_of_another_container_is_joined(podman: Engine, kind: str) -> None:
    file = {"network": "net"}.get(kind, kind)
    with podman.container("lender"):
        lent = podman("exec", "lender", "readlink", f"/proc/self/ns/{file}").stdout
        words = ["run", "--rm", *podman.run_options, f"--{kind}", "container:lender", podman.image]
        assert podman(*words, "readlink", f"/proc/self/ns/{file}").stdout == lent
