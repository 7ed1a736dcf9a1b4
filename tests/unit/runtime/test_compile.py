"""From spec to plan: lists of operations, and the order that containment rests on."""

from __future__ import annotations

import os

import pytest

from minirun.errors import NotSupported
from minirun.linux import flags, plan
from minirun.linux.plan import Operation
from minirun.record import Record
from minirun.runtime import devices
from minirun.runtime.compile import Placement, Target, compile_container, compile_exec
from minirun.runtime.spec import (
    BuiltinSeccomp,
    Capabilities,
    DeviceNode,
    Hook,
    Hooks,
    Linux,
    Mount,
    Namespace,
    Process,
    Resources,
    Rlimit,
    Root,
    Spec,
    User,
)

ROOT, NULL, PROC, SYS, DEV, PARAMETERS, MOUNT, NAMESPACE, TREE = range(9)
OWN = tuple(Namespace(kind=kind) for kind in ("mount", "pid", "uts", "ipc", "network", "cgroup"))
PLACE = Placement(
    run_directory="/run/x", mountpoint="/run/root", base="/layers", lowers=("2/fs", "1/fs"), upper="/u", work="/w"
)
HELD = Capabilities(bounding=7, effective=7, permitted=7)


class Endpoint(Record):
    bridge: str = "bridge0"
    host_interface: str = "v1"
    interface: str = "eth0"
    mac: bytes = b"\2\0\0\0\0\1"
    address4: str = "10.1.0.2"
    prefix4: int = 16
    gateway4: str = "10.1.0.1"
    address6: str = "fd00::2"
    prefix6: int = 64
    gateway6: str = "fd00::1"


def spec(**linux: object) -> Spec:
    process = Process(arguments=("true",), user=User(name="alice"), capabilities=HELD)
    return Spec(process=process, linux=Linux(**{"namespaces": OWN, **linux}))  # type: ignore[arg-type]


def child(given: Spec, place: Placement = PLACE) -> list[Operation]:
    return compile_container(given, place).child


def names(operations: list[Operation]) -> list[str]:
    return [operation.name for operation in operations]


def after(operations: list[Operation], *order: str) -> bool:
    places = [names(operations).index(name) for name in order]
    return places == sorted(places)


