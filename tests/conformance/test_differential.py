"""The same bundle under minirun-oci, runc and crun: what a program sees of itself, compared field by field.

Owns: the bundles, the fields, and `ACCEPTED`: each difference that is known, with its reason. Anything else fails, and so
does a peer that isn't installed. Leaves to others: what the specification says (the other files).
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.bundles import PATH, Box, runtime_of
from tests.conformance.conftest import BoxMaker

Fields = dict[str, str]

# ---- Bundles


def plain(box: Box) -> None:
    """What all start from."""


def as_a_user(box: Box) -> None:
    box.process.update(user={"uid": 1000, "gid": 1001, "umask": 0o027, "additionalGids": [5, 6]}, cwd="/tmp")
    sets = ["CAP_NET_BIND_SERVICE", "CAP_KILL"]
    box.process["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted", "inheritable", "ambient"), sets)


def confined(box: Box) -> None:
    box.process.update(noNewPrivileges=True, oomScoreAdj=123)
    box.config["root"]["readonly"] = True
    box.linux["maskedPaths"] = ["/proc/kcore", "/proc/keys", "/sys/firmware", "/proc/acpi"]
    box.linux["readonlyPaths"] = ["/proc/sys", "/proc/irq", "/proc/bus"]
    box.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO"}],
    }


def limited(box: Box) -> None:
    box.process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_NPROC", "soft": 1000, "hard": 2000},
    ]


def without_privileges(box: Box) -> None:
    del box.process["capabilities"]


def with_mounts(box: Box) -> None:
    (box.path / "data").mkdir()
    source = str(box.path / "data")
    binds = [["bind"], ["rbind", "ro"], ["bind", "nosuid", "nodev", "noexec"], ["rbind", "rprivate"]]
    for number, options in enumerate([*binds, ["bind", "shared"], ["bind", "noatime"]]):
        box.mount(f"/data/{number}", "none", source, *options)
    for number, options in enumerate(
        [["size=1m"], ["ro", "noatime"], ["strictatime", "nosuid"], ["mode=700", "unbindable"]]
    ):
        box.mount(f"/memory/{number}", "tmpfs", "tmpfs", *options)


def on_the_hosts_network(box: Box) -> None:
    for kind in ("network", "ipc", "cgroup"):
        box.without_namespace(kind)


def with_ids_mapped(box: Box) -> None:
    box.in_user_namespace()


def with_environment(box: Box) -> None:
    box.process["env"] = [PATH, "A=1", "A=2", "HOME=/somewhere", "EMPTY="]


def with_kernel_parameters(box: Box) -> None:
    box.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.shmmax": "4096"}
    box.config.update(hostname="box")


BUNDLES = [
    *(plain, as_a_user, confined, limited, without_privileges, with_mounts),
    *(on_the_hosts_network, with_ids_mapped, with_environment, with_kernel_parameters),
]

# ---- What is looked at

LOOK = """
for file in status limits mountinfo uid_map gid_map setgroups oom_score_adj; do echo "== $file"; cat /proc/1/$file; done
echo "== environ"; tr '\\0' '\\n' < /proc/1/environ
echo "== fd"; ls /proc/1/fd
echo "== namespaces"; cd /proc/1/ns; for n in *; do echo $n $(readlink $n); done
echo "== session"; cut -d' ' -f5-8 /proc/1/stat
echo "== dev"; cd /dev; find . | sort | while read f; do echo "$f $(stat -c '%F %a %u %g %t %T' $f)"; done
echo "== links"; for l in fd stdin stdout stderr ptmx core; do echo $l $(readlink /dev/$l); done
echo "== links of interfaces"; cat /sys/class/net/lo/operstate
echo "== parameters"; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax
echo "== names"; hostname; readlink /proc/1/cwd; umask
"""

STATUS = (
    *("Umask", "Uid", "Gid", "Groups", "NSpid", "SigBlk", "SigIgn", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"),
    *("NoNewPrivs", "Seccomp", "Cpus_allowed", "Mems_allowed", "NSsid", "NSpgid", "Speculation_Store_Bypass"),
)


def fields_of(printed: str) -> Fields:
    """Give name and value of everything that was printed, without what differs from run to run."""
    sections = dict(part.partition("\n")[::2] for part in printed.split("== ")[1:])
    found: Fields = {}
    for line in sections.pop("status").splitlines():
        key, _, value = line.partition(":")
        if key == "SigIgn":
            # Without the two that glibc keeps to itself: whoever starts the tests may have left them ignored, which a
            # program here never inherits and under the peers does.
            found["status SigIgn"] = f"{int(value, 16) & ~(3 << 31):016x}"
        elif key in STATUS:
            found[f"status {key}"] = " ".join(value.split())
    for line in sections.pop("limits").splitlines()[1:]:
        name, soft, hard = re.split(r"  +", line.strip())[:3]
        found[f"limit {name}"] = f"{soft} {hard}"
    for line in sections.pop("mountinfo").splitlines():
        found |= mount_fields(line)
    for line in sections.pop("namespaces").splitlines():
        kind, identity = line.split()
        found[f"namespace {kind}"] = "the host's" if identity == os.readlink(f"/proc/self/ns/{kind}") else "its own"
    for line in sections.pop("dev").splitlines():
        path, _, rest = line.partition(" ")
        found[f"dev {path}"] = rest
    for line in sections.pop("links").splitlines():
        name, _, target = line.partition(" ")
        found[f"link {name}"] = target
    return found | {name: text.strip() for name, text in sections.items()}


def mount_fields(line: str) -> Fields:
    """Type, options, ties, source and the file system's own options of a mount, by its destination."""
    first, _, second = line.partition(" - ")
    parts, (type, source, data) = first.split(), second.split()
    place = f"mount {parts[4]}"
    ties = sorted(tie.partition(":")[0] for tie in parts[6:])
    own = sorted(
        option
        for option in data.split(",")
        if not option.startswith(("size=", "nr_inodes=", "inode64", "uid=", "gid="))
    )
    return {
        f"{place} type": type,
        f"{place} options": " ".join(sorted(parts[5].split(","))),
        f"{place} ties": " ".join(ties),
        f"{place} source": source,
        f"{place} data": " ".join(own) if type in ("tmpfs", "proc", "sysfs") else "",
    }


