"""THE table of `minirun-oci`: one row per command, one row per option. No other place knows a flag.

Owns: names, short forms, kinds, help texts, which parser reads a value, which field it lands in.
Leaves to others: what a row says (command_line), the grammar (oci/parse), reading values (oci/values), the look of help
(oci/help), acting (oci/commands).

To add a flag, add a row, and a line in docs/oci.md. The field is one of Runtime (global), CreateOptions (create, run) or
ExecOptions (exec); for `update` it is the place in the specification's `linux.resources`, "memory.limit". The words are
runc's where it has the flag, else crun's. A row without a help text is accepted and not shown: it is the spelling of one of
the two, or asks for what is done anyway.
"""

# ruff: noqa: E501 -- a table is read by its columns: a row stays on one line
from __future__ import annotations

from ..command_line import Command, Option, find_command, options_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..command_line import CommandRow, Rows

# fmt: off
GLOBAL: Rows = (
    ("debug",          "",  "flag", "",        "enable debug logging", "", ""),
    ("log",            "",  "one",  "FILE",    "write log messages to FILE, journald:NAME or syslog:NAME (default: standard error)", "", ""),
    ("log-format",     "",  "one",  "FORMAT",  "format of log messages: text or json (default: text)", "values.log_format", ""),
    ("log-level",      "",  "one",  "LEVEL",   "least level of log messages: error, warning or debug (default: warning)", "values.log_level", ""),
    ("root",           "",  "one",  "DIR",     "directory of the state of containers, on a tmpfs (default: /run/minirun-oci)", "values.directory", "root"),
    ("systemd-cgroup", "",  "flag", "",        'let systemd make cgroups; cgroupsPath is then "slice:prefix:name"', "", ""),
    ("cgroup-manager", "",  "one",  "MANAGER", "who makes cgroups: cgroupfs, systemd or disabled (default: cgroupfs)", "values.cgroup_driver", "cgroup_driver"),
    ("rootless",       "",  "one",  "VALUE",   "", "", ""),  # there is nothing to choose: what the kernel refuses is said
    ("criu",           "",  "one",  "FILE",    "", "", ""),
    ("version",        "v", "flag", "",        "print the version", "", ""),
    ("V",              "",  "flag", "",        "", "", ""),
)

_CREATE: Rows = (
    ("bundle",         "b", "one",  "DIR",  "directory of the bundle (default: the current one)", "", ""),
    ("config",         "f", "one",  "FILE", "the configuration, instead of config.json of the bundle", "", ""),
    ("console-socket", "",  "one",  "PATH", "unix socket that gets the terminal's descriptor", "", "console_socket"),
    ("pidfd-socket",   "",  "one",  "PATH", "unix socket that gets a pidfd of the container's process", "", "pidfd_socket"),
    ("pid-file",       "",  "one",  "FILE", "write the process id to FILE", "", "pid_file"),
    ("preserve-fds",   "",  "one",  "N",    "pass N further descriptors, after standard streams and $LISTEN_FDS", "values.count", "preserve_fds"),
    ("no-pivot",       "",  "flag", "",     "do not use pivot_root, for a root file system on a ram disk", "", "no_pivot"),
    ("no-new-keyring", "",  "flag", "",     "keep the caller's session keyring", "", "no_new_keyring"),
)

_NO_SUBREAPER: Rows = (
    ("no-subreaper",   "",  "flag", "",     "do not adopt orphans of the container", "", ""),
)

_RUN: Rows = (
    ("detach",         "d", "flag", "",     "do not wait for the container's end", "", ""),
    ("keep",           "",  "flag", "",     "do not delete the container after its end", "", ""),
)

_KILL: Rows = (
    ("all",   "a", "flag", "", "send the signal to every process of the container", "", ""),
    ("regex", "r", "flag", "", "the id is a regular expression", "", ""),
)

_DELETE: Rows = (
    ("force", "f", "flag", "", "delete the container even if it runs, with SIGKILL", "", ""),
    ("regex", "r", "flag", "", "the id is a regular expression", "", ""),
)

