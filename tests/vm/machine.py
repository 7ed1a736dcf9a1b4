"""One virtual machine per session: Debian's own kernel in software emulation, on a copy-on-write view of this root file system.

Owns: finding the kernel, the command that boots it, its time limit and its end. Leaves to others: which tests run in it
(plugin), what the guest does first (guest.sh), how results come back (results).

Software emulation on purpose: it works wherever QEMU does, in a virtual machine without nested virtualization too. It is about ten
times slower than the host, so nothing in it is timed. MINIRUN_TEST_KVM=1 uses KVM, for those who know that theirs works. Writes of
the guest go to its memory, but for one directory of results.
"""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.vm import results
from tests.waiting import until

CHECKOUT = Path(__file__).resolve().parent.parent.parent
WITH_KVM = os.environ.get("MINIRUN_TEST_KVM") == "1"
TIME_LIMIT_SECONDS = 3600.0  # three times what the whole suite takes on two processors

# Drivers that a machine without their hardware probes for seconds.
USELESS_MODULES = "kvm,kvm_amd,kvm_intel,powernow_k8,ahci,sr_mod,i6300esb,iTCO_wdt,psmouse,pcspkr,i2c_i801,lpc_ich"

# An emulated processor that is kept waiting counts too few ticks of its timer, and the kernel would panic; its time-stamp counters
# differ by what keeps it waiting, and the kernel would read a slow clock in their place. Nothing is attacked here, and no cipher
# is in use. kernel-parameters.txt
PARAMETERS = f"module_blacklist={USELESS_MODULES} no_timer_check tsc=reliable mitigations=off cryptomgr.notests"

# What is slow in emulation, and what programs do without where a processor lacks it: moving bytes one by one (erms, fsrm), a fifth
# level of page tables (la57), and two ways of translating each address (smap).
PROCESSOR = "max,erms=off,fsrm=off,la57=off,smap=off"

# virtme-ng has six devices of one port each. Room for 31 in each would have QEMU wait at 400 descriptors, again and again.
PORTS = "-global virtio-serial-device.max_ports=2"

# The host's files once more, for guest.sh to mount with a cache: virtme-ng's own mount has none.
KEPT = (
    "-fsdev local,id=kept,path=/,security_model=none,readonly=on,multidevs=remap "
    "-device virtio-9p-pci,fsdev=kept,mount_tag=kept"
)


def hardware() -> str:
    """Give what QEMU is told of the machine, beside what virtme-ng tells it; the last `-cpu` counts."""
    options = [KEPT, PORTS]
    if os.uname().machine == "x86_64" and not WITH_KVM:
        options.append(f"-cpu {PROCESSOR}")
    return " ".join(options)


class MachineError(Exception):
    """The machine could not be booted, or it ended without the result that was asked for."""


