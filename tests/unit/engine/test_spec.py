"""Docker's semantics, option by option: what a request and an image become."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from minirun.engine import spec_mounts
from minirun.engine.config import BindMount, ContainerConfig, Device, DeviceRate, TmpfsMount, Ulimit
from minirun.engine.container import ExecConfig
from minirun.engine.spec import (
    DEFAULT_CAPABILITIES,
    Surroundings,
    arguments_of,
    build,
    build_exec,
    check,
    prepare,
    stop_signal_of,
    withheld,
    without_device_filter,
)
from minirun.errors import InvalidInput, MinirunError, NotSupported
from minirun.linux import flags
from minirun.runtime import capabilities, devices
from minirun.runtime.spec import BlockIo, BuiltinSeccomp, Cpu, DeviceLimit, DeviceRule, Mount, Seccomp, Spec

MIB = 1 << 20


class Image:
    def __init__(self, **config: Any) -> None:
        self.config = config


AROUND = Surroundings(id="0123456789abcdef" * 4, host_capabilities=capabilities.ALL, hostname="0123456789ab")


def config(**options: Any) -> ContainerConfig:
    return ContainerConfig(**{"image": "busybox", "command": ("sh",), **options})


def made(image: Image | None = None, **options: Any) -> Spec:
    request = config(**options)
    check(request, image or Image())
    return build(request, image or Image(), AROUND)


def refusal(error: type[MinirunError] = InvalidInput, **options: Any) -> str:
    with pytest.raises(error) as caught:
        made(**options)
    return str(caught.value)


def mount(spec: Spec, destination: str) -> Mount:
    (found,) = [mount for mount in spec.mounts if mount.destination == destination]
    return found


# ---- what runs


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({"command": ()}, ("entry", "-x", "cmd")),
        ({"command": ("ls",)}, ("entry", "-x", "ls")),
        ({"command": (), "entrypoint": ("sh",)}, ("sh",)),
        ({"command": ("a",), "entrypoint": ("sh", "-c")}, ("sh", "-c", "a")),
        ({"command": ("a",), "entrypoint": ()}, ("a",)),
    ],
)
def test_entry_point_and_command(options: dict[str, Any], arguments: tuple[str, ...]) -> None:
    assert arguments_of(config(**options), Image(Entrypoint=["entry", "-x"], Cmd=["cmd"])) == arguments


@pytest.mark.parametrize("options", [{"command": ()}, {"command": (), "entrypoint": ()}])
def test_without_a_command_the_request_is_refused(options: dict[str, Any]) -> None:
    assert "no command specified" in refusal(**options)


def test_the_environment_is_merged_like_dockers() -> None:
    image = Image(Env=["PATH=/image", "A=image", "B=image"])
    environment = made(image, environment=("A=user", "C=1=2", "B"), terminal=True).process.environment
    assert environment == ("PATH=/image", "HOSTNAME=0123456789ab", "TERM=xterm", "A=user", "C=1=2")
    assert made().process.environment == (
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOSTNAME=0123456789ab",
    )


def test_the_request_goes_before_the_image() -> None:
    image = Image(WorkingDir="/image", User="www", StopSignal="SIGQUIT")
    spec = made(image)
    assert (spec.process.working_directory, spec.process.user.name) == ("/image", "www")
    assert stop_signal_of(config(), image) == "SIGQUIT"
    spec = made(image, working_directory="/mine", user="0:7", stop_signal="9", groups_add=("audio",))
    assert (spec.process.working_directory, spec.process.user.name) == ("/mine", "0:7")
    assert spec.process.user.additional_groups == ("audio",)
    assert stop_signal_of(config(stop_signal="9"), image) == "9"
    assert stop_signal_of(config(), Image()) == ""


@pytest.mark.parametrize("text", ["9" * 5000, "0", "65", "-1", "RTMIN+" + "9" * 5000, "NONE", "\n"])
def test_an_image_does_not_make_itself_unstoppable(text: str) -> None:
    assert stop_signal_of(config(), Image(StopSignal=text)) == ""


def test_a_relative_working_directory_is_refused() -> None:
    assert "absolute path" in refusal(working_directory="here")


@pytest.mark.parametrize("name", ["a b", "a\nb", "x" * 65, "näme", "a/b", "-", ";"])
def test_a_host_name_that_would_not_be_one_is_refused(name: str) -> None:
    assert "invalid hostname" in refusal(hostname=name)


# ---- privileges


def caps(**options: Any) -> set[str]:
    held = made(**options).process.capabilities
    assert held.bounding == held.effective == held.permitted
    assert held.inheritable == held.ambient == 0
    return {name.removeprefix("CAP_") for name in capabilities.names(held.bounding)}


def test_dockers_fourteen_capabilities() -> None:
    assert capabilities.mask(caps()) == DEFAULT_CAPABILITIES == 0xA80425FB


def test_capabilities_are_added_and_dropped_as_docker_does() -> None:
    assert caps(capabilities_add=("sys_admin",), capabilities_drop=("CAP_CHOWN",)) == caps() - {"CHOWN"} | {"SYS_ADMIN"}
    assert caps(capabilities_add=("ALL",)) == set(capabilities.NAMES)
    assert caps(capabilities_add=("ALL",), capabilities_drop=("MKNOD",)) == set(capabilities.NAMES) - {"MKNOD"}
    assert caps(capabilities_drop=("all",)) == set()
    assert caps(capabilities_drop=("ALL",), capabilities_add=("KILL",)) == {"KILL"}
    assert caps(privileged=True, capabilities_drop=("KILL",)) == set(capabilities.NAMES)


def test_unknown_capabilities_are_refused_in_dockers_words() -> None:
    assert refusal(capabilities_add=("foo",)) == 'invalid CapAdd: unknown capability: "CAP_FOO"'
    assert refusal(capabilities_drop=("bar",)) == 'invalid CapDrop: unknown capability: "CAP_BAR"'


def test_what_the_host_lacks_is_left_out() -> None:
    lacking = capabilities.ALL & ~capabilities.mask(["SYS_RESOURCE", "KILL"])
    for options in ({}, {"privileged": True}, {"capabilities_add": ("SYS_RESOURCE",)}):
        spec = build(config(**options), Image(), AROUND.replace(host_capabilities=lacking))
        assert spec.process.capabilities.bounding & ~lacking == 0


def test_privileged_opens_everything() -> None:
    spec = made(privileged=True)
    assert spec.linux.seccomp is None
    assert spec.linux.masked_paths == spec.linux.readonly_paths == ()
    assert spec.linux.resources.devices == devices.EVERYTHING
    assert not mount(spec, "/sys").attributes & flags.MOUNT_ATTR_RDONLY
    assert not mount(spec, "/sys/fs/cgroup").attributes & flags.MOUNT_ATTR_RDONLY
    assert len({node.path for node in spec.linux.devices}) == len(spec.linux.devices) >= 6


def test_security_options() -> None:
    assert made().linux.seccomp == BuiltinSeccomp(capabilities=DEFAULT_CAPABILITIES)
    assert made(security_options=("seccomp=unconfined",)).linux.seccomp is None
    assert made(security_options=("seccomp=builtin",)).linux.seccomp == made().linux.seccomp
    assert made(security_options=("no-new-privileges",)).process.no_new_privileges
    assert made(security_options=("no-new-privileges:true",)).process.no_new_privileges
    assert not made(security_options=("no-new-privileges=false",)).process.no_new_privileges
    assert made(security_options=("systempaths=unconfined",)).linux.masked_paths == ()
    assert made(security_options=("apparmor=unconfined", "label=disable")) == made()


def test_a_profile_comes_from_a_file_or_as_text(tmp_path: Path) -> None:
    text = '{"defaultAction": "SCMP_ACT_ALLOW"}'
    path = tmp_path / "profile.json"
    path.write_text(text)
    for option in (f"seccomp={path}", f"seccomp={text}"):
        assert isinstance(made(security_options=(option,), privileged=True).linux.seccomp, Seccomp)
    assert "seccomp profile" in refusal(security_options=("seccomp=/nowhere",))


@pytest.mark.parametrize("option", ["", "foo", "foo=bar", "no-new-privileges=maybe", "seccomp", "systempaths=x"])
def test_unknown_security_options_are_refused(option: str) -> None:
    assert "invalid --security-opt" in refusal(security_options=(option,))


def test_profiles_that_we_would_not_set_are_not_promised() -> None:
    assert "apparmor" in refusal(NotSupported, security_options=("apparmor=docker-default",))
    assert "label" in refusal(NotSupported, security_options=("label=type:x",))


# ---- namespaces


def kinds(spec: Spec) -> dict[str, str]:
    return {namespace.kind: namespace.path for namespace in spec.linux.namespaces}


def test_every_namespace_is_new_by_default() -> None:
    expected = {"mount", "pid", "uts", "ipc", "cgroup", "network"}
    assert set(kinds(made())) - {"time"} == expected
    assert set(kinds(made()).values()) == {""}


def test_the_network_is_shared_as_asked() -> None:
    assert "network" not in kinds(made(network="host"))
    joined = build(config(network="container:x"), Image(), AROUND.replace(lent={"network": "/proc/7/ns/net"}))
    assert kinds(joined)["network"] == "/proc/7/ns/net"


# ---- mounts


def test_the_usual_mounts_and_their_flags() -> None:
    everything_off = flags.MOUNT_ATTR_NOSUID | flags.MOUNT_ATTR_NODEV | flags.MOUNT_ATTR_NOEXEC
    spec = made(shm_size_bytes=MIB)
    assert [m.destination for m in spec.mounts] == [
        "/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm",
    ]  # fmt: skip
    assert mount(spec, "/proc").attributes == everything_off
    assert mount(spec, "/sys").attributes == everything_off | flags.MOUNT_ATTR_RDONLY
    assert mount(spec, "/dev/shm").data == ("mode=1777", f"size={MIB}")
    assert mount(made(shm_size_bytes=0), "/dev/shm").data == ("mode=1777", f"size={64 * MIB}")  # 0 would be no limit
    assert "gid=5" in mount(spec, "/dev/pts").data


def test_masked_and_read_only_paths_are_dockers_or_more() -> None:
    spec = made()
    assert set(spec.linux.masked_paths) >= {
        *(
            f"/proc/{name}"
            for name in ("acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "sched_debug")
        ),
        *(f"/proc/{name}" for name in ("scsi", "timer_list", "timer_stats")),
        "/sys/devices/virtual/powercap",
        "/sys/firmware",
    }
    throttles = {str(path) for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle")}
    assert throttles <= set(spec.linux.masked_paths)
    assert set(spec.linux.readonly_paths) >= {f"/proc/{name}" for name in ("bus", "fs", "irq", "sys", "sysrq-trigger")}


def test_binds_follow_in_order_of_depth_and_replace_ours(tmp_path: Path) -> None:
    binds = (
        BindMount(source=str(tmp_path), target="/a/b/c"),
        BindMount(source=str(tmp_path), target="/a//./b/", read_only=True),
        BindMount(source=str(tmp_path), target="/dev/shm"),
    )
    spec = made(binds=binds)
    assert [m.destination for m in spec.mounts][-3:] == ["/a/b", "/dev/shm", "/a/b/c"]
    assert mount(spec, "/dev/shm").type == "bind"
    assert mount(spec, "/a/b").tree_attributes == flags.MOUNT_ATTR_RDONLY
    assert mount(spec, "/a/b").recursive


def test_a_file_is_bound_onto_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert mount(made(binds=(BindMount(source=str(file), target="/f"),)), "/f").create == "file"
    assert mount(made(binds=(BindMount(source=str(tmp_path), target="/d"),)), "/d").create == "directory"


def test_missing_sources_are_made_when_the_container_starts(tmp_path: Path) -> None:
    request = config(binds=(BindMount(source=f"{tmp_path}/new/deep", target="/d"),))
    build(request, Image(), AROUND)
    assert os.listdir(tmp_path) == []
    prepare(request)
    prepare(request)
    assert (tmp_path / "new/deep").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="creating mount source path"):
        prepare(config(binds=(BindMount(source=f"{tmp_path}/file/x", target="/d"),)))


@pytest.mark.parametrize(
    "target", ["relative", "/", "//", "/.", "/a/../b", "/proc", "/proc/", "/proc/sys", "/proc/cpuinfo/x", "/proc/self"]
)
def test_targets_that_cannot_be_are_refused(target: str, tmp_path: Path) -> None:
    refusal(binds=(BindMount(source=str(tmp_path), target=target),))
    refusal(tmpfs=(TmpfsMount(target=target),))


def test_what_lxcfs_does_stays_possible(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.touch()
    assert mount(made(binds=(BindMount(source=str(file), target="/proc/cpuinfo"),)), "/proc/cpuinfo").create == "file"


def test_one_target_twice_is_refused(tmp_path: Path) -> None:
    bind = BindMount(source=str(tmp_path), target="/d")
    assert refusal(binds=(bind,), tmpfs=(TmpfsMount(target="/d/"),)) == "Duplicate mount point: /d"


def test_propagation_is_what_was_asked_for(tmp_path: Path) -> None:
    def of(kind: str) -> int:
        return mount(made(binds=(BindMount(source=str(tmp_path), target="/d", propagation=kind),)), "/d").propagation

    assert of("rprivate") == flags.MS_PRIVATE | flags.MS_REC
    assert of("rslave") == flags.MS_SLAVE | flags.MS_REC
    assert of("shared") == flags.MS_SHARED
    assert "propagation" in refusal(binds=(BindMount(source="/a", target="/d", propagation="rbind"),))


def test_tmpfs_options() -> None:
    plain = mount(made(tmpfs=(TmpfsMount(target="/t"),)), "/t")
    assert plain.attributes == flags.MOUNT_ATTR_NOSUID | flags.MOUNT_ATTR_NODEV | flags.MOUNT_ATTR_NOEXEC
    options = ("rw", "exec", "size=64k", "mode=1770", "uid=7", "noatime")
    other = mount(made(tmpfs=(TmpfsMount(target="/t", options=options),)), "/t")
    assert other.data == ("size=64k", "mode=1770", "uid=7")
    assert other.attributes == flags.MOUNT_ATTR_NOSUID | flags.MOUNT_ATTR_NODEV | flags.MOUNT_ATTR_NOATIME
    for option in ("bogus", "size", "lowerdir=/", "source=/dev/sda"):
        assert "tmpfs option" in refusal(tmpfs=(TmpfsMount(target="/t", options=(option,)),))


def test_generated_files_are_bound_unless_the_user_brings_his() -> None:
    around = AROUND.replace(hosts_file="/c/hosts", hostname_file="/c/hostname", resolv_file="/c/resolv.conf")
    spec = build(config(read_only=True), Image(), around)
    assert mount(spec, "/etc/hosts").source == "/c/hosts"
    assert mount(spec, "/etc/hosts").attributes == flags.MOUNT_ATTR_RDONLY
    mine = build(config(binds=(BindMount(source="/etc/hosts", target="/etc/hosts"),)), Image(), around)
    assert mount(mine, "/etc/hosts").source == "/etc/hosts"
    assert mount(mine, "/etc/hostname").source == "/c/hostname"
    assert spec.root.read_only


# ---- devices


def test_a_device_of_the_host_with_its_rights() -> None:
    spec = made(devices=(Device(host_path="/dev/null", container_path="/dev/x", permissions="r"),))
    assert [node.path for node in spec.linux.devices][-1] == "/dev/x"
    rule = spec.linux.resources.devices[-1]
    assert (rule.allow, rule.kind, rule.major, rule.minor, rule.access) == (True, "c", 1, 3, "r")
    assert spec.linux.resources.devices[:-1] == devices.DEFAULT


def test_a_device_that_is_not_there_is_refused_in_dockers_words() -> None:
    with pytest.raises(InvalidInput, match='adding custom device "/dev/nowhere": no such file or directory'):
        build(config(devices=(Device(host_path="/dev/nowhere", container_path="/dev/x"),)), Image(), AROUND)


def test_without_the_filter_no_device_can_be_made_or_used() -> None:
    spec = without_device_filter(made())
    assert not spec.process.capabilities.bounding & capabilities.mask(["MKNOD"])
    assert spec.root.no_devices
    assert spec.linux.resources.devices == ()
    open_mounts = {m.destination for m in spec.mounts if not m.attributes & flags.MOUNT_ATTR_NODEV}
    assert open_mounts == {"/dev", "/dev/pts"}
    privileged = made(privileged=True)
    assert without_device_filter(privileged) == privileged


NULL = Device(host_path="/dev/null", container_path="/dev/x", permissions="r")


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({}, ""),
        ({"capabilities_add": ("NET_ADMIN",)}, ""),
        ({"capabilities_add": ("cap_mknod",)}, "the container has no CAP_MKNOD"),
        ({"capabilities_add": ("ALL",), "privileged": True, "devices": (NULL,)}, ""),
        ({"devices": (NULL,)}, "of --device the permissions don't count, only the node's own mode"),
        (
            {"capabilities_add": ("ALL",), "device_rules": ("c 1:3 r",)},
            "the container has no CAP_MKNOD; --device-cgroup-rule opens nothing",
        ),
    ],
)
def test_what_was_asked_for_and_is_withheld_without_the_filter_is_said(fields: dict[str, Any], parts: str) -> None:
    said = withheld(config(**fields), "bpf: device filter: Operation not permitted")
    assert said == (f"this host refuses the device filter (operation not permitted): {parts}" if parts else "")


# ---- limits


def test_memory_and_its_swap() -> None:
    memory = made(memory_bytes=64 * MIB).linux.resources.memory
    assert (memory.limit, memory.swap, memory.swap_required) == (64 * MIB, 128 * MIB, False)
    memory = made(memory_bytes=64 * MIB, memory_swap_bytes=-1).linux.resources.memory
    assert (memory.swap, memory.swap_required) == (-1, True)
    assert made().linux.resources.memory.limit is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"memory_bytes": MIB}, "Minimum memory limit allowed is 6MB"),
        (
            {"memory_swap_bytes": 64 * MIB},
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ),
        (
            {"memory_bytes": 64 * MIB, "memory_swap_bytes": 32 * MIB},
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        ({"nano_cpus": 10**6}, "Range of CPUs is from 0.01"),
        ({"nano_cpus": 10**15}, "Range of CPUs is from 0.01"),
        ({"cpuset_cpus": "0-2147483647"}, "range of CPUs"),
        ({"cpuset_cpus": "8000"}, "Requested CPUs are not available"),
        ({"pids_limit": -2}, "limit of processes"),
        ({"shm_size_bytes": -1}, "SHM size"),
        ({"ulimits": (Ulimit(name="bogus", soft=1, hard=1),)}, "invalid ulimit type: bogus"),
        (
            {"ulimits": (Ulimit(name="nofile", soft=2, hard=1),)},
            "ulimit soft limit must be less than or equal to hard limit: 2 > 1",
        ),
    ],
)
def test_limits_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    assert words in refusal(**options)


def test_processes_are_limited_by_default_where_the_host_counts_them() -> None:
    def limit(counts: bool, **options: Any) -> int | None:
        return build(config(**options), Image(), AROUND.replace(counts_processes=counts)).linux.resources.pids_limit

    assert (limit(True), limit(False)) == (4096, None)
    assert (limit(True, pids_limit=-1), limit(True, pids_limit=7), limit(False, pids_limit=7)) == (-1, 7, 7)


def test_cpu_time() -> None:
    cpu = made(nano_cpus=5 * 10**8, cpu_shares=512).linux.resources.cpu
    assert (cpu.quota, cpu.period, cpu.shares) == (50_000, 100_000, 512)


def test_resource_limits() -> None:
    limits = made(
        ulimits=(Ulimit(name="nofile", soft=5, hard=-1), Ulimit(name="core", soft=-1, hard=-1))
    ).process.rlimits
    assert [(limit.resource, limit.soft, limit.hard) for limit in limits] == [
        (7, 5, flags.RLIM_INFINITY),
        (4, flags.RLIM_INFINITY, flags.RLIM_INFINITY),
    ]


def test_a_limit_above_what_the_host_allows_is_said() -> None:
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    request = config(ulimits=(Ulimit(name="nofile", soft=hard, hard=hard + 1),))
    lacking = AROUND.replace(host_capabilities=0)
    with pytest.raises(InvalidInput, match=f"above what this host allows \\({hard}\\)"):
        build(request, Image(), lacking)
    build(config(ulimits=(Ulimit(name="nofile", soft=1, hard=hard),)), Image(), lacking)


def test_kernel_parameters() -> None:
    assert made().linux.sysctl == {
        "net.ipv4.ping_group_range": "0 2147483647",
        "net.ipv4.ip_unprivileged_port_start": "0",
    }
    given = {
        "net.ipv4.ip_unprivileged_port_start": "1024",
        "net/ipv4/conf/eth0.1/rp_filter": "1",
        "kernel.sem": "1 2 3 4",
    }
    assert made(sysctls=given).linux.sysctl == {
        "net.ipv4.ping_group_range": "0 2147483647",
        "net.ipv4.ip_unprivileged_port_start": "1024",
        "net.ipv4.conf.eth0/1.rp_filter": "1",
        "kernel.sem": "1 2 3 4",
    }
    assert made(network="host").linux.sysctl == {}
    assert made(network="container:x").linux.sysctl == {}


@pytest.mark.parametrize(
    "key",
    ["", "net", "net.", ".net.x", "kernel.core_pattern", "vm.swappiness", "kernel.msgmax.x", "net..x", "net.ipv4/../x",
     "net/../kernel", "net/ipv4/./x", "fs.file-max", "net.a b", "net.a\n", "msgmax", "kernel.sem/x", "net.é"],
)  # fmt: skip
def test_cve_2022_0811_other_parameters_are_refused(key: str) -> None:
    assert "not allowed" in refusal(sysctls={key: "1"})


def test_a_parameters_value_is_one_line() -> None:
    assert "one line" in refusal(sysctls={"kernel.sem": "1\n2"})
    assert "host network" in refusal(sysctls={"net.ipv4.ip_forward": "1"}, network="host")


# ---- exec


def test_exec_takes_the_containers_place_and_adds_its_own() -> None:
    image = Image(Env=["A=image"], User="www", WorkingDir="/srv")
    request = ExecConfig(command=("ps",), environment=("B=2", "A=exec"))
    spec = build_exec(config(environment=("C=3",)), image, request, AROUND)
    assert spec.process.arguments == ("ps",)
    assert spec.process.environment[1:] == ("HOSTNAME=0123456789ab", "C=3", "A=exec", "B=2")
    assert (spec.process.user.name, spec.process.working_directory) == ("www", "/srv")
    assert spec.process.capabilities.bounding == DEFAULT_CAPABILITIES
    assert spec.linux.seccomp == BuiltinSeccomp(capabilities=DEFAULT_CAPABILITIES)
    other = build_exec(config(), image, ExecConfig(command=("x",), user="0", working_directory="/"), AROUND)
    assert (other.process.user.name, other.process.working_directory) == ("0", "/")


def test_a_privileged_exec_has_capabilities_but_keeps_the_filter() -> None:
    spec = build_exec(config(), Image(), ExecConfig(command=("x",), privileged=True), AROUND)
    assert spec.process.capabilities.bounding == capabilities.ALL
    assert spec.linux.seccomp == BuiltinSeccomp(capabilities=DEFAULT_CAPABILITIES)


def test_exec_without_a_command_or_with_a_relative_directory_is_refused() -> None:
    for request in (ExecConfig(command=()), ExecConfig(command=("x",), working_directory="here")):
        with pytest.raises(InvalidInput):
            build_exec(config(), Image(), request, AROUND)


def test_masked_paths_name_only_what_a_cpu_has() -> None:
    assert all("{}" not in path for path in spec_mounts.masked_paths())


def test_a_rule_for_devices_stands_beside_those_for_everybody() -> None:
    without = build(config(), Image(), AROUND).linux.resources.devices
    with_rule = build(config(device_rules=("b 7:* rw",)), Image(), AROUND).linux.resources.devices
    assert with_rule == (*without, DeviceRule(allow=True, kind="b", major=7, minor=None, access="rw"))


def test_limits_of_block_devices_name_the_device(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path, why in ((str(file), "it is no block device"), (str(tmp_path / "none"), "No such file")):
        rates = (DeviceRate(path=path, rate=5),)
        with pytest.raises(InvalidInput, match=why):
            build(config(device_read_bytes=rates), Image(), AROUND)
    device = next(path for path in Path("/dev").iterdir() if path.is_block_device())
    number = device.stat().st_rdev
    found = build(config(device_write_operations=(DeviceRate(path=str(device), rate=5),)), Image(), AROUND)
    limit = DeviceLimit(major=os.major(number), minor=os.minor(number), value=5)
    assert found.linux.resources.block_io == BlockIo(write_operations=(limit,))


def test_time_of_processors_can_be_given_as_quota_and_period() -> None:
    def cpu(**fields: int) -> Cpu:
        return build(config(**fields), Image(), AROUND).linux.resources.cpu

    assert cpu(cpu_quota_us=5000) == Cpu(quota=5000, period=100_000)
    assert cpu(cpu_quota_us=5000, cpu_period_us=20_000) == Cpu(quota=5000, period=20_000)
    assert cpu(cpu_period_us=20_000) == Cpu(period=20_000)