_EXEC: Rows = (
    ("tty",             "t", "flag", "",          "allocate a terminal", "", ""),
    ("detach",          "d", "flag", "",          "do not wait for the end of the process", "", "detach"),
    ("user",            "u", "one",  "UID[:GID]", "numbers of user and group", "values.user", ""),
    ("additional-gids", "g", "many", "GID",       "further group", "values.group", ""),
    ("env",             "e", "many", "NAME=VALUE", "set a variable", "values.variable", ""),
    ("cap",             "c", "many", "CAP",       "add a capability", "values.capability", ""),
    ("cwd",             "",  "one",  "DIR",       "working directory in the container", "values.working_directory", ""),
    ("process",         "p", "one",  "FILE",      "process.json, instead of a command", "", ""),
    ("apparmor",        "",  "one",  "PROFILE",   "AppArmor profile of the process", "", ""),
    ("process-label",   "",  "one",  "LABEL",     "SELinux label of the process", "", ""),
    ("no-new-privs",    "",  "flag", "",          "set no_new_privs", "", ""),
    ("console-socket",  "",  "one",  "PATH",      "unix socket that gets the terminal's descriptor", "", "console_socket"),
    ("pidfd-socket",    "",  "one",  "PATH",      "unix socket that gets a pidfd of the process", "", "pidfd_socket"),
    ("pid-file",        "",  "one",  "FILE",      "write the process id to FILE", "", "pid_file"),
    ("preserve-fds",    "",  "one",  "N",         "pass N further descriptors, after standard streams and $LISTEN_FDS", "values.count", "preserve_fds"),
    ("cgroup",          "",  "one",  "PATH",      "run in this cgroup below the container's", "", "cgroup"),
    ("ignore-paused",   "",  "flag", "",          "go ahead in a paused container", "", "ignore_paused"),
)

_LIST: Rows = (
    ("format", "f", "one",  "FORMAT", "table or json (default: table)", "values.list_format", ""),
    ("quiet",  "q", "flag", "",       "only ids", "", ""),
)

_PS: Rows = (
    ("format", "f", "one",  "FORMAT", "table or json (default: table)", "values.list_format", ""),
)

_UPDATE: Rows = (
    ("resources",          "r", "one", "FILE",  'the resources as JSON, "-" for standard input; other options are then ignored', "", ""),
    ("memory",             "",  "one", "BYTES", "memory limit; -1 is unlimited", "values.size_or_unlimited", "memory.limit"),
    ("memory-reservation", "",  "one", "BYTES", "memory that is protected from being reclaimed first", "values.size_or_unlimited", "memory.reservation"),
    ("memory-swap",        "",  "one", "BYTES", "memory and swap together; -1 is unlimited", "values.size_or_unlimited", "memory.swap"),
    ("cpu-period",         "",  "one", "USEC",  "period of the CPU quota", "values.integer", "cpu.period"),
    ("cpu-quota",          "",  "one", "USEC",  "CPU time in each period; -1 is unlimited", "values.integer", "cpu.quota"),
    ("cpu-burst",          "",  "one", "USEC",  "CPU time that may be saved up", "values.integer", "cpu.burst"),
    ("cpu-share",          "",  "one", "N",     "CPU shares, relative to other containers", "values.integer", "cpu.shares"),
    ("cpu-shares",         "",  "one", "N",     "", "values.integer", "cpu.shares"),
    ("cpu-rt-period",      "",  "one", "USEC",  "refused: cgroup v2 has nothing like it", "values.integer", "cpu.realtimePeriod"),
    ("cpu-rt-runtime",     "",  "one", "USEC",  "refused: cgroup v2 has nothing like it", "values.integer", "cpu.realtimeRuntime"),
    ("cpu-idle",           "",  "one", "N",     "1: run only when nobody else wants the CPU", "values.integer", "cpu.idle"),
    ("cpuset-cpus",        "",  "one", "LIST",  "CPUs that may be used", "", "cpu.cpus"),
    ("cpuset-mems",        "",  "one", "LIST",  "memory nodes that may be used", "", "cpu.mems"),
    ("pids-limit",         "",  "one", "N",     "number of processes; -1 is unlimited", "values.integer", "pids.limit"),
    ("blkio-weight",       "",  "one", "N",     "weight of block I/O, 10 to 1000", "values.integer", "blockIO.weight"),
    ("kernel-memory",      "",  "one", "BYTES", "ignored with a warning: no kernel has it any more", "values.size_or_unlimited", ""),
    ("kernel-memory-tcp",  "",  "one", "BYTES", "ignored with a warning: cgroup v2 has nothing like it", "values.size_or_unlimited", ""),
    ("l3-cache-schema",    "",  "one", "TEXT",  "refused: Intel RDT is not supported", "", ""),
    ("mem-bw-schema",      "",  "one", "TEXT",  "refused: Intel RDT is not supported", "", ""),
)

