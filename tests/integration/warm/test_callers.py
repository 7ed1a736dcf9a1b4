"""Awkward callers: each calls the same commands cold and warm, and everything that it can observe is equal.

A caller is a shell line in which "$@" is the command. What a worker has to take on is seen by a container that `minirun-oci run`
starts: it inherits what the runtime's process has.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import hosts
from tests.waiting import until

TRACER = """
import ctypes, os, sys
ptrace = ctypes.CDLL(None).ptrace
if (pid := os.fork()) == 0:
    ptrace(0, 0, 0, 0)  # PTRACE_TRACEME
    os.execv(sys.argv[1], sys.argv[1:])
while os.WIFSTOPPED(status := os.waitpid(pid, 0)[1]):
    number = os.WSTOPSIG(status)
    ptrace(7, pid, 0, 0 if number == 5 else number)  # PTRACE_CONT, after exec without its SIGTRAP
sys.exit(os.waitstatus_to_exitcode(status))
"""
SUBREAPER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
os.execv(sys.argv[1], sys.argv[1:])
"""
WARM = {  # served by a worker, which must be like the caller's own process
    "plain": 'exec "$@"',
    "no stdin": 'exec "$@" <&-',
    "no stdout": 'exec "$@" >&-',
    "no stderr": 'exec "$@" 2>&-',
    "no streams": 'exec "$@" <&- >&- 2>&-',
    "stdout that is full": 'exec "$@" >/dev/full',
    "stderr that is full": 'exec "$@" 2>/dev/full',
    "a reader that has gone": '(sleep 0.2; exec "$@") | true; echo "${PIPESTATUS[@]}"',
    "a reader of one line": '"$@" | head -n 1',
    "process substitution": 'exec "$@" 7< <(echo seven) 9>/dev/null',
    "a child that ends meanwhile": 'sleep 0.002 & exec "$@"',
    "numbers far apart": 'exec "$@" 200</dev/null',
    "a mask of modes": 'umask 077; exec "$@"',
    "few descriptors": 'ulimit -n 500; exec "$@"',
    "hard limits": 'ulimit -Hc 0; ulimit -Hs 8192; exec "$@"',
    "a file size limit": 'ulimit -f 1000; exec "$@"',
    "little address space": 'ulimit -v 40000; exec "$@"',
    "nice": 'exec nice -n 7 "$@"',
    "other groups": 'exec setpriv --groups 4,20 "$@"',
    "one processor": 'exec taskset -c 0 "$@"',
    "batch scheduling": 'exec chrt -b 0 "$@"',
    "idle I/O": 'exec ionice -c 3 "$@"',
    "another out-of-memory score": 'echo 300 >/proc/self/oom_score_adj; exec "$@"',
    "another core dump filter": 'echo 0x7f >/proc/self/coredump_filter; exec "$@"',
    "ignored signals": 'trap "" INT QUIT HUP USR1; exec "$@"',
    "background": '"$@" & wait $!',
    "nohup": 'exec nohup "$@" </dev/null 2>&1',
    "timeout": 'exec timeout 50 "$@"',
    "setsid": 'exec setsid -w "$@"',
    "no environment": 'exec env -i MINIRUN_WARM="$MINIRUN_WARM" PATH=/bin:/usr/bin "$@"',
    "odd variables": 'exec env A= "B=x=y" "weird name=1" LANG=C "LC_CTYPE=" "$@"',
    "a locale that isn't there": 'exec env LC_ALL=xx_YY.ISO-8859-1 "$@"',
    "the C locale": 'exec env LC_ALL=C "$@"',
    "a time zone": 'exec env TZ=Asia/Tokyo "$@"',
    "bytes that aren't UTF-8": r"""exec env V=$'\xff\xfe' "$@" $'\xff'""",
    "a deleted directory": 'mkdir gone; cd gone; rmdir ../gone; exec "$@"',
    "a loop": 'for i in 1 2 3; do "$@" || echo "$?"; done',
    "a megabyte of words": 'exec xargs -a "$WORDS" "$@"',
    "a megabyte of variables": 'for i in {1..10}; do export V$i="$(head -c 100000 /dev/zero | tr "\\0" x)"; done; exec "$@"',
    "a socket of a service manager": 'export LISTEN_FDS=1; exec "$@" 3</dev/null',
    "a limit of processor time": 'ulimit -t 20; exec "$@"',
    "a job of a service": 'export INVOCATION_ID=1; exec "$@"',
}
COLD = {  # other rights, or another view of the system: the caller's own process does it
    "another network": 'exec unshare -n "$@"',
    "a named network": 'ip netns add "$NAME"; ip netns exec "$NAME" "$@"; code=$?; ip netns delete "$NAME"; exit $code',
    "other mounts": 'exec unshare -m "$@"',
    "another host name": 'exec unshare -u "$@"',
    "other processes": 'exec unshare -p -f "$@"',
    "processes of children elsewhere": 'exec unshare -i "$@"',
    "another time": 'exec unshare -T "$@"',
    "another cgroup root": 'exec unshare -C "$@"',
    "another user namespace": 'exec unshare -U -r "$@"',
    "a capability less": 'exec capsh --drop=cap_sys_time -- -c \'exec "$@"\' sh "$@"',
    "an inheritable capability": 'exec setpriv --inh-caps +sys_time "$@"',
    "no new privileges": 'exec setpriv --no-new-privs "$@"',
    "another user": 'exec setpriv --reuid 1000 --clear-groups "$@"',
    "another group": 'exec setpriv --regid 5 --keep-groups "$@"',
    "another root": 'exec unshare -m sh -c \'mount --rbind / /mnt; exec chroot /mnt "$@"\' sh "$@"',
    "secure bits": 'exec setpriv --securebits +noroot "$@"',
    "a preloaded library": 'exec env LD_PRELOAD= "$@"',
    "an allocator's settings": 'exec env MALLOC_ARENA_MAX=1 "$@"',
    "another personality": 'exec setarch -R "$@"',
    "the main process of a service": 'INVOCATION_ID=1 exec setsid -w "$@"',
    "a tracer": f"exec {sys.executable} -I -c '{TRACER}' \"$@\"",
    "a file size limit below what is asked": 'ulimit -f 1; exec env LONG="$(head -c 2000 /dev/zero | tr "\\0" x)" "$@"',
    "a subreaper": f"exec {sys.executable} -I -c '{SUBREAPER}' \"$@\"",
}
LINES = WARM | COLD

