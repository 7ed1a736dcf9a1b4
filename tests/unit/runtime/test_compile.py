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
from minirun.runtime.compile.context import (
    DEV,
    FIRST_TREE,
    JOINED,
    MOUNT,
    MOUNTS,
    NULL,
    PARAMETERS,
    PROC,
    ROOT,
    SYS,
    USER_NAMESPACE,
)
from minirun.runtime.spec import (
    BuiltinSeccomp,
    Capabilities,
    DeviceNode,
    Hook,
    Hooks,
    IdMapping,
    Linux,
    Mount,
    Namespace,
    Process,
    Resources,
    Rlimit,
    Root,
    Spec,
    TimeOffset,
    User,
)

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
        plan.signals(),
        plan.seal(3),
        plan.capabilities(7, 7, 0, 0),
        plan.death_signal(9),
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


def test_another_image_is_mounted_beneath_the_root_and_taken_from_there() -> None:
    shown = Mount(destination="/i", type="bind", layers=("5/fs", "0/fs"), part="etc")
    operations = child(spec().replace(mounts=(shown,)))
    overlay, tree = operations[2:4]
    assert overlay == plan.overlay(20, "/run/root", "/layers", ("5/fs", "0/fs"), "", "", PLACE.overlay_options)
    assert tree == plan.tree(20, 20, "etc", False)
    assert after(operations, "PROPAGATION", "TREE", "ATTACH")
    assert plan.attach(20, ROOT, "/i", plan.CREATE_DIRECTORY) in operations


# ---- order


def test_the_cgroup_namespace_is_made_by_the_child_itself() -> None:
    clone = compile_container(spec(), PLACE).monitor[-1]
    assert isinstance(clone.arguments[0], int)
    assert not clone.arguments[0] & flags.CLONE_NEWCGROUP
    assert names(child(spec()))[0] == "UNSHARE"


def test_privileges_go_in_the_order_in_which_the_kernel_lets_them_go() -> None:
    filtered = spec(seccomp=BuiltinSeccomp(capabilities=0))
    process = filtered.process.replace(rlimits=(Rlimit(resource=6, soft=1, hard=2),))
    operations = child(filtered.replace(process=process))
    assert after(
        operations, "PIVOT", "RLIMIT", "BOUNDING", "USER", "SEAL", "SECCOMP", "CAPABILITIES", "DEATH_SIGNAL", "EXEC"
    )


def test_the_limit_of_open_files_comes_when_nothing_is_opened_any_more() -> None:
    """And while CAP_SYS_RESOURCE is left, which raising it takes."""
    filtered = spec(seccomp=BuiltinSeccomp(capabilities=0))
    process = filtered.process.replace(rlimits=(Rlimit(resource=7, soft=1, hard=2),))
    assert after(child(filtered.replace(process=process)), "USER", "SEAL", "RLIMIT", "SECCOMP", "CAPABILITIES", "EXEC")


def test_without_new_privileges_the_filter_comes_last() -> None:
    filtered = spec(seccomp=BuiltinSeccomp(capabilities=0))
    operations = child(filtered.replace(process=filtered.process.replace(no_new_privileges=True)))
    assert after(operations, "NO_NEW_PRIVILEGES", "CAPABILITIES", "DEATH_SIGNAL", "SECCOMP", "EXEC")
    assert names(operations).count("SECCOMP") == 1


def test_the_init_is_as_confined_as_the_program() -> None:
    filtered = spec(seccomp=BuiltinSeccomp(capabilities=0))
    operations = child(filtered.replace(process=filtered.process.replace(init=True)))
    assert names(operations)[-2:] == ["INIT", "EXEC"]
    assert after(operations, "SEAL", "SECCOMP", "CAPABILITIES", "INIT")


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


