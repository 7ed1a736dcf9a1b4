"""The systemd driver with a real systemd: process 1 of namespaces of its own, with a bus of its own, and nothing else to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.systemd import booted
from tests.waiting import until

UNITS = {
    "test.target": "[Unit]\nDefaultDependencies=no\nWants=dbus.socket\n",
    "dbus.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/dbus/system_bus_socket\n",
    "dbus.service": "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\n"
    "[Service]\nType=notify\nExecStart=/usr/bin/dbus-daemon --config-file=/run/units/bus.conf --address=systemd: --nofork\n",
    "bus.conf": "<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>"
    '<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/><allow user="*"/>'
    '<allow send_type="method_call"/></policy></busconfig>',
}
Run = Callable[[str], Any]


@pytest.fixture(scope="module")
def systemd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Boot a systemd; give what runs a Python script beside it and gives what the script calls `answer` with."""
    with booted(tmp_path_factory.mktemp("systemd"), UNITS) as manager:
        until("the bus", lambda: (manager.root / "run/dbus/system_bus_socket").exists())

        def run(script: str) -> Any:
            code = f"{PREAMBLE}\n{script}"
            namespaces = ("--mount", "--pid", "--cgroup")
            return json.loads(manager.run(sys.executable, "-I", "-c", code, namespaces=namespaces))

        run(WAIT_FOR_BUS)
        yield run


PREAMBLE = """
import json, os, subprocess, sys, time
from minirun.errors import *
from minirun.runtime.cgroups import dbus, systemd
from minirun.runtime.cgroups.container import ContainerCgroup
from minirun.runtime.cgroups.hierarchy import Hierarchy
from minirun.runtime.spec import *

def answer(**values):
    print(json.dumps(values))

def place(path, annotations=None):
    return ContainerCgroup.place(Hierarchy.detect(), path, "one", "systemd", annotations)

def container(cgroup, resources=Resources()):
    with cgroup.holder() as holder:
        cgroup.create(resources, holder)
        process = subprocess.Popen(["sleep", "60"])
        cgroup.join(process.pid)
    return process

def show(unit, *names):
    words = ["systemctl", "show", unit, *[f"--property={name}" for name in names]]
    return dict(line.split("=", 1) for line in subprocess.check_output(words, text=True).splitlines())
"""

WAIT_FOR_BUS = """
end = time.monotonic() + 30
def is_there():
    try:
        with dbus.Connection(systemd.SOCKETS[0][0]) as connection:
            return connection.call(*systemd._BUS, "NameHasOwner", "s", systemd._MANAGER[0])[0]
    except OSError:  # a socket that is bound and not listened to yet
        return False
while not is_there():
    assert time.monotonic() < end, "systemd doesn't come to its bus"
    time.sleep(0.02)
answer()
"""


@pytest.mark.parametrize("door", [0, 1], ids=["bus", "private"])
def test_a_container_is_a_scope_in_its_slice(systemd: Run, door: int) -> None:
    """The doors are the bus and systemd's own socket."""
    found = systemd(f"""
systemd.SOCKETS = systemd.SOCKETS[{door}:]
cgroup = place("test-sub.slice:mr:one{door}")
process = container(cgroup)
inside = cgroup.processes() == [process.pid]
unit = show(cgroup.unit, "ActiveState", "Slice", "ControlGroup", "Delegate", "TasksAccounting", "DefaultDependencies")
cgroup.remove()
after = show(cgroup.unit, "ActiveState")
answer(inside=inside, unit=unit, path=cgroup.path, status=process.wait(), exists=cgroup.exists(), after=after)
""")
    path = f"/test.slice/test-sub.slice/mr-one{door}.scope"
    assert found == {
        "inside": True,
        "unit": {
            "ActiveState": "active", "Slice": "test-sub.slice", "ControlGroup": path, "Delegate": "yes",
            "TasksAccounting": "yes", "DefaultDependencies": "no",
        },
        "path": f"/sys/fs/cgroup{path}",
        "status": -9,
        "exists": False,
        "after": {"ActiveState": "inactive"},
    }  # fmt: skip


def test_systemd_knows_the_properties_of_annotations_and_changed_limits(systemd: Run) -> None:
    found = systemd("""
cgroup = place(":mr:two", {"org.systemd.property.TimeoutStopSec": "double 1.5", "org.systemd.property.Description": "'its text'"})
container(cgroup)
before = show(cgroup.unit, "TimeoutStopUSec", "Description", "Slice", "TasksMax")
systemd.set_properties(cgroup.unit, {"TasksMax": ("t", 17), "AllowedCPUs": ("ay", [1])})
after = show(cgroup.unit, "TasksMax", "AllowedCPUs")
cgroup.remove()
answer(before=before, after=after)
""")
    assert found["before"].pop("TasksMax") != "17"
    assert found["before"] == {"TimeoutStopUSec": "1.500000s", "Description": "its text", "Slice": "system.slice"}
    assert found["after"] == {"TasksMax": "17", "AllowedCPUs": "0"}


