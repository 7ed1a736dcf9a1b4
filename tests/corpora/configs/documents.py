"""Documents in the shape of the specification's schema, right and wrong in about every way.

Owns: the shape (written after schema/*.json), values that are hostile. Leaves to others: what may become of them.

A leaf is a list of values that are right for it. A document takes some keys of each object; a few of its leaves, and now
and then a whole branch, are replaced by something that has no place there.
"""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import strategies as st

from minirun.linux import flags

ID, UINT32, UINT64 = [0, 1000, 2**32 - 2], [0, 1, 2**32 - 1], [0, 1, 2**64 - 1]
INT64 = [-1, 0, 1, 2**63 - 1]
BOOL = [True, False]
TEXT = ["a", "", "é", "x" * 300]
PATH = ["/a", "/proc/1/ns/net", "/a/../b", "/dev/x"]
CPUS = ["", "0", "0-3,7"]
CAPABILITIES = ["CAP_KILL", "cap_chown"]
ACTIONS = ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE"]
OPTIONS = [
    *("ro", "rw", "rro", "noatime", "rbind", "bind", "rslave", "shared", "sync", "async", "remount", "mode=755,size=1"),
    *("idmap", "ridmap=uids=0-1-2;gids=0-1-2", "idmap=uids=@0-1-2;gids=@0-1-2", "tmpcopyup", "x-a", "defaults"),
]