def test_a_read_only_tmpfs_is_filled_before_it_is_read_only() -> None:
    mount = Mount(
        destination="/var", type="tmpfs", copy_up=True, attributes=flags.MOUNT_ATTR_RDONLY | flags.MOUNT_ATTR_NODEV
    )
    operations = child(spec().replace(mounts=(mount,)))
    at = names(operations).index("COPY_UP")
    assert operations[at - 1].argument("attributes") == flags.MOUNT_ATTR_NODEV
    assert operations[at : at + 3] == [
        plan.copy_up(MOUNT, ROOT, "/var"),
        plan.take_mode(MOUNT, ROOT, "/var"),
        plan.attach(MOUNT, ROOT, "/var", plan.CREATE_DIRECTORY),
    ]
    assert operations.index(plan.attributes(MOUNT, flags.MOUNT_ATTR_RDONLY)) > names(operations).index("ATTACH")


def test_only_the_topmost_of_a_place_is_closed_at_the_end() -> None:
    lower = Mount(destination="/var", type="tmpfs", attributes=flags.MOUNT_ATTR_RDONLY)
    upper = Mount(destination="/var", type="tmpfs")
    operations = child(spec().replace(mounts=(lower, upper)))
    assert plan.attributes(MOUNT, flags.MOUNT_ATTR_RDONLY) not in operations


def test_what_a_later_mount_covers_is_not_looked_for_at_the_end() -> None:
    covered = Mount(destination="/x/a", type="tmpfs", attributes=flags.MOUNT_ATTR_RDONLY)
    for destination, closed in (("/x", False), ("/x/a", False), ("/x/a/b", True), ("/x/ab", True)):
        later = Mount(destination=destination, type="bind", source="/srv")
        operations = child(spec().replace(mounts=(covered, later)))
        assert (plan.attributes(MOUNT, flags.MOUNT_ATTR_RDONLY) in operations) is closed, destination


def test_a_bind_is_complete_before_it_is_seen() -> None:
    bind = Mount(
        destination="/data",
        type="bind",
        source="/srv",
        tree_attributes=flags.MOUNT_ATTR_RDONLY,
        recursive=True,
        propagation=flags.PROPAGATIONS["rprivate"],
    )
    operations = child(spec().replace(mounts=(bind,)))
    start = operations.index(plan.tree(MOUNT, plan.HOST, "/srv", True))
    assert operations[start + 1 : start + 3] == [
        plan.attributes(MOUNT, flags.MOUNT_ATTR_RDONLY, 0, 0, True),
        plan.attach(MOUNT, ROOT, "/data", plan.CREATE_DIRECTORY),
    ]


@pytest.fixture
def tied_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """All mounts of the host have peers, as under systemd."""
    monkeypatch.setattr("minirun.runtime.compile.context._has_ties", lambda mount: True)


@pytest.mark.usefixtures("tied_host")
@pytest.mark.parametrize(("kind", "bits"), [("rslave", flags.MS_SLAVE), ("rshared", flags.MS_SHARED)])
def test_a_tree_that_follows_the_host_is_taken_before_all_ties_are_cut(kind: str, bits: int) -> None:
    bind = Mount(destination="/d", type="bind", source="/srv", recursive=True, propagation=flags.PROPAGATIONS[kind])
    operations = child(spec().replace(mounts=(bind,)))
    assert operations[1:3] == [
        plan.tree(FIRST_TREE, plan.HOST, "/srv", True),
        plan.propagation(flags.MS_PRIVATE | flags.MS_REC),
    ]
    assert plan.attributes(FIRST_TREE, 0, 0, bits, True) in operations
    assert plan.attach(FIRST_TREE, ROOT, "/d", plan.CREATE_DIRECTORY) in operations


def test_a_tree_without_ties_on_the_host_is_taken_at_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minirun.runtime.compile.context._has_ties", lambda mount: False)
    first = Mount(destination="/tmpfs", type="tmpfs")
    bind = Mount(destination="/d", type="bind", source="/srv", propagation=flags.MS_SLAVE)
    operations = child(spec().replace(mounts=(first, bind)))
    assert after(operations, "FILESYSTEM", "TREE")
    assert plan.attributes(MOUNT, 0, 0, flags.MS_SLAVE, False) in operations