_SPEC: Rows = (
    ("bundle",   "b", "one",  "DIR",  "directory of the bundle (default: the current one)", "", ""),
    ("file",     "f", "one",  "FILE", "name of the file (default: config.json)", "", ""),
    ("rootless", "",  "flag", "",     "for a container of a user who isn't root", "", ""),
)

_EVENTS: Rows = (
    ("interval", "", "one",  "SPAN", "time between two statistics (default: 5s)", "values.interval", ""),
    ("stats",    "", "flag", "",     "print statistics once and end", "", ""),
)

#    name        usage                                   summary                                                      group min max stop rows
_COMMANDS: tuple[CommandRow, ...] = (
    ("create",   "[OPTIONS] ID",                         "create a container that waits for start",                   "", 1, 1, False, _CREATE + _NO_SUBREAPER),
    ("start",    "ID",                                   "start the program of a created container",                  "", 1, 1, False, ()),
    ("state",    "ID",                                   "print the state of a container as JSON",                    "", 1, 1, False, ()),
    ("kill",     "[OPTIONS] ID [SIGNAL]",                "send a signal (default: TERM) to a container's first process", "", 1, 2, False, _KILL),
    ("delete",   "[OPTIONS] ID [ID...]",                 "delete what a stopped container left",                      "", 1, -1, False, _DELETE),
    ("run",      "[OPTIONS] ID",                         "create and start a container",                              "", 1, 1, False, _CREATE + _NO_SUBREAPER + _RUN),
    ("exec",     "[OPTIONS] ID COMMAND [ARG...]",        "run a further process in a container",                      "", 1, -1, True, _EXEC),
    ("ps",       "[OPTIONS] ID [PS OPTIONS]",            "list the processes of a container",                         "", 1, -1, True, _PS),
    ("list",     "[OPTIONS]",                            "list containers",                                           "", 0, 0, False, _LIST),
    ("pause",    "ID",                                   "freeze all processes of a container",                       "", 1, 1, False, ()),
    ("resume",   "ID",                                   "let a paused container go on",                              "", 1, 1, False, ()),
    ("update",   "[OPTIONS] ID",                         "change what a running container may use",                   "", 1, 1, False, _UPDATE),
    ("spec",     "[OPTIONS]",                            "write a configuration to begin with",                       "", 0, 0, False, _SPEC),
    ("events",   "[OPTIONS] ID",                         "print statistics and out-of-memory kills of a container",   "", 1, 1, False, _EVENTS),
    ("features", "",                                     "print what this runtime supports as JSON",                  "", 0, 0, False, ()),
)
# fmt: on

# What runc and crun have and minirun-oci does not.
ABSENT_COMMANDS = {
    "checkpoint": "containers can't be checkpointed",
    "restore": "containers can't be checkpointed",
    "mounts": "mounts can't be changed while a container runs",
}


def find(name: str) -> Command | None:
    """Give the command of that name."""
    return find_command(_COMMANDS, name)


def names() -> tuple[str, ...]:
    """Give the names of all commands in the order of the table."""
    return tuple(row[0] for row in _COMMANDS)


def global_options() -> tuple[Option, ...]:
    """Give the options that stand before the command."""
    return options_of(GLOBAL)