class Many:
    """An array of up to three items of one shape."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


class Named:
    """An object whose keys are names, out of those given or any."""

    def __init__(self, shape: Any, *names: str) -> None:
        self.shape, self.names = shape, list(names) or ["a", "eth0", "mlx5_1", "org.example"]


HOOK = {"path": PATH, "args": Many(TEXT), "env": Many(["A=b"]), "timeout": [1, 5]}
MAPPING = Many({"containerID": ID, "hostID": ID, "size": [1, 10]})
DEVICE = {"major": [8, -1], "minor": [0, -1]}
THROTTLE = Many({**DEVICE, "rate": UINT64})
RESOURCES = {
    "memory": {
        **dict.fromkeys(("limit", "reservation", "swap", "kernel", "kernelTCP"), INT64),
        "swappiness": [60],
        "disableOOMKiller": BOOL,
        "useHierarchy": BOOL,
        "checkBeforeUpdate": BOOL,
    },
    "cpu": {
        **dict.fromkeys(("shares", "period", "burst", "realtimePeriod"), UINT64),
        "quota": INT64,
        "realtimeRuntime": INT64,
        "cpus": CPUS,
        "mems": CPUS,
        "idle": [0, 1],
    },
    "pids": {"limit": INT64},
    "blockIO": {
        "weight": [0, 10, 1000],
        "leafWeight": [0, 10],
        "weightDevice": Many({**DEVICE, "weight": [10], "leafWeight": [0]}),
        **{f"throttle{kind}Device": THROTTLE for kind in ("ReadBps", "WriteBps", "ReadIOPS", "WriteIOPS")},
    },
    "hugepageLimits": Many({"pageSize": ["2MB", "1GB", "64KB"], "limit": UINT64}),
    "network": {"classID": UINT32, "priorities": Many({"name": ["eth0"], "priority": UINT32})},
    "rdma": Named({"hcaHandles": UINT32, "hcaObjects": UINT32}),
    "unified": Named(["max", "8:0 rbps=1\n8:16 rbps=2"], "memory.high", "io.max"),
    "devices": Many({"allow": BOOL, "type": ["a", "b", "c"], **DEVICE, "access": ["r", "rwm", ""]}),
}
PROCESS = {
    "terminal": BOOL,
    "consoleSize": {"height": [25], "width": [80, 65535]},
    "user": {"uid": ID, "gid": ID, "umask": [0, 0o777], "additionalGids": Many(ID)},
    "args": Many(["sh", "-c"]),
    "env": Many(["PATH=/bin", "A=", "A=b\nc"]),
    "cwd": PATH,
    "capabilities": {
        key: Many(CAPABILITIES) for key in ("bounding", "effective", "permitted", "inheritable", "ambient")
    },
    "rlimits": Many(
        {"type": [f"RLIMIT_{name.upper()}" for name in flags.RLIMITS], "soft": [0, 1], "hard": [1, 2**64 - 1]}
    ),
    "noNewPrivileges": BOOL,
    "oomScoreAdj": [-1000, 0, 1000],
    "apparmorProfile": TEXT,
    "selinuxLabel": TEXT,
    "scheduler": {
        "policy": ["SCHED_FIFO", "SCHED_DEADLINE", "SCHED_DEADLINE"],
        "nice": [-20, 0],
        "priority": [0, 0, 99],
        "flags": Many(["SCHED_FLAG_RECLAIM"]),
        "runtime": UINT64,
        "deadline": UINT64,
        "period": UINT64,
    },
    "ioPriority": {"class": ["IOPRIO_CLASS_RT", "IOPRIO_CLASS_IDLE"], "priority": [0, 7]},
    "execCPUAffinity": {"initial": CPUS, "final": CPUS},
}
SECCOMP = {
    "defaultAction": ACTIONS,
    "defaultErrnoRet": [1, 38],
    "architectures": Many(["SCMP_ARCH_X86", "SCMP_ARCH_S390"]),
    "flags": Many(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]),
    "listenerPath": PATH,
    "listenerMetadata": TEXT,
    "syscalls": Many(
        {
            "names": Many(["read", "mkdir", "no_such_call"]),
            "action": ACTIONS,
            "errnoRet": [0, 5],
            "args": Many(
                {"index": [0, 5], "value": UINT64, "valueTwo": UINT64, "op": ["SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"]}
            ),
        }
    ),
}
LINUX = {
    "namespaces": Many({"type": list(flags.NAMESPACES), "path": ["", "/proc/self/ns/net", "/nowhere"]}),
    "uidMappings": MAPPING,
    "gidMappings": MAPPING,
    "timeOffsets": Named({"secs": [-5, 5], "nanosecs": [0, 999_999_999]}, "monotonic", "boottime"),
    "devices": Many(
        {"type": ["c", "b", "u", "p"], "path": PATH, **DEVICE, "fileMode": [0o666, 0o20660], "uid": ID, "gid": ID}
    ),
    "netDevices": Named({"name": ["eth0", "e%d"]}),
    "cgroupsPath": ["/a/b", "a:b:c", ""],
    "resources": RESOURCES,
    "intelRdt": [None],
    "sysctl": Named(["1", "1 2"], "net.ipv4.ip_forward", "kernel.sem", "net/ipv4/conf/a.b/x", "vm.swappiness"),
    "seccomp": SECCOMP,
    "rootfsPropagation": ["shared", "rslave", ""],
    "maskedPaths": Many(PATH),
    "readonlyPaths": Many(PATH),
    "mountLabel": TEXT,
    "personality": {"domain": ["LINUX", "LINUX32"], "flags": Many(["X"])},
    "memoryPolicy": {"mode": ["MPOL_BIND", "MPOL_LOCAL"], "nodes": CPUS, "flags": Many(["MPOL_F_STATIC_NODES"])},
}
DOCUMENT = {
    "ociVersion": ["1.0.0", "1.2.0-rc.1"],
    "process": PROCESS,
    "root": {"path": ["rootfs", "/r"], "readonly": BOOL},
    "hostname": ["h", ""],
    "domainname": ["d", ""],
    "mounts": Many(
        {
            "destination": [*PATH, "tmp"],
            "type": ["tmpfs", "proc", "none", "bind", ""],
            "source": TEXT,
            "options": Many(OPTIONS),
            "uidMappings": MAPPING,
            "gidMappings": MAPPING,
        }
    ),
    "hooks": {
        key: Many(HOOK)
        for key in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    },
    "annotations": Named(TEXT),
    "linux": LINUX,
}
REQUIRED = {
    *("ociVersion", "process", "root", "path", "args", "cwd", "destination", "type", "policy", "class", "allow", "op"),
    *("containerID", "hostID", "size", "soft", "hard", "index", "value", "names", "action", "defaultAction", "mode"),
    *("major", "minor", "rate", "weight", "pageSize", "limit", "domain", "height", "width"),
}

HOSTILE: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 1e308, 2**31, 2**32 - 1, 2**32, 2**63, 2**64, -(2**63) - 1, 10**400),
    *(
        "",
        "\0",
        "a\0b",
        "\n",
        "a\nb",
        "..",
        "../..",
        "/..",
        "\ud800",
        "\x1b[2J",
        "\u202e",
        "é",
        "-1",
        "1e5",
        "x" * 5000,
    ),
    *("net.x\nkernel.core_pattern", "net.//.kernel.x", "idmap=uids=", "0-99999999999999999999", "%s%s%n", "a,b", "'\""),
    *([], {}, [[]], [None], {"": None}, {"\0": 1}, {"a\nb": {"a": "b"}}, {"..": "x"}, {"\ud800": "x"}, [{"": []}]),
]


@st.composite
def documents(draw: st.DrawFn, shape: Any = DOCUMENT) -> Any:
    """Give a document; about every fourth one is left without a fault put in on purpose."""
    faults = draw(st.sampled_from([0.0, 0.005, 0.02, 0.1]))
    # One number for a whole document: drawn one by one, hypothesis would make most choices the first one, a fault.
    random = Random(draw(st.integers(0, 2**32)))

    def grow(shape: Any, top: bool = False) -> Any:
        if not top and random.random() < faults:
            return random.choice(HOSTILE)
        if isinstance(shape, dict):
            return {key: grow(value) for key, value in shape.items() if key in REQUIRED or random.random() < 0.3}
        if isinstance(shape, Many):
            return [grow(shape.shape) for _ in range(random.randint(1 if faults < 0.1 else 0, 3))]
        if isinstance(shape, Named):
            names = random.sample(shape.names, random.randint(0, len(shape.names)))
            if random.random() < faults:
                names.append(random.choice([name for name in HOSTILE if isinstance(name, str)]))
            return {name: grow(shape.shape) for name in names}
        return random.choice(shape)

    return grow(shape, top=True)