def kernel() -> Path:
    """Give the newest kernel in /boot that has its modules beside it."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine)
    found = [path for path in Path("/boot").glob("vmlinuz-*") if Path("/lib/modules", path.name[8:]).is_dir()]
    found = [path for path in found if path.name.endswith((f"-{machine}", "-generic"))]
    if not found:
        raise MachineError(f"no kernel with modules in /boot: apt-get install linux-image-{machine}")
    return max(found, key=lambda path: path.stat().st_mtime)


class Machine:
    """A machine that boots at once, runs the given tests and powers itself off."""

    def __init__(self, directory: Path, tests: list[str]) -> None:
        self.directory = directory
        self.results = str(directory / "results.jsonl")
        self.console = directory / "console.log"
        (directory / "tests").write_text("\n".join(tests) + "\n")
        self._write_environment()
        self._copy_archives("busybox", "hello-world")
        vng = Path(sys.executable).parent / "vng"
        if not vng.exists():
            raise MachineError(f"{vng} is missing: make test installs it")
        inside = f"exec bash {shlex.quote(str(CHECKOUT / 'tests/vm/guest.sh'))} {shlex.quote(str(directory))}"
        command = [str(vng), "--run", str(kernel()), "--verbose", "--disable-microvm", "--force-9p"]
        command += [] if WITH_KVM else ["--disable-kvm"]
        command += ["--cpus", "2", "--memory", "2G", "--cwd", str(CHECKOUT), "--rwdir", str(directory)]
        command += [f"--qemu-opts={hardware()}", "--append", PARAMETERS, "--exec", inside]
        environment = {**os.environ, "PATH": f"{vng.parent}:{os.environ['PATH']}"}
        self.deadline = time.monotonic() + TIME_LIMIT_SECONDS
        self.pidfd = self._start(command, environment)

    def _start(self, command: list[str], environment: dict[str, str]) -> int:
        """Start the machine as nobody's child: tests count theirs, and the census counts processes below this one.

        Before it boots, what its tests need of C is compiled here, which would take minutes there.
        """
        pid_file = self.directory / "pid"
        drivers = self.directory / "drivers"
        drivers.mkdir()
        compile_them = shlex.join([sys.executable, "-m", "tests.drivers", str(drivers)])
        limit = ["timeout", "--kill-after=5", f"{TIME_LIMIT_SECONDS + 20:.0f}"]  # whatever becomes of us, it ends
        script = f'echo $$ >{shlex.quote(str(pid_file))}; {compile_them} && exec "$@"'
        with (self.directory / "output.log").open("wb") as output, self.console.open("wb") as console:
            subprocess.run(
                ["setsid", "--fork", "sh", "-c", script, "sh", *limit, *command],
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=console,
                env=environment,
                check=True,
            )
        text = until("the machine's process id", lambda: pid_file.exists() and pid_file.read_text().strip())
        self.pid = int(text or 0)
        return os.pidfd_open(self.pid)

    def has_ended(self, *, within_seconds: float = 0.0) -> bool:
        """Say whether the machine's process has ended; wait for it if asked to. pidfd_open(2)."""
        ready, _, _ = select.select([self.pidfd], [], [], within_seconds)
        return bool(ready)

    def _write_environment(self) -> None:
        """The guest has no network: what it builds takes its packages from the directory that make filled."""
        variables = {
            "CI": os.environ.get("CI", ""),
            "MINIRUN_TEST_RESULTS": self.results,
            "MINIRUN_TEST_PYTHON": sys.executable,
            "XDG_CACHE_HOME": str(self.directory / "cache"),
            "MINIRUN_TEST_DRIVERS": str(self.directory / "drivers"),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(Path(sys.prefix) / "wheels"),
        }
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        (self.directory / "environment").write_text("\n".join(lines) + "\n")

    def _copy_archives(self, *names: str) -> None:
        """Hand the archives of fixtures in: the guest's own /var/cache is empty."""
        cache = self.directory / "cache" / "minirun-fixtures"
        cache.mkdir(parents=True)
        done = subprocess.run(
            [CHECKOUT / "rootfs-fixtures/fixture.py", "archive", *names], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise MachineError(done.stderr.strip())
        for path in done.stdout.split():
            shutil.copy(path, cache)

    def result(self, nodeid: str) -> results.Result:
        """Wait until a test is over and give its result. Raises MachineError when the machine ended or hung before."""
        while True:
            ended = self.has_ended()
            known, finished = results.read(self.results)
            if nodeid in finished and nodeid in known:
                return known[nodeid]
            if ended:
                raise MachineError(f"the virtual machine ended before {nodeid} did.\n{self.tail()}")
            if time.monotonic() > self.deadline:
                raise MachineError(
                    f"the virtual machine has not finished {nodeid} after {TIME_LIMIT_SECONDS:.0f} s.\n{self.tail()}"
                )
            time.sleep(0.2)

    def tail(self) -> str:
        """Give the end of what the guest printed and of its kernel's log."""
        parts = []
        for path in (self.directory / "output.log", self.console):
            text = path.read_text(errors="replace")
            parts.append(f"---- {path.name}\n" + "\n".join(text.splitlines()[-40:]))
        return "\n".join(parts)

    def close(self) -> None:
        """Give the machine a moment to power itself off, then end it."""
        if not self.has_ended(within_seconds=max(0.0, min(20.0, self.deadline - time.monotonic()))):
            os.killpg(self.pid, signal.SIGKILL)
        os.close(self.pidfd)
