"""The option table keeps its promises: parsers exist, fields exist, samples arrive, help shows every row."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest

from minirun.cli.help import command_help, main_help, noun_help
from minirun.cli.options import ABSENT, NOUNS, find, global_options, names
from minirun.cli.parse import parse_command
from minirun.cli.request import container_config, exec_config
from minirun.command_line import Command, Option
from minirun.engine.config import ContainerConfig, DeviceRate, DeviceWeight
from minirun.engine.container import ExecConfig

# What `run` reads itself, because it says how to run and nothing about the container.
OF_THE_COMMAND = {"explain", "trace", "sig-proxy", "platform", "pull", "quiet"}
# One value is possible, and it is what happens anyway.
CHECKED_ONLY = {"disable-content-trust", "isolation", "runtime", "volume-driver"}

# A value for each option of run that isn't a switch: what is given, and what ContainerConfig then holds.
SAMPLES: dict[str, tuple[str, str, Any]] = {
    "add-host": ("db:10.0.0.1", "extra_hosts", ("db:10.0.0.1",)),
    "annotation": ("a=b", "annotations", {"a": "b"}),
    "blkio-weight": ("500", "block_weight", 500),
    "blkio-weight-device": ("/dev/sda:20", "block_device_weights", (DeviceWeight(path="/dev/sda", weight=20),)),
    "log-driver": ("none", "log_driver", "none"),
    "cgroup-parent": ("/batch", "cgroup_parent", "/batch"),
    "cidfile": ("/x", "id_file", "/x"),
    "cgroupns": ("host", "cgroupns_mode", "host"),
    "cpu-period": ("50000", "cpu_period_us", 50000),
    "cpu-quota": ("25000", "cpu_quota_us", 25000),
    "cpuset-mems": ("0-1", "cpuset_mems", "0-1"),
    "device-cgroup-rule": ("c 1:3 rwm", "device_rules", ("c 1:3 rwm",)),
    "device-read-bps": ("/dev/sda:1mb", "device_read_bytes", (DeviceRate(path="/dev/sda", rate=1 << 20),)),
    "device-read-iops": ("/dev/sda:10", "device_read_operations", (DeviceRate(path="/dev/sda", rate=10),)),
    "device-write-bps": ("/dev/sda:1k", "device_write_bytes", (DeviceRate(path="/dev/sda", rate=1 << 10),)),
    "device-write-iops": ("/dev/sda:10", "device_write_operations", (DeviceRate(path="/dev/sda", rate=10),)),
    "domainname": ("example.org", "domainname", "example.org"),
    "expose": ("80-81/udp", "exposed", ("80/udp", "81/udp")),
    "ipc": ("none", "ipc_mode", "none"),
    "oom-score-adj": ("-500", "oom_score_adj", -500),
    "pid": ("container:x", "pid_mode", "container:x"),
    "uts": ("host", "uts_mode", "host"),
    "attach": ("STDOUT", "attach", ("stdout",)),
    "cap-add": ("net_admin", "capabilities_add", ("CAP_NET_ADMIN",)),
    "cap-drop": ("all", "capabilities_drop", ("ALL",)),
    "cpu-shares": ("512", "cpu_shares", 512),
    "cpus": ("1.5", "nano_cpus", 1_500_000_000),
    "cpuset-cpus": ("0-1", "cpuset_cpus", "0-1"),
    "detach-keys": ("ctrl-x", "detach_keys", "ctrl-x"),
    "dns": ("1.1.1.1", "dns", ("1.1.1.1",)),
    "dns-option": ("ndots:2", "dns_options", ("ndots:2",)),
    "dns-opt": ("ndots:2", "dns_options", ("ndots:2",)),
    "dns-search": ("example.org", "dns_search", ("example.org",)),
    "entrypoint": ("sh", "entrypoint", ("sh",)),
    "env": ("A=b", "environment", ("A=b",)),
    "group-add": ("27", "groups_add", ("27",)),
    "health-cmd": ("true", "health_command", ("CMD-SHELL", "true")),
    "health-interval": ("1m30s", "health_interval_ns", 90 * 10**9),
    "health-retries": ("2", "health_retries", 2),
    "health-start-interval": ("500ms", "health_start_interval_ns", 5 * 10**8),
    "health-start-period": ("1h", "health_start_period_ns", 3600 * 10**9),
    "health-timeout": ("1s", "health_timeout_ns", 10**9),
    "hostname": ("box", "hostname", "box"),
    "label": ("a=b", "labels", {"a": "b"}),
    "link": ("db:store", "links", ("db:store",)),
    "mac-address": ("02-42-AC-11-00-02", "mac_address", "02:42:ac:11:00:02"),
    "log-opt": ("max-file=7", "log_max_files", 7),
    "memory": ("64m", "memory_bytes", 64 << 20),
    "memory-reservation": ("32m", "memory_reservation_bytes", 32 << 20),
    "memory-swap": ("-1", "memory_swap_bytes", -1),
    "mount": ("type=tmpfs,dst=/x", "tmpfs", None),
    "name": ("box", "name", "box"),
    "network": ("host", "network", "host"),
    "net": ("host", "network", "host"),
    "pids-limit": ("-1", "pids_limit", -1),
    "publish": ("80", "ports", None),
    "restart": ("always", "restart_policy", "always"),
    "security-opt": ("no-new-privileges", "security_options", ("no-new-privileges",)),
    "shm-size": ("1g", "shm_size_bytes", 1 << 30),
    "stop-signal": ("SIGINT", "stop_signal", "SIGINT"),
    "stop-timeout": ("3", "stop_timeout_seconds", 3),
    "sysctl": ("net.ipv4.ip_forward=1", "sysctls", {"net.ipv4.ip_forward": "1"}),
    "tmpfs": ("/run:size=1m", "tmpfs", None),
    "ulimit": ("nofile=5", "ulimits", None),
    "user": ("1000:1000", "user", "1000:1000"),
    "userns": ("auto:size=1024", "userns", "auto:size=1024"),
    "volume": ("/a:/b", "binds", None),
    "volumes-from": ("web:ro", "volumes_from", ("web:ro",)),
    "device": ("/dev/null", "devices", None),
    "workdir": ("/srv", "working_directory", "/srv"),
}
FROM_FILES = {"env-file", "label-file"}  # test_values has these


def command(name: str) -> Command:
    found = find(name)
    assert found is not None
    return found


def rows() -> list[tuple[str, Option]]:
    return [("", option) for option in global_options()] + [
        (name, option) for name in names() for option in command(name).options()
    ]


@pytest.mark.parametrize("name", names())
def test_every_command_has_a_file(name: str) -> None:
    file = importlib.import_module(
        f"minirun.cli.commands.{'import_' if name == 'import' else re.sub('[ -]', '_', name)}"
    )
    assert callable(file.run)
    assert (file.__doc__ or "").startswith(f"`minirun {name}`")


def test_every_parser_of_the_table_exists() -> None:
    for name, option in rows():
        assert option.kind in ("flag", "one", "many", "map", "spread"), (name, option.name)
        assert bool(option.metavar) == (option.kind != "flag"), (name, option.name)
        if option.parser:
            topic, _, function = option.parser.partition(".")
            assert callable(getattr(importlib.import_module(f"minirun.cli.values.{topic}"), function)), (
                name,
                option.name,
            )


def test_no_command_has_two_options_of_one_name() -> None:
    for name in names():
        options = command(name).options()
        assert len({option.name for option in options}) == len(options)
        shorts = [option.short for option in options if option.short]
        assert len(set(shorts)) == len(shorts)
        assert not set(ABSENT) & {option.name for option in options}, "an option that is there can't be absent too"


def test_every_option_of_run_reaches_a_field_or_the_command() -> None:
    for option in command("run").options():
        if option.name in OF_THE_COMMAND | CHECKED_ONLY:
            assert not option.field, option.name
        else:
            assert option.field, option.name
            assert set(option.field.split()) <= set(ContainerConfig._fields), option.name
    for option in command("exec").options():
        assert not option.field or option.field in ExecConfig._fields


@pytest.mark.parametrize(
    "option", [option for option in command("run").options() if option.field], ids=lambda o: o.name
)
def test_an_option_of_run_changes_its_field(option: Option) -> None:
    if option.name in FROM_FILES:
        return
    before = ContainerConfig(image="busybox")
    if option.kind == "flag":
        parsed = parse_command(command("run"), [f"--{option.name}", "busybox"])
        assert container_config(parsed) == before.replace(**{option.field: True})
        return
    text, field, expected = SAMPLES[option.name]
    config = container_config(parse_command(command("run"), [f"--{option.name}", text, "busybox"]))
    assert field in option.field.split()
    assert getattr(config, field) != getattr(before, field)
    assert config == before.replace(**{field: getattr(config, field)}), "no other field may change"
    if expected is not None:
        assert getattr(config, field) == expected


def test_every_field_of_the_request_has_an_option() -> None:
    reached = {field for option in command("run").options() for field in option.field.split()}
    assert reached == set(ContainerConfig._fields) - {"image", "command"}


def test_a_plain_run_asks_for_nothing() -> None:
    config = container_config(parse_command(command("run"), ["busybox", "echo", "-n", "hi"]))
    assert config == ContainerConfig(image="busybox", command=("echo", "-n", "hi"))


def test_exec_builds_its_request() -> None:
    words = ["-d", "-i", "-t", "-u", "5", "-w", "/x", "-e", "A=1", "--privileged", "box", "sh", "-c"]
    assert exec_config(parse_command(command("exec"), words)) == ExecConfig(
        command=("sh", "-c"),
        environment=("A=1",),
        working_directory="/x",
        user="5",
        privileged=True,
        interactive=True,
        terminal=True,
        detach=True,
    )


@pytest.mark.parametrize("name", names())
def test_help_shows_every_row(name: str) -> None:
    text = command_help(command(name))
    assert text.startswith(f"Usage:  minirun {name} ")
    flat = " ".join(text.split())
    for option in command(name).options():
        assert (f"--{option.name} " in flat) == bool(option.help), option.name
        assert " ".join(option.help.split()) in flat
    assert all(len(line) < 80 for line in text.splitlines()[3:] if "Aliases" not in line and "minirun" not in line)


def test_help_of_ps_reads_as_dockers() -> None:
    assert """Options:
  -a, --all             Show all containers (default shows just running)
  -f, --filter filter   Filter output based on conditions provided
      --format string   Format output using a custom template:
                        'table':            Print output in table format
                        with column headers (default)
                        'table TEMPLATE':   Print output in table format
                        using the given Go template
                        'json':             Print in JSON format
                        'TEMPLATE':         Print output using the given
                        Go template.
  -n, --last int        Show n last created containers (includes all
                        states) (default -1)
  -l, --latest          Show the latest created container (includes all
                        states)
      --no-trunc        Don't truncate output
  -q, --quiet           Only display container IDs
""" in command_help(command("ps"))


def test_the_main_help_lists_every_command_and_global_option() -> None:
    text = main_help()
    for name in (*(name for name in names() if " " not in name), *NOUNS):
        assert f"\n  {name} " in text
    for option in global_options():
        assert f"--{option.name}" in text


@pytest.mark.parametrize("noun", NOUNS)
def test_nouns_lead_to_commands(noun: str) -> None:
    text = noun_help(noun)
    for verb, target in NOUNS[noun].items():
        assert not verb or find(target) is not None
    assert text.startswith(f"Usage:  minirun {noun} COMMAND")