def test_a_new_file_system_keeps_how_its_access_times_are_kept() -> None:
    mount = Mount(
        destination="/tmpfs", type="tmpfs", attributes=flags.MOUNT_ATTR_NOATIME, cleared=flags.MOUNT_ATTR__ATIME
    )
    operations = child(spec().replace(mounts=(mount,)))
    assert plan.filesystem(MOUNT, "tmpfs", "", (), flags.MOUNT_ATTR_NOATIME) in operations
    assert "ATTRIBUTES" not in [operation.name for operation in operations]


@pytest.mark.usefixtures("tied_host")
def test_more_ties_than_slots_are_refused() -> None:
    binds = tuple(
        Mount(destination=f"/{number}", type="bind", source="/srv", propagation=flags.MS_SLAVE)
        for number in range(plan.SLOTS)
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
    made = compile_container(spec(namespaces=joined), PLACE)
    assert made.prepare == [plan.open_(JOINED, plan.HOST, "/proc/1/ns/net", os.O_RDONLY)]
    assert made.child[0] == plan.setns(JOINED, flags.CLONE_NEWNET)
    inherited = compile_container(spec(namespaces=joined), PLACE.replace(namespaces={"network": 16}))
    assert inherited.prepare == [plan.take(JOINED, 16)]
    assert inherited.child[0] == plan.setns(JOINED, flags.CLONE_NEWNET)


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
        spec(namespaces=(Namespace(kind="user", path="/proc/1/ns/user"),)),
        spec().replace(process=Process(arguments=("x",), apparmor_profile="strict")),
    ],
)
def test_what_we_cannot_do_is_refused_and_never_dropped(refused: Spec) -> None:
    with pytest.raises(NotSupported):
        compile_container(refused, PLACE)


# ---- a mount namespace that others live in


@pytest.mark.parametrize(
    ("namespaces", "path"),
    [((), "/proc/self/ns/mnt"), ((Namespace(kind="mount", path="/proc/7/ns/mnt"),), "/proc/7/ns/mnt")],
)
def test_the_root_is_built_elsewhere_and_taken_along_into_a_mount_namespace_of_others(
    namespaces: tuple[Namespace, ...], path: str
) -> None:
    made = compile_container(spec(namespaces=namespaces), PLACE)
    assert plan.clone(flags.CLONE_NEWNS) in made.monitor
    assert plan.open_(MOUNTS, plan.HOST, path, os.O_RDONLY) in made.prepare
    settled = [plan.tree(ROOT, ROOT, "/", True), plan.setns(MOUNTS, flags.CLONE_NEWNS), plan.root_change(ROOT)]
    at = made.child.index(settled[0])
    assert made.child[at : at + 3] == settled
    assert names(made.child).count("SESSION") == 1
    assert "PIVOT" not in names(made.child)


def test_a_further_process_takes_the_root_of_the_first_where_the_mounts_are_those_of_others() -> None:
    target = Target(pid=7, start_time=8)
    joined = compile_exec(spec(namespaces=()), target)
    assert plan.enter(7, 8, flags.CLONE_NEWNS) in joined.monitor
    assert joined.prepare == [plan.open_(ROOT, plan.HOST, "/proc/7/root", os.O_PATH | os.O_DIRECTORY)]
    assert joined.child[0] == plan.root_change(ROOT)
    assert "ROOT_CHANGE" not in names(compile_exec(spec(), target).child)


# ---- a container of the OCI runtime


GATED = Placement(mountpoint="/run/root", gate="/run/gate", verdict="/run/verdict", hook_state=('{"pid":', "}"))