DIFFERS_ANYWAY = re.compile(rb"""(?m)^MINIRUN_WARM=.*\n|^time="[^"]*" """)

PROBE = """
exec 2>&1
grep -E '^(SigIgn|SigBlk|Umask|Cpus_allowed_list|CapEff|NoNewPrivs|Groups)' /proc/self/status
cat /proc/self/limits /proc/self/oom_score_adj /proc/self/timerslack_ns /proc/self/coredump_filter
cut -d ' ' -f 19,41 /proc/self/stat
for fd in /proc/self/fd/*; do echo "${fd##*/}"; done | sort -n | tr '\\n' ' '
env | sort
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle whose container says what its process has, and whose hook says what environment and directory it got."""
    place = tmp_path / "bundle"
    (place / "rootfs/bin").mkdir(parents=True)
    for name in ("proc", "dev"):
        (place / "rootfs" / name).mkdir()
    shutil.copy("/bin/busybox", place / "rootfs/bin/busybox")
    for name in ("sh", "grep", "cat", "cut", "sort", "tr", "env", "ionice"):
        (place / "rootfs/bin" / name).symlink_to("busybox")
    hook = f"exec >{place}/hook; tr '\\0' '\\n' </proc/self/environ; umask"
    config = {
        "ociVersion": "1.2.0",
        "process": {"args": ["sh", "-c", PROBE], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}},
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]},
        "hooks": {"prestart": [{"path": "/bin/sh", "args": ["sh", "-c", hook]}]},
    }
    (place / "config.json").write_text(json.dumps(config))
    return place


def observe(line: str, words: list[str], environment: dict[str, str], place: Path, hook: Path | None = None):
    """Call once and give all that there is to see."""
    if hook is not None:
        hook.unlink(missing_ok=True)
    done = subprocess.run(
        ["bash", "-c", line, "bash", *words],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=100, check=False, cwd=place, env=environment,
    )  # fmt: skip
    said = hook.read_bytes() if hook is not None and hook.exists() else b""
    return done.returncode, *(DIFFERS_ANYWAY.sub(b"", output) for output in (done.stdout, done.stderr, said))