# ---- Differences that are known: peer, bundle and field (with wildcards), and why

_NOT_CORE = "a link to /proc/kcore only where the host has that"
_MASK = "the source of a mask is tighter here: nodev, noexec, nosuid, read-only, and the host's /dev/null, which no image can fake"
ACCEPTED = [
    (
        "runc",
        "*",
        "mount /sys data",
        "`ro` makes the mount read-only here, and not the file system, which other mounts share",
    ),
    ("crun", "*", "dev ./core", _NOT_CORE),
    ("crun", "*", "link core", _NOT_CORE),
    ("*", "confined", "mount /proc/acpi *", _MASK),
    ("*", "confined", "mount /proc/keys *", _MASK),
    ("*", "confined", "mount /sys/firmware *", _MASK),
    (
        "crun",
        "as_a_user",
        "environ",
        "crun sets no HOME for a user that /etc/passwd doesn't know; runc sets it to /, as here",
    ),
    ("crun", "with_mounts", "mount /data/4 ties", "crun leaves it private; config.md: `shared`, MUST"),
    ("crun", "with_mounts", "mount /memory/3 ties", "crun leaves it private; config.md: `unbindable`, MUST"),
    (
        "crun",
        "with_ids_mapped",
        "mount /dev/* options",
        "crun binds devices from a tree of its own; a node is a node either way",
    ),
]


def is_accepted(peer: str, bundle: str, field: str) -> bool:
    return any(
        fnmatch.fnmatch(peer, names) and fnmatch.fnmatch(bundle, bundles) and fnmatch.fnmatch(field, fields)
        for names, bundles, fields, _ in ACCEPTED
    )


def look(box: Box, change: Callable[[Box], None]) -> Fields:
    change(box)
    box.process["args"] = ["sh", "-c", LOOK]
    return fields_of(box.run().stdout)


@pytest.mark.parametrize("change", BUNDLES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("peer", ["runc", "crun"])
def test_a_program_sees_the_same_as_under(make_box: BoxMaker, tmp_path: Path, peer: str, change) -> None:
    if shutil.which(peer) is None:
        pytest.fail(f"{peer} isn't installed: apt-get install {peer}")
    ours = look(make_box(runtime_of("minirun-oci", tmp_path / "ours")), change)
    theirs = look(make_box(runtime_of(peer, tmp_path / "theirs")), change)
    differences = [
        f"{field}: {ours.get(field, 'missing')!r} here, {theirs.get(field, 'missing')!r} under {peer}"
        for field in sorted(ours.keys() | theirs.keys())
        if ours.get(field) != theirs.get(field) and not is_accepted(peer, change.__name__, field)
    ]
    assert not differences, "\n".join(differences)