def test_a_created_container_waits_when_nothing_is_left_to_do_but_its_hooks_and_exec() -> None:
    given = spec().replace(hooks=Hooks(start_container=(Hook(path="/bin/hook"),)))
    made = compile_container(given, GATED)
    assert names(made.child)[-4:] == ["READY", "GATE", "HOOK", "EXEC"]
    assert plan.open_(8, plan.HOST, "/run/gate", os.O_RDWR) in made.prepare
    assert after(made.child, "USER", "EXECUTABLE", "CAPABILITIES", "READY")
    assert plan.death_signal(0) in made.child
    assert plan.death_signal(9) not in made.child


def test_hooks_outside_run_between_the_mounts_and_pivot() -> None:
    hook = (Hook(path="/bin/hook"),)
    given = spec().replace(hooks=Hooks(create_runtime=hook, create_container=hook))
    made = compile_container(given, GATED)
    assert names(made.parent) == ["SYNC", "STAGE", "SYNC"]
    assert after(made.child, "ROOT_BIND", "SYNC", "HOOK", "PIVOT")


def test_ids_are_mapped_before_the_first_mount_is_made() -> None:
    ids = (IdMapping(container_id=0, host_id=100000, size=65536),)
    given = spec(namespaces=(*OWN, Namespace(kind="user")), uid_mappings=ids, gid_mappings=ids)
    made = compile_container(given.replace(root=Root(path="/srv/root")), GATED)
    assert made.parent[0] == plan.id_map("0 100000 65536\n", "0 100000 65536\n")
    assert made.child[:2] == [plan.sync(2), plan.identity(0, 0, ())]
    assert plan.tree(ROOT, plan.HOST, "/srv/root", True) in made.prepare


MAPPED = (IdMapping(container_id=0, host_id=100000, size=65536),)
SYS_MOUNT = Mount(destination="/sys", type="sysfs", source="sysfs")


def in_user_namespace(*namespaces: Namespace, **linux: object) -> Spec:
    return spec(namespaces=(*namespaces, Namespace(kind="user")), uid_mappings=MAPPED, gid_mappings=MAPPED, **linux)


def test_layers_get_their_mapped_ids_before_there_is_a_child() -> None:
    made = compile_container(in_user_namespace(*OWN), PLACE)
    lines = "0 100000 65536\n"
    assert made.prepare[:2] == [
        plan.user_namespace(USER_NAMESPACE, lines, lines),
        plan.overlay_id_mapped(
            ROOT, USER_NAMESPACE, "/run/root", "/layers", ("2/fs", "1/fs"), "/u", "/w", PLACE.overlay_options
        ),
    ]
    assert "OVERLAY" not in names(made.child)
    assert plan.root_bind(ROOT, "/dev", "") in made.child
    assert plan.stdio_owner(100000, 100000) in made.monitor


def test_the_pipes_of_a_further_process_belong_to_root_of_its_user_namespace() -> None:
    made = compile_exec(in_user_namespace(*OWN), Target(pid=42, start_time=7))
    assert plan.stdio_owner(100000, 100000) in made.monitor
    assert "STDIO_OWNER" not in names(compile_exec(spec(), Target(pid=42, start_time=7)).monitor)


def test_sysfs_of_a_network_that_is_not_the_containers_is_made_with_the_hosts_privileges() -> None:
    without = tuple(item for item in OWN if item.kind != "network")
    sysfs = plan.filesystem(SYS, "sysfs", "sysfs")
    of_host = compile_container(in_user_namespace(*without).replace(mounts=(SYS_MOUNT,)), PLACE)
    assert sysfs in of_host.prepare
    assert sysfs not in of_host.child
    joined = Namespace(kind="network", path="/proc/7/ns/net")
    of_other = compile_container(in_user_namespace(*without, joined).replace(mounts=(SYS_MOUNT,)), PLACE)
    assert names(of_other.enter) == ["SETNS", "FILESYSTEM"]
    assert sysfs not in (*of_other.prepare, *of_other.child)
    own = compile_container(in_user_namespace(*OWN).replace(mounts=(SYS_MOUNT,)), PLACE)
    assert sysfs in own.child


