"""Values of options: what is accepted and what it becomes; what is refused and in which words."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minirun.cli.values import (
    environment,
    health,
    keys,
    limits,
    modes,
    mounts,
    network,
    ports,
    scalars,
    security,
    times,
)
from minirun.engine.config import BindMount, Device, PortMapping, TmpfsMount, Ulimit, VolumeMount
from minirun.errors import InvalidInput


def mapping(container: int, host: int = 0, address: str = "", protocol: str = "tcp") -> PortMapping:
    return PortMapping(container_port=container, host_port=host, host_address=address, protocol=protocol)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", [mapping(80)]),
        ("80/udp", [mapping(80, protocol="udp")]),
        ("80/TCP", [mapping(80)]),
        ("8080:80", [mapping(80, 8080)]),
        ("0:80", [mapping(80)]),
        ("127.0.0.1:8080:80", [mapping(80, 8080, "127.0.0.1")]),
        ("127.0.0.1::80", [mapping(80, 0, "127.0.0.1")]),
        ("0.0.0.0:8080:80/sctp", [mapping(80, 8080, "0.0.0.0", "sctp")]),
        ("[::1]:8080:80", [mapping(80, 8080, "::1")]),
        ("[0:0::1]:8080:80", [mapping(80, 8080, "::1")]),
        ("8000-8001:80-81", [mapping(80, 8000), mapping(81, 8001)]),
        ("80-81", [mapping(80), mapping(81)]),
        ("1-1:65535-65535", [mapping(65535, 1)]),
        ("8000-8009:80", [mapping(80, 8000).replace(host_port_last=8009)]),
        ("target=80,published=8080", [mapping(80, 8080)]),
        ("target=80,protocol=udp,mode=host", [mapping(80, protocol="udp")]),
    ],
)
def test_ports(text: str, expected: list[PortMapping]) -> None:
    assert list(ports.publish(text)) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no port specified: <empty>"),
        ("8080:", "no port specified: 8080:<empty>"),
        ("abc", "invalid containerPort: abc"),
        ("0", "invalid containerPort: 0"),
        ("70000", "invalid containerPort: 70000"),
        ("-80", "invalid containerPort: -80"),
        ("81-80", "invalid containerPort: 81-80"),
        ("80-", "invalid containerPort: 80-"),
        ("٨٠", "invalid containerPort: ٨٠"),
        ("+80", "invalid containerPort: +80"),
        (" 80", "invalid containerPort:  80"),
        ("abc:80", "invalid hostPort: abc"),
        ("65536:80", "invalid hostPort: 65536"),
        ("80/foo", "invalid proto: foo"),
        ("80/", "invalid proto: "),
        ("80:80:80:80", "invalid IP address: 80:80"),
        ("1.2.3:80:80", "invalid IP address: 1.2.3"),
        ("::1:80:80", "invalid IP address: ::1"),
        ("[1.2.3.4]:80:80", "invalid IP address: [1.2.3.4]"),
        ("localhost:80:80", "invalid IP address: localhost"),
        ("80-82:80-81", "invalid ranges specified for container and host Ports: 80-81 and 80-82"),
        ("80-90:80-81", "invalid ranges specified for container and host Ports: 80-81 and 80-90"),
        ("published=80", "missing mandatory field 'target'"),
        ("target=x", "invalid target port (x): value must be an integer"),
        ("target=80,port=1", "invalid field key port"),
        ("target=80,x", "invalid field x"),
        ("target=80,mode=odd", "invalid publish mode (odd): must be either 'ingress' or 'host'"),
        ("target=80,protocol=foo", "invalid proto: foo"),
    ],
)
def test_malformed_ports(text: str, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ports.publish(text)
    assert str(caught.value) == sentence


def bind(source: str, target: str, **more: Any) -> BindMount:
    return BindMount(source=source, target=target, **more)


def test_volumes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    here = os.getcwd()
    for text, expected in {
        "/a:/b": bind("/a", "/b"),
        "/a/../c/:/b//d/.": bind("/c", "/b/d"),
        "/a:/b:ro": bind("/a", "/b", read_only=True),
        "/a:/b:rw": bind("/a", "/b"),
        "/a:/b:ro,rslave": bind("/a", "/b", read_only=True, propagation="rslave"),
        "/a:/b:z,shared": bind("/a", "/b", propagation="shared"),
        "./x:/b": bind(f"{here}/x", "/b"),
        ".:/b": bind(here, "/b"),
        "../x:/b": bind(f"{os.path.dirname(here)}/x", "/b"),
        "/:/host": bind("/", "/host"),
    }.items():
        assert mounts.volume(text) == (("binds", (expected,)),), text


def test_volumes_by_name_and_without() -> None:
    for text, expected in {
        "/x/": VolumeMount(target="/x"),
        "data:/b": VolumeMount(name="data", target="/b", mode="z"),
        "data:/b:ro,nocopy": VolumeMount(name="data", target="/b", read_only=True, copy=False, mode="ro,nocopy"),
        "data:/b:Z": VolumeMount(name="data", target="/b", mode="Z"),
    }.items():
        assert mounts.volume(text) == (("volumes", (expected,)),), text
    assert mounts.mount("src=data,dst=/b,ro,volume-nocopy=1,volume-label=a=b,volume-label=c,volume-opt=o=bind") == (
        (
            "volumes",
            (
                VolumeMount(
                    name="data",
                    target="/b",
                    read_only=True,
                    copy=False,
                    mode="z",
                    labels={"a": "b", "c": ""},
                    options={"o": "bind"},
                    by_mount=True,
                ),
            ),
        ),
    )


def test_mounts_written_out() -> None:
    for text, expected in {
        "type=bind,source=/a,target=/b,readonly": bind("/a", "/b", read_only=True),
        "type=bind,src=/a,dst=/b,ro=False,bind-propagation=rshared": bind("/a", "/b", propagation="rshared"),
        "type=bind,src=/a,dst=/b,consistency=cached": bind("/a", "/b"),
        "type=bind,src=/a,dst=/b,bind-nonrecursive": bind("/a", "/b", submounts="disabled"),
        "type=bind,src=/a,dst=/b,bind-nonrecursive=0": bind("/a", "/b"),
        "type=bind,src=/a,dst=/b,ro,bind-recursive=writable": bind("/a", "/b", read_only=True, submounts="writable"),
        "type=bind,src=/a,dst=/b,ro,bind-recursive=readonly": bind("/a", "/b", read_only=True, submounts="readonly"),
        'type=bind,"src=/a,b",dst=/b': bind("/a,b", "/b"),
    }.items():
        assert mounts.mount(text) == (("binds", (expected.replace(by_mount=True),)),), text
    for text, options in {
        "type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=1777": ("size=1048576", "mode=1777"),
        "type=tmpfs,destination=/t,tmpfs-size=2MB,ro": ("size=2097152", "ro"),
    }.items():
        assert mounts.mount(text) == (("tmpfs", (TmpfsMount(target="/t", options=options, by_mount=True),)),), text


def test_tmpfs_and_devices() -> None:
    assert mounts.tmpfs("/run") == (TmpfsMount(target="/run"),)
    assert mounts.tmpfs("/run:rw,noexec,size=64k,mode=755") == (
        TmpfsMount(target="/run", options=("rw", "noexec", "size=64k", "mode=755")),
    )
    null = "/dev/null"
    assert mounts.device(null) == (Device(host_path=null, container_path=null),)
    assert mounts.device(f"{null}:r") == (Device(host_path=null, container_path=null, permissions="r"),)
    assert mounts.device(f"{null}:/dev/x") == (Device(host_path=null, container_path="/dev/x"),)
    assert mounts.device(f"{null}:/dev/x:rw") == (Device(host_path=null, container_path="/dev/x", permissions="rw"),)


REFUSED: list[tuple[Callable[[str], Any], str, str]] = [
    (mounts.volume, "a:b:c:d", "invalid volume specification: 'a:b:c:d'"),
    (mounts.volume, "/a::ro", "invalid volume specification: '/a::ro'"),
    (mounts.volume, "", "invalid volume specification: ''"),
    (mounts.volume, "x", "the path in the container must be absolute, not 'x'"),
    (mounts.volume, "data:/b:rslave", 'for type "volume": field BindOptions must not be specified'),
    (mounts.volume, "data:/b:ro,ro", "invalid mode: ro,ro"),
    (mounts.volume, "data:/b:owner", "invalid mode: owner"),
    (mounts.volume_driver, "nfs", 'plugin "nfs" not found'),
    (mounts.volume, "a/b:/b", "'a/b' is neither absolute nor a name; give an absolute path or ./a/b"),
    (mounts.volume, "~/a:/b", "'~/a' was not expanded by the shell"),
    (mounts.volume, "/a:b", "the path in the container must be absolute, not 'b'"),
    (mounts.volume, "/a:/x/..", "destination can't be '/'"),
    (mounts.volume, "/a://", "destination can't be '/'"),
    (mounts.volume, "/a:/b:zz", "invalid mode: zz"),
    (mounts.volume, "/a:/b:ro,rw", "invalid mode: ro,rw"),
    (mounts.volume, "/a:/b:shared,slave", "invalid mode: shared,slave"),
    (mounts.mount, "foo", "invalid field 'foo' must be a key=value pair"),
    (mounts.mount, "type=bind,foo=1,dst=/x", "unexpected key 'foo' in 'foo=1'"),
    (mounts.mount, "type=bind,dst=/x", 'invalid mount config for type "bind": field Source must not be empty'),
    (mounts.mount, "type=bind,src=/a", "target is required"),
    (mounts.mount, 'type=bind,"src=/a,dst=/x', "unexpected end of data"),
    (mounts.mount, "type=bind,src=/a,dst=/x,bind-recursive=odd", "invalid value for bind-recursive: odd (must be"),
    (mounts.mount, "type=bind,src=/a,dst=/x,bind-recursive=readonly", "requires 'readonly' to be specified"),
    (mounts.mount, "type=bind,src=/a,dst=/x,consistency=odd", "consistency is one of consistent, cached"),
    (mounts.mount, "type=tmpfs,dst=/x,tmpfs-size=odd", "invalid value for tmpfs-size: odd"),
    (mounts.mount, "type=tmpfs,dst=/x,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
    (mounts.mount, "type=tmpfs,dst=/x,bind-propagation=shared", "cannot mix 'bind-*' options with mount type 'tmpfs'"),
    (mounts.mount, "type=npipe,src=a,dst=/x", "mount type 'npipe' is unknown here"),
    (mounts.mount, "type=bind,src=/a,dst=/x,volume-label=a=b", "cannot mix 'volume-*' options with mount type 'bind'"),
    (mounts.mount, "type=volume,src=a,dst=/x,tmpfs-size=1", "cannot mix 'tmpfs-*' options with mount type 'volume'"),
    (mounts.mount, "src=a,dst=/x,volume-nocopy=perhaps", "invalid value for volume-nocopy: perhaps"),
    (mounts.mount, "src=a,dst=/x,volume-subpath=b/../..", "volume-subpath must be a relative path inside the volume"),
    (mounts.mount, "src=a,dst=/x,volume-subpath=/b", "volume-subpath must be a relative path inside the volume"),
    (mounts.mount, "type=tmpfs,src=/a,dst=/x", "field Source must not be specified"),
    (mounts.mount, "type=bind,src=/a,dst=/x,tmpfs-size=1", "cannot mix 'tmpfs-*' options with mount type 'bind'"),
    (mounts.mount, "type=bind,src=/a,dst=/x,ro=perhaps", "invalid value for ro: perhaps"),
    (mounts.mount, "type=bind,src=/a,dst=/x,bind-propagation=up", "invalid propagation value: up"),
    (mounts.tmpfs, "foo", "must be absolute"),
    (mounts.tmpfs, "/a:foo", 'invalid tmpfs option ["foo"]'),
    (mounts.tmpfs, "/a:size", 'invalid tmpfs option ["size"]'),
    (mounts.tmpfs, "/a:size=1,lowerdir=/etc", 'invalid tmpfs option ["lowerdir=/etc"]'),
    (mounts.device, "", "invalid device specification: "),
    (mounts.device, "a:b:c:d", "invalid device specification: a:b:c:d"),
    (mounts.device, "null", "'null' is not an absolute path"),
    (mounts.device, "/dev/null:/dev/x:q", "bad mode specified: q"),
    (mounts.working_directory, "foo", "the working directory 'foo' is invalid, it needs to be an absolute path"),
    (environment.variable, "", "invalid environment variable: "),
    (environment.variable, "=x", "invalid environment variable: =x"),
    (environment.label, "=x", "invalid label '=x': empty name"),
    (environment.variables_of_file, "/nonexistent", "open /nonexistent: no such file or directory"),
    (network.mode, "mine", "network mine not found"),
    (network.mode, "container:", "invalid container format container:<name|id>"),
    (network.hostname, "a b", "invalid hostname: a b"),
    (network.hostname, "a\nb", "invalid hostname: a\nb"),
    (network.hostname, "-a", "invalid hostname: -a"),
    (network.hostname, "a" * 65, "invalid hostname"),
    (network.extra_host, "foo", 'bad format for add-host: "foo"'),
    (network.extra_host, "foo:bar", 'invalid IP address in add-host: "bar"'),
    (network.extra_host, "a\n10.0.0.1 b:10.0.0.1", "invalid host name in add-host"),
    (network.extra_host, ":1.2.3.4", 'bad format for add-host: ":1.2.3.4"'),
    (network.dns_server, "foo", "IP address is not correctly formatted: foo"),
    (network.dns_server, "1.1.1.1\nnameserver 2.2.2.2", "IP address is not correctly formatted"),
    (network.dns_search, "a b", "a b is not a valid domain"),
    (network.dns_option, "a b", "'a b' is not an option of resolv.conf"),
    (limits.ulimit, "nofile", "invalid ulimit argument: nofile"),
    (limits.ulimit, "foo=1", "invalid ulimit type: foo"),
    (limits.ulimit, "nofile=x", "invalid ulimit argument: nofile=x: 'x' is not a number"),
    (limits.ulimit, "nofile=5:3", "ulimit soft limit must be less than or equal to hard limit: 5 > 3"),
    (limits.ulimit, "nofile=-1:3", "ulimit soft limit must be less than or equal to hard limit: unlimited > 3"),
    (limits.ulimit, f"nofile={1 << 63}", "is not a number"),
    (limits.sysctl, "foo", "sysctl 'foo' is not allowed"),
    (limits.sysctl, "kernel.core_pattern=|/x", "sysctl 'kernel.core_pattern=|/x' is not allowed"),
    (limits.sysctl, "net./../../kernel/x=1", "is not allowed"),
    (limits.sysctl, "net...kernel.x=1", "is not allowed"),
    (limits.sysctl, "net.=1", "is not allowed"),
    (limits.sysctl, "net.ipv4.ip_forward", "is not allowed"),
    (limits.cpu_set, "a", "Invalid value a for cpuset cpus"),
    (limits.cpu_set, "3-1", "Invalid value 3-1 for cpuset cpus"),
    (limits.cpu_set, "0,", "Invalid value 0, for cpuset cpus"),
    (limits.log_driver, "syslog", "no log driver named 'syslog'"),
    (limits.log_option, "foo=1", "unknown log opt 'foo' for json-file log driver"),
    (limits.log_option, "max-size", "unknown log opt 'max-size'"),
    (limits.log_option, "max-size=x", "invalid size: 'x'"),
    (limits.log_option, "max-size=0", "max-size must be a positive number: '0'"),
    (limits.log_option, "max-file=0", "max-file cannot be less than 1"),
    (security.capability, "", 'invalid capability: ""'),
    (security.capability, "NET ADMIN", 'invalid capability: "NET ADMIN"'),
    (security.user, "a b", "invalid user: 'a b'"),
    (security.user, "a:b:c", "invalid user: 'a:b:c'"),
    (security.group, "", "a group's name or number is needed"),
    (security.option, "foo", 'invalid --security-opt: "foo"'),
    (security.option, "no-new-privileges=x", 'invalid --security-opt: "no-new-privileges=x"'),
    (security.option, "seccomp=", 'invalid --security-opt: "seccomp="'),
    (security.option, "apparmor=mine", "minirun sets no AppArmor profiles: apparmor=mine"),
    (
        security.option,
        "seccomp=/nonexistent",
        "opening seccomp profile (/nonexistent) failed: open /nonexistent: no such file or directory",
    ),
    (scalars.integer, "x", "'x' is not a whole number"),
    (scalars.integer, "1.0", "'1.0' is not a whole number"),
    (scalars.integer, "", "'' is not a whole number"),
    (scalars.integer, "9" * 20, "is out of range"),
    (scalars.cpus, "abc", "failed to parse abc as a rational number"),
    (scalars.cpus, "-1", "failed to parse -1 as a rational number"),
    (scalars.cpus, ".", "failed to parse . as a rational number"),
    (scalars.cpus, "0.0000000001", "value is too precise"),
    (scalars.size_or_unlimited, "-2", "invalid size: '-2'"),
    (scalars.stream, "foo", "valid streams are STDIN, STDOUT and STDERR"),
    (scalars.container_name, "a b", "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
    (scalars.signal_name, "FOO", "Invalid signal: FOO"),
    (scalars.pull_policy, "foo", "invalid pull option: 'foo'"),
    (
        scalars.restart_policy,
        "on-failure:many",
        "invalid restart policy format: maximum retry count must be an integer",
    ),
    (health.time, "soon", 'time: invalid duration "soon"'),
    (health.time, "-1s", "it cannot be negative"),
    (health.count, "-1", "it cannot be negative"),
    (scalars.restart_policy, ":3", "invalid restart policy format: no policy provided before colon"),
    (scalars.object_type, "plugin", 'unknown type: "plugin"'),
    (scalars.filter_condition, "foo", "bad format of filter (expected name=value)"),
    (modes.isolation, "hyperv", "invalid isolation: \"hyperv\" - linux only supports 'default'"),
    (modes.runtime, "kata", "unknown or invalid runtime name: kata"),
    (network.mac_address, "02:42", "02:42 is not a valid mac address"),
    (network.mac_address, "01:42:ac:11:00:02", "it is that of a group"),
    (network.link, "", "empty string specified for links"),
    (network.link, "a:b:c", "bad format for links: a:b:c"),
    (network.link, ":b", "bad format for links: :b"),
    (network.link, "db:two words", 'invalid alias "two words" for a link'),
    (limits.log_option, "mode=x", "logger: logging mode not supported: x"),
    (limits.log_option, "max-buffer-size=x", "error parsing option max-buffer-size"),
    (limits.log_option, "compress=true", "max-size and max-file bound them"),
    (limits.log_option, "compress=x", "log option compress: 'x' is neither true nor false"),
    (network.mode, "name=bridge,alias=x", "network-scoped aliases are only supported for user-defined networks"),
    (network.mode, "name=bridge,ip=10.0.0.1", "user specified IP address is supported on user defined networks only"),
    (network.mode, "name=bridge,x=y", "invalid field: x"),
    (scalars.context, "remote", 'context "remote": context not found'),
    (scalars.log_level, "loud", "unable to parse logging level: loud"),
    (keys.checked, "ctrl-xx", "Invalid detach keys: Unknown character: 'ctrl-xx'"),
    (keys.checked, "a,,b", "Invalid detach keys: Unknown character: ''"),
    (times.instant, "foo", "'foo' is neither a time"),
    (times.instant, "", "'' is neither a time"),
    (times.instant, "2026-13-01", "'2026-13-01' is neither a time"),
]


@pytest.mark.parametrize(("read", "text", "sentence"), REFUSED, ids=lambda value: repr(value)[:40])
def test_malformed_values(read: Callable[[str], Any], text: str, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(text)
    assert sentence in str(caught.value)


ACCEPTED: list[tuple[Callable[[str], Any], str, Any]] = [
    (environment.variable, "A=b=c", ("A=b=c",)),
    (environment.variable, "A=", ("A=",)),
    (environment.variable, "MINIRUN_TEST_NOT_SET", ("MINIRUN_TEST_NOT_SET",)),
    (environment.label, "a=b=c", (("a", "b=c"),)),
    (environment.label, "a", (("a", ""),)),
    (network.mode, "", "bridge"),
    (network.mode, "default", "bridge"),
    (network.mode, "container:box", "container:box"),
    (network.extra_host, "a:::1", ("a:::1",)),
    (network.extra_host, "a=[::1]", ("a:::1",)),
    (network.extra_host, "host.docker.internal:host-gateway", ("host.docker.internal:host-gateway",)),
    (network.dns_search, ".", (".",)),
    (limits.ulimit, "nofile=5", (Ulimit(name="nofile", soft=5, hard=5),)),
    (limits.ulimit, "core=0:-1", (Ulimit(name="core", soft=0, hard=-1),)),
    (limits.sysctl, "kernel.shmmax=1=2", (("kernel.shmmax", "1=2"),)),
    (limits.cpu_set, "0-3,7", "0-3,7"),
    (limits.log_option, "env-regex=^A=b", (("log_env_regex", "^A=b"),)),
    (limits.log_option, "tag=", (("log_tag", ""),)),
    (limits.log_option, "max-size=1.5k", (("log_max_bytes", 1500),)),
    (limits.processes, "-5", -1),
    (limits.processes, "0", -1),
    (limits.log_option, "compress=false", ()),
    (limits.log_option, "mode=non-blocking", (("log_mode", "non-blocking"),)),
    (network.link, "db", ("db:db",)),
    (network.link, "/db", ("/db:db",)),
    (security.capability, "sys_ptrace", ("CAP_SYS_PTRACE",)),
    (security.capability, "CAP_CHOWN", ("CAP_CHOWN",)),
    (security.option, "no-new-privileges:true", ("no-new-privileges",)),
    (security.option, "no-new-privileges=false", ()),
    (security.option, "seccomp:unconfined", ("seccomp=unconfined",)),
    (security.option, "label=disable", ()),
    (scalars.cpus, "2", 2_000_000_000),
    (scalars.cpus, ".5", 500_000_000),
    (scalars.cpus, "0.000000001", 1),
    (scalars.cpus, "1.5000000000", 1_500_000_000),
    (scalars.tail, "all", None),
    (scalars.tail, "-1", None),
    (scalars.tail, "x", None),
    (network.mode, "name=bridge", "bridge"),
    (scalars.tail, "0", 0),
    (scalars.signal_name, "rtmin+3", "rtmin+3"),
    (scalars.signal_name, "", ""),  # an empty value is none: scripts have empty variables
    (scalars.pull_policy, "", ""),
    (scalars.filter_condition, "", ()),
    (limits.cpu_set, "", ""),
    (limits.memory_nodes, "", ""),
    (network.dns_option, "", ()),
    (times.bound, "", None),
    (times.bound, "0", 0),
    (scalars.filter_condition, "Name = a=b", (("name", "a=b"),)),
    (keys.to_bytes, "", b"\x10\x11"),
    (keys.to_bytes, "ctrl-@,a,ctrl-[,ctrl-Z", b"\x00a\x1b\x1a"),
    (mounts.working_directory, "/a//b/../c/", "/a/c"),
    (mounts.clean, "//x", "/x"),
    (times.instant, "1767323045", 1767323045 * 10**9),
    (times.instant, "1767323045.25", 1767323045_250000000),
    (times.instant, "2026-01-02T03:04:05Z", 1767323045 * 10**9),
    (times.instant, "2026-01-02T03:04:05.123456789Z", 1767323045_123456789),
    (times.instant, "2026-01-02T05:04:05+02:00", 1767323045 * 10**9),
]


@pytest.mark.parametrize(("read", "text", "expected"), ACCEPTED, ids=lambda value: repr(value)[:40])
def test_accepted_values(read: Callable[[str], Any], text: str, expected: Any) -> None:
    assert read(text) == expected


def test_a_variable_without_a_value_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIRUN_TEST_SET", "x=y")
    assert environment.variable("MINIRUN_TEST_SET") == ("MINIRUN_TEST_SET=x=y",)


def test_files_of_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIRUN_TEST_SET", "1")
    file = tmp_path / "env"
    file.write_bytes(
        b'\xef\xbb\xbf# comment\n\n  A=b  \r\nB="quoted" # kept\nMINIRUN_TEST_SET\nMINIRUN_TEST_NOT_SET\nC='
    )
    assert environment.variables_of_file(str(file)) == ("A=b  ", 'B="quoted" # kept', "MINIRUN_TEST_SET=1", "C=")
    file.write_text("a=b\nc\n")
    assert environment.labels_of_file(str(file)) == (("a", "b"), ("c", ""))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"A B=c", "variable 'A B' contains whitespaces"),
        (b"=c", "no variable name on line '=c'"),
        (b"A=1\nB=\xff", "invalid utf8 bytes at line 2"),
        (b"A=\0", "it holds a zero byte"),
    ],
)
def test_malformed_files_of_variables(tmp_path: Path, content: bytes, sentence: str) -> None:
    file = tmp_path / "env"
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match=sentence):
        environment.variables_of_file(str(file))


def test_spans_lie_before_now(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1767323045 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: now)
    for text, span in {"10m": 600 * 10**9, "1h30m": 5400 * 10**9, "1.5s": 1_500_000_000, "200ms": 200_000_000}.items():
        assert times.instant(text) == now - span


def test_a_day_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    try:
        assert times.instant("2026-01-02") == (1767312000 - 7200) * 10**9
        assert times.instant("2026-01-02T03:04") == (1767323040 - 7200) * 10**9
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_name_in_a_file_takes_nothing_away(tmp_path: Path) -> None:
    """Docker tells it from `-e NAME`, which takes the image's variable away."""
    file = tmp_path / "env"
    file.write_text("MINIRUN_TEST_NOT_SET\nA=b\n")
    assert environment.variables_of_file(str(file)) == ("A=b",)
