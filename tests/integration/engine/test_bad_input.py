"""Bad input: one line that says what to do, docker's exit code, nothing left behind (the census of conftest sees to that)."""

from __future__ import annotations

import subprocess

import pytest

# arguments after `minirun`, exit code, words that the one line has to contain
CASES = [
    (["run", "--pull", "never", "no-such-image"], 125, "no-such-image"),
    (["run", "lower/UPPER"], 125, "UPPER"),
    (["run", "--no-such-flag", "busybox"], 125, "unknown flag: --no-such-flag"),
    (["run"], 1, "requires at least 1 argument"),
    (["run", "--name", "a/b", "busybox"], 125, "Invalid container name"),
    (["run", "-p", "70000:80", "busybox"], 125, "70000"),
    (["run", "-p", "80:", "busybox"], 125, "80:"),
    (["run", "-p", "80:80/icmp", "busybox"], 125, "icmp"),
    (["run", "-p", "300.1.1.1:80:80", "busybox"], 125, "300.1.1.1"),
    (["run", "-v", "/a:/b:/c:/d", "busybox"], 125, "/a:/b:/c:/d"),
    (["run", "-v", "/tmp:relative", "busybox"], 125, "relative"),
    (["run", "-v", "/tmp:/x:nonsense", "busybox"], 125, "nonsense"),
    (["run", "-m", "lots", "busybox"], 125, "lots"),
    (["run", "-m", "-5", "busybox"], 125, "-5"),
    (["run", "-m", "1k", "busybox"], 125, "6MB"),
    (["run", "-e", "=x", "busybox"], 125, "invalid environment variable"),
    (["run", "--env-file", "/nonexistent/file", "busybox"], 125, "/nonexistent/file"),
    (["run", "--cpus", "many", "busybox"], 125, "many"),
    (["run", "--cpuset-cpus", "0-2147483647", "busybox"], 125, "0-2147483647"),
    (["run", "--cap-add", "FLYING", "busybox"], 125, "FLYING"),
    (["run", "--ulimit", "nofile=9:1", "busybox"], 125, "nofile"),
    (["run", "--sysctl", "kernel.core_pattern=x", "busybox"], 125, "kernel.core_pattern"),
    (["run", "--sysctl", "kernel.shm_rmid_forced=1+kernel.core_pattern=|/x", "busybox"], 125, "shm_rmid_forced"),
    (["run", "--device", "/dev/no-such-device", "busybox"], 125, "/dev/no-such-device"),
    (["run", "--device", "/etc", "busybox"], 125, 'custom device "/etc": not a device node'),
    (["run", "-v", "/etc:/etc/passwd", "busybox"], 125, "a directory is mounted on a directory, and anything else on what is none"),
    (["run", "--network", "no-such-network", "busybox"], 125, "no-such-network"),
    (["run", "--network", "container:nobody", "busybox"], 125, "nobody"),
    (["run", "--user", "nobody-here", "busybox", "true"], 125, "unable to find user nobody-here"),
    (["run", "--user", "4294967296", "busybox", "true"], 125, "4294967296"),
    (["run", "--workdir", "/bin/sh", "busybox", "true"], 125, "/bin/sh"),
    (["run", "--add-host", "nocolon", "busybox"], 125, "nocolon"),
    (["run", "--log-opt", "max-size=huge", "busybox"], 125, "huge"),
    (["run", "--stop-signal", "NOSUCH", "busybox"], 125, "NOSUCH"),
    (["run", "--security-opt", "nonsense", "busybox"], 125, "nonsense"),
    (["run", "--hostname", "a\nb", "busybox"], 125, "hostname"),
    (["run", "--mount", "type=bind,src=/no/such,dst=/m", "busybox"], 125, "bind source path does not exist: /no/such"),
    (["run", "-v", "/proc:/m:rshared", "busybox", "true"], 125, "/proc is mounted on /proc but it is not a shared mount"),
    (["run", "--network", "container:x", "-p", "80", "busybox"], 125, "port publishing and the container type network mode"),
    (["run", "--network", "container:x", "--expose", "80", "busybox"], 125, "port exposing and the container type network"),
    (["run", "--network", "container:x", "-h", "x", "busybox"], 125, "hostname and the network mode"),
    (["run", "--network", "container:x", "--dns", "1.1.1.1", "busybox"], 125, "dns and the network mode"),
    (["run", "--network", "container:x", "--add-host", "a:1.1.1.1", "busybox"], 125, "host-to-IP mapping and the network mode"),
    (["run", "--network", "none", "--mac-address", "02:42:ac:11:00:02", "busybox"], 125, "mac-address and the network mode"),
    (["run", "--group-add", "5", "--group-add", "nobodies", "busybox", "true"], 125, "unable to find group nobodies: no"),
    (["run", "--disable-content-trust=false", "busybox"], 125, "there is no content trust"),
    (["run", "busybox", ""], 127, 'exec: "": executable file not found in $PATH'),
    (["kill", "-s", "NOSUCH", "nobody"], 1, "No such container: nobody"),
    (["run", "busybox", "no-such-command"], 127, 'exec: "no-such-command": executable file not found in $PATH'),
    (["run", "busybox", "/no/such/command"], 127, "no such file or directory"),
    (["run", "busybox", "/etc/passwd"], 126, "permission denied"),
    (["run", "busybox", "/etc"], 126, 'exec: "/etc"'),
    (["stop", "nobody"], 1, "No such container: nobody"),
    (["start", "nobody"], 1, "No such container: nobody"),
    (["rm", "nobody"], 1, "No such container: nobody"),
    (["kill", "nobody"], 1, "Error: cannot kill container: nobody: No such container: nobody"),
    (["logs", "nobody"], 1, "No such container: nobody"),
    (["exec", "nobody", "true"], 1, "No such container: nobody"),
    (["attach", "nobody"], 1, "No such container: nobody"),
    (["wait", "nobody"], 1, "No such container: nobody"),
    (["inspect", "nobody"], 1, "No such object: nobody"),
    (["rmi", "no-such-image"], 1, "No such image: no-such-image"),
    (["load", "-i", "/nonexistent.tar"], 1, "/nonexistent.tar"),
    (["import", "/nonexistent.tar"], 1, "/nonexistent.tar"),
    (["frobnicate"], 1, "frobnicate"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "code", "words"), CASES, ids=[" ".join(case[0])[:60] for case in CASES])
def test_bad_input_gives_one_line_and_dockers_exit_code(minirun, busybox, arguments, code, words):
    done = minirun(*arguments, check=False)
    assert "Traceback" not in done.stderr
    assert words in done.stderr
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if line and not line.startswith("See '")]
    assert len(lines) == 1, done.stderr
    assert minirun("ps", "-a", "-q").stdout == "" or arguments[0] == "run"
    leftovers = minirun("ps", "-a", "-q").stdout.split()
    if leftovers:  # as with docker, a container whose command could not be started stays, unless --rm was given
        assert code in (125, 126, 127)
        minirun("rm", *leftovers)


def test_a_name_that_is_taken_is_refused_and_the_first_container_is_untouched(minirun, busybox):
    minirun("run", "--name", "taken", busybox, "true")
    try:
        done = minirun("run", "--name", "taken", busybox, "true", check=False)
        assert done.returncode == 125
        assert 'The container name "/taken" is already in use by container' in done.stderr
    finally:
        minirun("rm", "taken")


def test_without_root_one_line_says_so(minirun):
    program, *rest = minirun.words
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, *rest, "ps"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "root" in done.stderr
    assert len(done.stderr.splitlines()) == 1