@pytest.mark.parametrize("name", LINES)
def test_a_caller_sees_no_difference(installed, bundle, tmp_path, name):
    words_file = tmp_path / "words"
    words_file.write_text("version \n" if "words" not in name else "word\n" * 200_000)
    oci = [installed.program("minirun-oci"), "--root", str(tmp_path / "state")]
    commands = {
        "version": [installed.program(), "version"],
        "an error": [installed.program(), "run", "--nonsense"],
        "a list": [*oci, "list"],
        "a container": [*oci, "run", "--bundle", str(bundle), "box"],
    }
    left_out = {"a container"} if name in ("a megabyte of words", "another user", "another user namespace") else set()
    if name in COLD:  # whoever calls is refused before anybody has read the words
        left_out |= {"an error"} if left_out else {"an error", "a list"}
    chosen = {what: words for what, words in commands.items() if what not in left_out}
    for what, words in chosen.items():
        seen = {}
        for warm in (False, True):
            environment = {
                **installed.environment(warm=warm),
                "WORDS": str(words_file),
                "NAME": f"minirun-{os.getpid()}",
            }
            installed.ran_cold()
            seen[warm] = observe(LINES[name], words, environment, tmp_path, bundle / "hook")
            if warm and name in WARM:
                assert not installed.ran_cold(), f"{what} ran cold"
            elif warm and "root" not in name and name != "another user":  # they can't leave a mark
                assert installed.ran_cold(), f"{what} was served by a worker"
        assert seen[True] == seen[False], what


# What a process may ask for itself is inherited across exec, where the kernel has it: no memory both written and executed (MDWE),
# memory from node 0 alone. prctl(2), set_mempolicy(2)
ASKED = {
    "no executable memory": ("libc.prctl(65, 1, 0, 0, 0)", hosts.has("kernel>=6.3")),
    "memory of a node": (
        f"libc.syscall({'238' if hosts.has('x86_64') else '237'}, 2, (ctypes.c_ulong * 1)(1), 2)",
        os.path.exists("/proc/self/numa_maps"),
    ),
}


@pytest.mark.parametrize("what", ASKED)
def test_what_a_worker_can_not_ask_for_runs_cold(installed, what):
    call, is_possible = ASKED[what]
    script = f"import ctypes, os, sys; libc = ctypes.CDLL(None); {call}; os.execv(sys.argv[1], sys.argv[1:])"
    words = [sys.executable, "-I", "-c", script, installed.program(), "version"]
    subprocess.run(words, check=True, capture_output=True, env=installed.environment(), timeout=60)
    assert installed.ran_cold() == is_possible


def test_a_container_prints_what_it_was_made_to(installed, bundle, tmp_path):
    """The probe says something: two empty outputs would be equal, too."""
    words = [installed.program("minirun-oci"), "--root", str(tmp_path / "state"), "run", "--bundle", str(bundle), "box"]
    code, output, _, hook = observe(
        'umask 027; exec nice -n 3 "$@"', words, installed.environment(), tmp_path, bundle / "hook"
    )
    assert code == 0
    assert b"Max open files" in output
    assert b"\n3 " in output
    assert b"0027" in hook
    assert b"PATH=" in hook
    assert not installed.ran_cold()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_directory_is_no_stream_as_it_is_none_to_a_cold_command(installed, tmp_path, number):
    """The interpreter ends, with words that have an address in them."""
    words = [
        "bash",
        "-c",
        f'exec "$@" {number}</',
        "bash",
        installed.program(),
        "--root",
        str(tmp_path),
        "volume",
        "ls",
    ]
    installed.run("version")
    until("one that has made its streams ahead", installed.spares)
    seen = []
    for warm in (False, True):
        done = subprocess.run(words, capture_output=True, check=False, env=installed.environment(warm=warm), timeout=60)
        seen.append((done.returncode, done.stdout))
    assert seen[0] == seen[1]
    assert seen[0] == (1, b"")


def test_a_full_descriptor_table_is_no_trouble(installed):
    limit = 600
    opened = [os.dup(0) for _ in range(300)]
    try:
        for descriptor in opened:
            os.set_inheritable(descriptor, True)
        done = installed.run("version", close_fds=False)
        assert installed.ran_cold()  # more than go along in a message
        assert len(opened) < limit
        assert "Version" in done.stdout
    finally:
        for descriptor in opened:
            os.close(descriptor)


def test_fifty_callers_at_once_are_all_served(installed):
    commands = [
        subprocess.Popen([installed.program(), "version"], env=installed.environment(), stdout=subprocess.PIPE)
        for _ in range(50)
    ]
    assert len({command.communicate(timeout=60)[0] for command in commands}) == 1
    assert {command.returncode for command in commands} == {0}
    assert not installed.ran_cold()