def test_a_second_unit_of_one_name_and_a_property_that_is_none_are_refused(systemd: Run) -> None:
    found = systemd("""
def refusal(path, **annotations):
    try:
        container(place(path, {f"org.systemd.property.{key}": value for key, value in annotations.items()}))
    except MinirunError as error:
        return [type(error).__name__, str(error)]
first = place(":mr:three")
container(first)
twice = refusal("other.slice:mr:three")
unknown = refusal(":mr:four", NoSuchThing="true")
wrong = refusal(":mr:four", Delegate="'text'")
kept = first.is_populated()
first.remove()
answer(twice=twice, unknown=unknown, wrong=wrong, kept=kept, left=place(":mr:four").exists())
""")
    assert found["twice"][0] == "Conflict"
    assert "mr-three.scope" in found["twice"][1]
    assert [found[key][0] for key in ("unknown", "wrong")] == ["InvalidInput", "InvalidInput"]
    assert "NoSuchThing" in found["unknown"][1]
    assert (found["kept"], found["left"]) == (True, False)


def test_a_container_may_get_a_cgroup_in_its_scope(systemd: Run) -> None:
    found = systemd("""
cgroup = place(":mr:five", {"run.oci.systemd.subgroup": "inner"})
process = container(cgroup)
inside = cgroup.processes() == [process.pid]
outer = os.path.dirname(cgroup.path)
alone = open(f"{outer}/cgroup.procs").read()
cgroup.remove()
answer(inside=inside, path=cgroup.path, alone=alone, left=os.path.exists(outer), status=process.wait())
""")
    path = "/sys/fs/cgroup/system.slice/mr-five.scope/inner"
    assert found == {"inside": True, "path": path, "alone": "", "left": False, "status": -9}


def test_a_failed_start_leaves_no_unit(systemd: Run) -> None:
    found = systemd("""
cgroup = place(":mr:six")
try:
    container(cgroup, Resources(unified={"nothing.max": "1"}))
except NotSupported as error:
    answer(error=str(error), exists=cgroup.exists(), state=show(cgroup.unit, "ActiveState"))
""")
    assert "'nothing'" in found["error"]
    assert (found["exists"], found["state"]) == (False, {"ActiveState": "inactive"})


def test_a_limit_reaches_systemd_and_the_file(systemd: Run) -> None:
    found = systemd("""
cgroup = place(":mr:seven")
have = open("/sys/fs/cgroup/cgroup.controllers").read().split()
container(cgroup, Resources(pids_limit=17 if "pids" in have else -1, huge_pages={"2MB": 1 << 21}))
file = open(f"{cgroup.path}/hugetlb.2MB.max").read()
known = show(cgroup.unit, "TasksMax")
cgroup.remove()
answer(file=file, known=known, expected="17" if "pids" in have else "infinity")
""")
    assert found["file"] == f"{1 << 21}\n"
    assert found["known"] == {"TasksMax": found["expected"]}


def test_without_systemd_the_other_driver_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from minirun.errors import NotSupported
    from minirun.runtime.cgroups import systemd as driver

    monkeypatch.setattr(driver, "SOCKETS", ((f"{tmp_path}/bus", True), (f"{tmp_path}/private", False)))
    with pytest.raises(NotSupported, match=r"no such file or directory.*--cgroup-manager cgroupfs"):
        driver.start("x.scope", "system.slice", os.getpid(), {})


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[str]:
    """Give the socket of a dbus-daemon, which breaks the connection when a message isn't exactly as the specification has it."""
    program = shutil.which("dbus-daemon")
    assert program, "apt-get install dbus-daemon: make test does"
    (tmp_path / "bus.conf").write_text(UNITS["bus.conf"].replace("/run/dbus/system_bus_socket", f"{tmp_path}/bus"))
    words = [program, f"--config-file={tmp_path}/bus.conf", "--nofork", "--nopidfile", "--print-address"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()  # it listens from now on
        yield f"{tmp_path}/bus"
        process.terminate()


def test_every_type_passes_the_bus_as_it_was_sent(bus: str) -> None:
    from minirun.runtime.cgroups import dbus

    sent: list[tuple[str, Any]] = [
        ("y", 255), ("b", True), ("n", -2), ("q", 65535), ("i", -(2**31)), ("u", 2**32 - 1), ("x", -(2**63)), ("t", 2**64 - 1),
        ("d", 1.5), ("s", "grün"), ("o", "/a/b"), ("g", "a{sv}"), ("ay", [1, 2]), ("as", ["", "abc"]), ("at", []),
        ("a(ss)", [("a", "rw")]), ("(yt)", (1, 2)), ("a{sv}", [("k", ("u", 1))]), ("v", ("as", ["x"])), ("aau", [[1], [], [2, 3]]),
    ]  # fmt: skip
    with dbus.Connection(bus, timeout_seconds=10) as connection:
        daemon = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
        # No method takes all of these: the daemon reads the message whole, and then says that it wants something else.
        with pytest.raises(dbus.DBusError) as refused:
            connection.call(*daemon, "RequestName", "".join(kind for kind, _ in sent), *[value for _, value in sent])
        assert refused.value.name == "org.freedesktop.DBus.Error.InvalidArgs"
        assert connection.call(*daemon, "RequestName", "su", "minirun.test", 0) == (1,)
        names = connection.call(*daemon, "ListNames")[0]
        assert "minirun.test" in names
        found: list[tuple[str, Any]] = connection.call(*daemon, "GetConnectionCredentials", "s", "minirun.test")[0]
        credentials = {key: tuple(value) if isinstance(value, list) else value for key, value in dict(found).items()}
        assert credentials["ProcessID"] == os.getpid()
        with pytest.raises(dbus.DBusError, match="nobody"):
            connection.call("nobody.here", "/a", "b.c", "D")