def test_limits_are_raised_by_the_parent_when_the_container_is_made() -> None:
    limits = (Rlimit(resource=7, soft=5, hard=1 << 20),)
    given = in_user_namespace(*OWN)
    given = given.replace(process=given.process.replace(rlimits=limits))
    raised = plan.optional(plan.rlimit(7, 5, 1 << 20))
    made, further = compile_container(given, PLACE), compile_exec(given, Target(pid=42, start_time=7))
    assert made.parent[-3:] == further.parent == [plan.sync(5), raised, plan.sync(6)]
    for operations in (made.child, further.child):
        place = operations.index(plan.rlimit(7, 5, 1 << 20))
        assert operations[place - 2 : place] == [plan.sync(5), plan.sync(6)]
    assert after(made.child, "PIVOT", "RLIMIT")
    plain = spec()
    plain = plain.replace(process=plain.process.replace(rlimits=limits))
    assert compile_container(plain, PLACE).parent == []


def test_a_device_of_another_name_is_bound_from_where_the_host_has_it() -> None:
    node = DeviceNode(path="/dev/nothing", kind="c", major=1, minor=3, source="/dev/null")
    made = compile_container(in_user_namespace(*OWN, devices=(node,)), PLACE)
    assert plan.tree(FIRST_TREE, plan.HOST, "/dev/null", False) in made.prepare


def test_more_devices_than_there_are_slots_are_refused() -> None:
    nodes = tuple(DeviceNode(path=f"/dev/n{number}", kind="c") for number in range(plan.SLOTS))
    with pytest.raises(NotSupported, match=f"{plan.SLOTS} devices that take a mount each"):
        compile_container(in_user_namespace(*OWN, devices=nodes), PLACE)


def test_namespaces_that_hold_for_children_are_joined_by_a_helper_the_users_last() -> None:
    kinds = (("user", "user"), ("pid", "pid"), ("network", "net"))
    joined = tuple(Namespace(kind=kind, path=f"/proc/7/ns/{file}") for kind, file in kinds)
    made = compile_container(spec(namespaces=(Namespace(kind="mount"), *joined)), GATED)
    assert [operation.arguments[1] for operation in made.enter] == [
        flags.CLONE_NEWPID,
        flags.CLONE_NEWNET,
        flags.CLONE_NEWUSER,
    ]
    assert "SETNS" not in names(made.child)


def test_clocks_are_set_before_the_time_namespace_has_a_process() -> None:
    offset = TimeOffset(clock="boottime", seconds=7)
    made = compile_container(spec(namespaces=(*OWN, Namespace(kind="time")), time_offsets=(offset,)), GATED)
    assert plan.unshare(flags.CLONE_NEWTIME) in made.prepare
    assert plan.write(plan.HOST, "/proc/self/timens_offsets", "boottime 7 0\n") in made.prepare
    assert not made.monitor[-1].arguments[0] & flags.CLONE_NEWTIME  # type: ignore[operator]  # CLONE


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


def test_new_file_systems_have_the_label_of_the_mounts() -> None:
    """What isn't new has the labels of its files, and the kernel has its own for procfs and its like."""
    kinds = ("tmpfs", "devpts", "proc", "sysfs", "mqueue", "cgroup2")
    mounts = tuple(
        Mount(destination=f"/{kind}", type=kind, source=kind, data=("a=b",) * (kind == "tmpfs")) for kind in kinds
    )
    labelled = spec(mount_label="u:r:t:s0:c1,c2").replace(mounts=mounts)
    made = {
        operation.arguments[1]: operation.arguments[3]
        for operation in child(labelled, GATED)
        if operation.name == "FILESYSTEM"
    }
    label = "context=u:r:t:s0:c1,c2"
    assert made["tmpfs"] == ("a=b", label)
    assert made["devpts"] == (label,)
    assert [made[kind] for kind in ("proc", "sysfs", "mqueue")] == [(), (), ()]
