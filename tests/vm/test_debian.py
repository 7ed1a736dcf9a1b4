"""On Debian's own kernel with cgroup v2 alone, which is what most users have: the way from nothing to a container."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests import hosts
from tests.conftest import CHECKOUT, MinirunCommand, RunContainer
from tests.waiting import free_port, listening, until

pytestmark = pytest.mark.vm_guest


def test_this_is_the_host_that_the_tests_were_promised() -> None:
    assert os.geteuid() == 0
    assert {"cpu", "cpuset", "memory", "pids"} <= set(hosts.controllers())
    assert Path("/sys/fs/cgroup/cgroup.controllers").exists()


def test_a_container_runs_on_a_kernel_without_the_newest_overlay_calls(busybox: str, minirun: MinirunCommand) -> None:
    """Before 6.5 an overlay's layers can't be added one by one (lowerdir+): the other way has to work."""
    assert hosts.kernel_version() < (6, 5), "this test wants an old kernel: Debian 12's"
    done = minirun("run", "--rm", busybox, "sh", "-c", "echo new >/file; cat /file; ls /bin/busybox")
    assert done.stdout == "new\n/bin/busybox\n"


def test_containers_reach_each_other_and_the_host_reaches_them(
    busybox: str, run_container: RunContainer, minirun: MinirunCommand
) -> None:
    port = free_port()
    serve = "echo page >/var/www/index.html; exec httpd -f -h /var/www"
    server = run_container("-p", f"{port}:80", busybox, "sh", "-c", serve)
    until("httpd to listen", listening(port))
    assert subprocess.check_output(["curl", "-fsS", "-m", "60", f"http://127.0.0.1:{port}/"], text=True) == "page\n"
    address = minirun("inspect", "-f", "{{.NetworkSettings.IPAddress}}", server).stdout.strip()
    ask = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 60 {address} 80"  # Debian's static wget crashes everywhere
    assert minirun("run", "--rm", busybox, "sh", "-c", ask).stdout.endswith("\r\n\r\npage\n")


@pytest.mark.no_census  # it installs: /usr/local, /var/lib/minirun and the bridge minirun0 stay
def test_the_provision_script_makes_a_machine_that_runs_containers() -> None:
    # pip and the compiler, emulated, while the host's tests want the same processors: 400 s were too few.
    done = subprocess.run(
        [CHECKOUT / "provision.sh", CHECKOUT], capture_output=True, text=True, timeout=1500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    hello = subprocess.run(
        ["/usr/local/bin/minirun", "run", "--rm", "hello-world"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
    )
    assert hello.returncode == 0, hello.stderr
    assert "Hello from minirun!" in hello.stdout
