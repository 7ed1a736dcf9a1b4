"""features.md and features-linux.md: what the runtime says of itself is what it accepts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.bundles import Box, Runtime

MUST_OPTIONS = {
    *(
        "async",
        "atime",
        "bind",
        "defaults",
        "dev",
        "diratime",
        "dirsync",
        "exec",
        "iversion",
        "lazytime",
        "loud",
        "noatime",
    ),
    *("nodev", "nodiratime", "noexec", "noiversion", "nolazytime", "norelatime", "nostrictatime", "nosuid", "private"),
    *("rbind", "relatime", "remount", "ro", "rprivate", "rshared", "rslave", "runbindable", "rw", "shared", "silent"),
    *("slave", "strictatime", "suid", "sync", "unbindable"),
}


@pytest.fixture(scope="module")
def features(runtime: Runtime) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(runtime("features").stdout)
    return found


def test_both_versions_are_accepted(box: Box, features) -> None:
    for key in ("ociVersionMin", "ociVersionMax"):
        box.config["ociVersion"] = features[key]
        assert box.shell("echo fine") == "fine"
    assert features["ociVersionMin"] <= features["ociVersionMax"]


def test_all_hooks_and_all_options_that_must_be_known_are(features) -> None:
    hooks = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    assert set(hooks) <= set(features["hooks"])
    assert set(features["mountOptions"]) >= MUST_OPTIONS


def test_all_namespaces_actions_and_operators_are_there(features) -> None:
    linux = features["linux"]
    assert set(linux["namespaces"]) == {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"}
    assert "CAP_CHECKPOINT_RESTORE" in linux["capabilities"]
    names = ["ALLOW", "ERRNO", "KILL", "KILL_PROCESS", "KILL_THREAD", "LOG", "NOTIFY", "TRACE", "TRAP"]
    assert {f"SCMP_ACT_{name}" for name in names} <= set(linux["seccomp"]["actions"])
    names = ["EQ", "GE", "GT", "LE", "LT", "MASKED_EQ", "NE"]
    assert {f"SCMP_CMP_{name}" for name in names} == set(linux["seccomp"]["operators"])


def test_memory_policies_are_those_of_the_specification(features) -> None:
    found = features["linux"]["memoryPolicy"]
    names = ["DEFAULT", "BIND", "INTERLEAVE", "WEIGHTED_INTERLEAVE", "PREFERRED", "PREFERRED_MANY", "LOCAL"]
    assert set(found["modes"]) == {f"MPOL_{name}" for name in names}
    assert set(found["flags"]) == {"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"}


def test_every_mount_option_of_the_list_is_recognized(box: Box, features) -> None:
    """No option of the list may reach the file system, which would refuse it."""
    apart = ("bind", "rbind", "remount", "idmap", "ridmap", "tmpcopyup", "mand")
    options = [name for name in features["mountOptions"] if name not in apart]
    for number, option in enumerate(options):
        box.mount(f"/place/{number}", "tmpfs", "tmpfs", option)
    assert box.shell("grep -c ' /place/' /proc/mounts") == str(len(options))