def test_the_smallest_container() -> None:
    assert child(spec()) == [
        plan.unshare(flags.CLONE_NEWCGROUP),
        plan.propagation(flags.MS_PRIVATE | flags.MS_REC),
        plan.overlay(ROOT, "/run/root", "/layers", ("2/fs", "1/fs"), "/u", "/w", PLACE.overlay_options),
        plan.link_up("lo"),
        plan.pivot(ROOT),
        plan.session(),
        plan.directory_change("/"),
        plan.bounding(7),
        plan.user("alice"),
        plan.capabilities(7, 7, 0, 0),
        plan.death_signal(9),
        plan.signals(),
        plan.seal(3),
        plan.exec_("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ("true",), ()),
    ]


def test_the_monitor_is_told_what_it_watches() -> None:
    place = PLACE.replace(
        log_path="/log", log_max_bytes=10, log_max_files=2, exit_hook=("hook",), cgroup="/cg", open_stdin=True
    )
    wanted = flags.CLONE_NEWNS | flags.CLONE_NEWPID | flags.CLONE_NEWUTS | flags.CLONE_NEWIPC | flags.CLONE_NEWNET
    assert compile_container(spec(), place).monitor == [
        plan.run_directory("/run/x"),
        plan.log("/log", 10, 2),
        plan.stdio(plan.STDIO_PIPES, True, 0, 0),
        plan.exit_hook(("hook",), ()),
        plan.await_owner(),
        plan.cgroup("/cg"),
        plan.clone(wanted),
    ]


def test_every_plan_can_be_encoded_and_explained() -> None:
    made = compile_container(spec(seccomp=BuiltinSeccomp(capabilities=0)), PLACE.replace(endpoint=Endpoint()))
    assert made.encode()
    assert len(made.explain()) == len(made.operations())


# ---- order


def test_the_cgroup_namespace_is_made_by_the_child_itself() -> None:
    clone = compile_container(spec(), PLACE).monitor[-1]
    assert isinstance(clone.arguments[0], int)
    assert not clone.arguments[0] & flags.CLONE_NEWCGROUP
    assert names(child(spec()))[0] == "UNSHARE"


def test_privileges_go_in_the_order_in_which_the_kernel_lets_them_go() -> None:
    filtered = spec(seccomp=BuiltinSeccomp(capabilities=0))
    process = filtered.process.replace(rlimits=(Rlimit(resource=7, soft=1, hard=2),))
    operations = child(filtered.replace(process=process))
    assert after(
        operations, "PIVOT", "RLIMIT", "BOUNDING", "USER", "SECCOMP", "CAPABILITIES", "DEATH_SIGNAL", "SEAL", "EXEC"
    )


def test_without_new_privileges_the_filter_comes_last() -> None:
    filtered = spec(seccomp=BuiltinSeccomp(capabilities=0))
    operations = child(filtered.replace(process=filtered.process.replace(no_new_privileges=True)))
    assert after(operations, "CAPABILITIES", "DEATH_SIGNAL", "NO_NEW_PRIVILEGES", "SECCOMP", "SIGNALS", "SEAL", "EXEC")
    assert names(operations).count("SECCOMP") == 1


def test_the_init_is_as_confined_as_the_program() -> None:
    filtered = spec(seccomp=BuiltinSeccomp(capabilities=0))
    operations = child(filtered.replace(process=filtered.process.replace(init=True)))
    assert names(operations)[-2:] == ["INIT", "EXEC"]
    assert after(operations, "SECCOMP", "CAPABILITIES", "SEAL", "INIT")


def test_nothing_of_the_image_is_executed_before_masks_and_pivot() -> None:
    mounts = (Mount(destination="/proc", type="proc"), Mount(destination="/data", type="bind", source="/srv"))
    operations = child(
        spec(masked_paths=("/proc/kcore", "/etc/secret"), readonly_paths=("/proc/sys",)).replace(mounts=mounts)
    )
    assert operations[1:3] == [
        plan.propagation(flags.MS_PRIVATE | flags.MS_REC),
        plan.open_(NULL, plan.HOST, "/dev/null", os.O_PATH | os.O_NOFOLLOW),
    ]
    last_mount = max(place for place, name in enumerate(names(operations)) if name == "ATTACH")
    first_mask = names(operations).index("MASK")
    assert last_mount < first_mask < names(operations).index("PIVOT")
    assert plan.mask(PROC, "kcore", NULL) in operations
    assert plan.mask(ROOT, "/etc/secret", NULL) in operations
    assert plan.read_only(PROC, "sys") in operations


def test_cve_2025_52881_parameters_are_written_before_anyone_can_reach_the_procfs() -> None:
    given = spec(sysctl={"net.ipv4.ip_forward": "1", "net.ipv4.conf.eth0/1.rp_filter": "2"})
    operations = child(given.replace(mounts=(Mount(destination="/proc", type="proc", source="proc"),)))
    write = operations.index(plan.write(PROC, "sys/net/ipv4/ip_forward", "1"))
    assert names(operations)[write - 1] == "FILESYSTEM"
    assert names(operations)[write + 1] == "ATTACH"
    late = operations.index(plan.write(PARAMETERS, "sys/net/ipv4/conf/eth0.1/rp_filter", "2"))
    assert operations.index(plan.filesystem(PARAMETERS, "proc", "proc")) < late
    assert names(operations).index("LINK_UP") < late


def test_the_network_comes_as_late_as_it_can() -> None:
    place = PLACE.replace(endpoint=Endpoint())
    made = compile_container(spec().replace(mounts=(Mount(destination="/proc", type="proc"),)), place)
    assert made.parent == [plan.veth("bridge0", "v1", "eth0", b"\2\0\0\0\0\1"), plan.sync(1)]
    start = made.child.index(plan.sync(1))
    assert made.child[start - 1] == plan.filesystem(PARAMETERS, "proc", "proc")
    assert made.child[start : start + 9] == [
        plan.sync(1),
        plan.link_up("lo"),
        plan.optional(plan.write(PARAMETERS, "sys/net/ipv6/conf/eth0/accept_ra", "0")),
        plan.address("eth0", bytes([10, 1, 0, 2]), 16),
        plan.address("eth0", bytes.fromhex("fd" + "0" * 28 + "02"), 64),
        plan.link_up("eth0"),
        plan.route("eth0", bytes([10, 1, 0, 1])),
        plan.route("eth0", bytes.fromhex("fd" + "0" * 28 + "01")),
        plan.pivot(ROOT),
    ]


def test_cve_2024_32473_no_ipv6_on_a_network_without() -> None:
    endpoint = Endpoint(address6="", gateway6="")
    operations = compile_container(spec(), PLACE.replace(endpoint=endpoint)).child
    off = operations.index(plan.optional(plan.write(PARAMETERS, "sys/net/ipv6/conf/eth0/disable_ipv6", "1")))
    assert off < operations.index(plan.link_up("eth0"))


def test_without_a_network_of_its_own_interfaces_are_left_alone() -> None:
    namespaces = tuple(namespace for namespace in OWN if namespace.kind != "network")
    assert "LINK_UP" not in names(child(spec(namespaces=namespaces)))


def test_a_read_only_root_is_made_so_after_all_targets_were() -> None:
    given = spec().replace(root=Root(read_only=True), mounts=(Mount(destination="/data", type="tmpfs"),))
    process = given.process.replace(working_directory="/work")
    operations = child(given.replace(process=process))
    assert after(operations, "ATTACH", "DIRECTORY", "ATTRIBUTES", "PIVOT")
    assert plan.attributes(ROOT, flags.MOUNT_ATTR_RDONLY) in operations


# ---- mounts


def test_a_bind_is_complete_before_it_is_seen() -> None:
    bind = Mount(
        destination="/data",
        type="bind",
        source="/srv",
        attributes=flags.MOUNT_ATTR_RDONLY,
        recursive=True,
        propagation=flags.PROPAGATIONS["rprivate"],
    )
    operations = child(spec().replace(mounts=(bind,)))
    start = operations.index(plan.tree(MOUNT, plan.HOST, "/srv", True))
    assert operations[start + 1 : start + 3] == [
        plan.attributes(MOUNT, flags.MOUNT_ATTR_RDONLY, 0, 0, True),
        plan.attach(MOUNT, ROOT, "/data", plan.CREATE_DIRECTORY),
    ]


@pytest.mark.parametrize(("kind", "bits"), [("rslave", flags.MS_SLAVE), ("rshared", flags.MS_SHARED)])
def test_a_tree_that_follows_the_host_is_taken_before_all_ties_are_cut(kind: str, bits: int) -> None:
    bind = Mount(destination="/d", type="bind", source="/srv", recursive=True, propagation=flags.PROPAGATIONS[kind])
    operations = child(spec().replace(mounts=(bind,)))
    assert operations[1:3] == [
        plan.tree(TREE, plan.HOST, "/srv", True),
        plan.propagation(flags.MS_PRIVATE | flags.MS_REC),
    ]
    assert plan.attributes(TREE, 0, 0, bits, True) in operations
    assert plan.attach(TREE, ROOT, "/d", plan.CREATE_DIRECTORY) in operations


def test_more_ties_than_slots_are_refused() -> None:
    binds = tuple(
        Mount(destination=f"/{number}", type="bind", source="/srv", propagation=flags.MS_SLAVE) for number in range(25)
    )
    with pytest.raises(NotSupported):
        child(spec().replace(mounts=binds))


def test_dev_is_filled_while_it_is_detached() -> None:
    nodes = (
        DeviceNode(path="/dev/null", kind="c", major=1, minor=3),
        DeviceNode(path="/dev/disk/by-id/x", kind="b", major=8, minor=1, mode=0o660, gid=6),
        DeviceNode(path="/opt/fifo", kind="p"),
    )
    given = spec(devices=nodes).replace(
        mounts=(Mount(destination="/dev", type="tmpfs"), Mount(destination="/dev/pts", type="devpts"))
    )
    operations = child(given)
    attach = operations.index(plan.attach(DEV, ROOT, "/dev", plan.CREATE_DIRECTORY | plan.CREATE_NO_SYMLINKS))
    assert operations.index(plan.device(DEV, "null", 0o020666, os.makedev(1, 3))) < attach
    assert operations.index(plan.device(DEV, "disk/by-id/x", 0o060660, os.makedev(8, 1), 0, 6)) < attach
    assert operations.index(plan.symlink(DEV, "ptmx", "pts/ptmx")) < attach
    assert operations.index(plan.device(ROOT, "/opt/fifo", 0o010666, 0)) > attach
    assert plan.attach(MOUNT, DEV, "pts", plan.CREATE_DIRECTORY) in operations


def test_the_hosts_dev_stays_as_it_is_when_it_is_bound() -> None:
    nodes = (DeviceNode(path="/dev/null", kind="c", major=1, minor=3),)
    given = spec(devices=nodes).replace(mounts=(Mount(destination="/dev", type="bind", source="/dev", recursive=True),))
    assert not {"DEVICE", "SYMLINK"} & set(names(child(given)))


def test_cve_2019_19921_our_own_mounts_go_onto_directories_only() -> None:
    mounts = tuple(Mount(destination=path, type="tmpfs") for path in ("/proc", "/sys", "/dev", "/run"))
    targets = {
        operation.argument("path"): operation.argument("create")
        for operation in child(spec().replace(mounts=mounts))
        if operation.name == "ATTACH"
    }
    strict = plan.CREATE_DIRECTORY | plan.CREATE_NO_SYMLINKS
    assert targets == {"/proc": strict, "/sys": strict, "/dev": strict, "/run": plan.CREATE_DIRECTORY}


# ---- namespaces, terminal, rest


def test_a_namespace_of_another_is_joined_before_mounts_show_it() -> None:
    joined = (Namespace(kind="mount"), Namespace(kind="network", path="/proc/1/ns/net"))
    assert child(spec(namespaces=joined))[:2] == [
        plan.open_(NAMESPACE, plan.HOST, "/proc/1/ns/net", os.O_RDONLY),
        plan.setns(NAMESPACE, flags.CLONE_NEWNET),
    ]
    inherited = compile_container(spec(namespaces=joined), PLACE.replace(namespaces={"network": 16}))
    assert inherited.prepare == [plan.take(NAMESPACE, 16)]
    assert inherited.child[0] == plan.setns(NAMESPACE, flags.CLONE_NEWNET)


def test_a_terminal_is_opened_after_the_session_and_before_privileges_go() -> None:
    given = spec()
    made = compile_container(
        given.replace(process=given.process.replace(terminal=True)), PLACE.replace(rows=25, columns=80)
    )
    assert plan.stdio(plan.STDIO_TERMINAL, False, 25, 80) in made.monitor
    assert after(made.child, "SESSION", "TERMINAL", "BOUNDING")


@pytest.mark.parametrize(
    "refused",
    [
        spec(namespaces=()),
        spec(namespaces=(*OWN, Namespace(kind="user"))),
        spec(namespaces=(Namespace(kind="mount"), Namespace(kind="pid", path="/proc/1/ns/pid"))),
        spec().replace(hooks=Hooks(poststop=(Hook(path="/bin/true"),))),
        spec().replace(process=Process(arguments=("x",), apparmor_profile="strict")),
    ],
)
def test_what_we_cannot_do_is_refused_and_never_dropped(refused: Spec) -> None:
    with pytest.raises(NotSupported):
        compile_container(refused, PLACE)


# ---- exec


def test_exec_joins_and_shares_the_tail() -> None:
    made = compile_exec(spec(), Target(pid=42, start_time=7, cgroup="/cg"))
    everything = 0
    for namespace in OWN:
        everything |= flags.NAMESPACES[namespace.kind]
    assert made.monitor == [
        plan.stdio(plan.STDIO_PIPES),
        plan.await_owner(),
        plan.cgroup("/cg"),
        plan.enter(42, 7, everything),
    ]
    assert made.parent == []
    tail = child(spec())
    assert made.child == tail[names(tail).index("SESSION") :]


def test_exec_with_a_terminal_opens_it_in_the_containers_root() -> None:
    given = spec()
    made = compile_exec(given.replace(process=given.process.replace(terminal=True)), Target(pid=1, start_time=1))
    assert made.child[:3] == [
        plan.open_(ROOT, plan.HOST, "/", os.O_PATH | os.O_DIRECTORY),
        plan.session(),
        plan.terminal(ROOT),
    ]


def test_exec_makes_no_nodes_where_no_filter_guards_them() -> None:
    mknod = 1 << 27
    held = Capabilities(bounding=mknod | 1, effective=mknod | 1, permitted=mknod | 1)
    given = spec(resources=Resources(devices=devices.DEFAULT))
    given = given.replace(process=given.process.replace(capabilities=held))
    made = compile_exec(given, Target(pid=1, start_time=1, cgroup="/nowhere/x"))
    assert plan.bounding(1) in made.child
    assert plan.capabilities(1, 1, 0, 0) in made.child
    privileged = given.replace(linux=given.linux.replace(resources=Resources(devices=devices.EVERYTHING)))
    assert plan.bounding(mknod | 1) in compile_exec(privileged, Target(pid=1, start_time=1, cgroup="/nowhere/x")).child
