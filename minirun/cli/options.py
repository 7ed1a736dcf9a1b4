"""THE table of the command line: one row per command, one row per option. No other place knows a flag.

Owns: names, short forms, kinds, help texts, which parser reads a value, which field of the request it lands in.
Leaves to others: what a row says (command_line), docker's words around it (cli/parse), the look of help (cli/help), reading
values (cli/values), acting (cli/commands).

To add a flag, add a row. Its field is one of ContainerConfig (run, create) or ExecConfig (exec). `--env` comes after
`--env-file` and so overrides it. This file is long because it is a table.
"""

# ruff: noqa: E501, SIM905 -- a table is read by its columns: a row stays on one line
from __future__ import annotations

from ..command_line import Command, Option, find_command, options_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..command_line import CommandRow, Rows

_FORMAT_HELP = """Format output using a custom template:
'table':            Print output in table format with column headers (default)
'table TEMPLATE':   Print output in table format using the given Go template
'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template."""

_OBJECT_FORMAT_HELP = """Format output using a custom template:
'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template."""

_DETACH_KEYS_HELP = "Override the key sequence for detaching a container"

# fmt: off
GLOBAL: Rows = (
    ("config",   "",  "one",  "string", "Location of client config files", "scalars.directory", ""),
    ("context",  "c", "one",  "string", 'Name of the context; there is one, "default"', "scalars.context", ""),
    ("debug",    "D", "flag", "",       "Show where an error comes from (traceback)", "", ""),
    ("help",     "",  "flag", "",       "Print usage", "", ""),
    ("log-level", "l", "one", "string", 'Set the logging level ("debug", "info", "warn", "error", "fatal") (default "info")', "scalars.log_level", ""),
    ("root",     "",  "one",  "string", 'Directory of all state that survives a reboot (default "/var/lib/minirun")', "scalars.directory", ""),
    ("run-root", "",  "one",  "string", 'Directory of all state that does not (default "/run/minirun")', "scalars.directory", ""),
    ("version",  "v", "flag", "",       "Print version information and quit", "", ""),
)

_CONTAINER: Rows = (
    ("add-host",     "",  "many",   "list",    "Add a custom host-to-IP mapping (host:ip)", "network.extra_host", "extra_hosts"),
    ("annotation",   "",  "map",    "map",     "Add an annotation to the container (passed through to the OCI runtime) (default map[])", "environment.annotation", "annotations"),
    ("attach",       "a", "many",   "list",    "Attach to STDIN, STDOUT or STDERR", "scalars.stream", "attach"),
    ("blkio-weight", "",  "one",    "uint16",  "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)", "scalars.integer", "block_weight"),
    ("blkio-weight-device", "", "many", "list", "Block IO weight (relative device weight) (default [])", "limits.device_weight", "block_device_weights"),
    ("cap-add",      "",  "many",   "list",    "Add Linux capabilities", "security.capability", "capabilities_add"),
    ("cap-drop",     "",  "many",   "list",    "Drop Linux capabilities", "security.capability", "capabilities_drop"),
    ("cgroup-parent", "", "one",    "string",  "Optional parent cgroup for the container", "", "cgroup_parent"),
    ("cgroupns",     "",  "one",    "string",  "Cgroup namespace to use (host|private)", "modes.cgroupns", "cgroupns_mode"),
    ("cidfile",      "",  "one",    "string",  "Write the container ID to the file", "", "id_file"),
    ("cpu-period",   "",  "one",    "int",     "Limit CPU CFS (Completely Fair Scheduler) period", "scalars.integer", "cpu_period_us"),
    ("cpu-quota",    "",  "one",    "int",     "Limit CPU CFS (Completely Fair Scheduler) quota", "scalars.integer", "cpu_quota_us"),
    ("cpu-shares",   "c", "one",    "int",     "CPU shares (relative weight)", "scalars.integer", "cpu_shares"),
    ("cpus",         "",  "one",    "decimal", "Number of CPUs", "scalars.cpus", "nano_cpus"),
    ("cpuset-cpus",  "",  "one",    "string",  "CPUs in which to allow execution (0-3, 0,1)", "limits.cpu_set", "cpuset_cpus"),
    ("cpuset-mems",  "",  "one",    "string",  "MEMs in which to allow execution (0-3, 0,1)", "limits.memory_nodes", "cpuset_mems"),
    ("device",       "",  "many",   "list",    "Add a host device to the container", "mounts.device", "devices"),
    ("disable-content-trust", "", "flag", "", "Skip image verification (default true)", "", ""),
    ("device-cgroup-rule", "", "many", "list", "Add a rule to the cgroup allowed devices list", "scalars.item", "device_rules"),
    ("device-read-bps", "", "many", "list",    "Limit read rate (bytes per second) from a device (default [])", "limits.bytes_rate", "device_read_bytes"),
    ("device-read-iops", "", "many", "list",   "Limit read rate (IO per second) from a device (default [])", "limits.operations_rate", "device_read_operations"),
    ("device-write-bps", "", "many", "list",   "Limit write rate (bytes per second) to a device (default [])", "limits.bytes_rate", "device_write_bytes"),
    ("device-write-iops", "", "many", "list",  "Limit write rate (IO per second) to a device (default [])", "limits.operations_rate", "device_write_operations"),
    ("dns",          "",  "many",   "list",    "Set custom DNS servers", "network.dns_server", "dns"),
    ("dns-option",   "",  "many",   "list",    "Set DNS options", "network.dns_option", "dns_options"),
    ("dns-opt",      "",  "many",   "list",    "", "network.dns_option", "dns_options"),
    ("dns-search",   "",  "many",   "list",    "Set custom DNS search domains", "network.dns_search", "dns_search"),
    ("domainname",   "",  "one",    "string",  "Container NIS domain name", "network.hostname", "domainname"),
    ("entrypoint",   "",  "one",    "string",  "Overwrite the default ENTRYPOINT of the image", "scalars.entrypoint", "entrypoint"),
    ("env-file",     "",  "many",   "list",    "Read in a file of environment variables", "environment.variables_of_file", "environment"),
    ("env",          "e", "many",   "list",    "Set environment variables", "environment.variable", "environment"),
    ("expose",       "",  "many",   "list",    "Expose a port or a range of ports", "ports.expose", "exposed"),
    ("group-add",    "",  "many",   "list",    "Add additional groups to join", "security.group", "groups_add"),
    ("health-cmd",   "",  "one",    "string",  "Command to run to check health", "health.command", "health_command"),
    ("health-interval", "", "one",  "duration", "Time between running the check (ms|s|m|h) (default 0s)", "health.time", "health_interval_ns"),
    ("health-retries", "", "one",   "int",     "Consecutive failures needed to report unhealthy", "health.count", "health_retries"),
    ("health-start-interval", "", "one", "duration", "Time between running the check during the start period (ms|s|m|h) (default 0s)", "health.time", "health_start_interval_ns"),
    ("health-start-period", "", "one", "duration", "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)", "health.time", "health_start_period_ns"),
    ("health-timeout", "", "one",   "duration", "Maximum time to allow one check to run (ms|s|m|h) (default 0s)", "health.time", "health_timeout_ns"),
    ("hostname",     "h", "one",    "string",  "Container host name", "network.hostname", "hostname"),
    ("init",         "",  "flag",   "",        "Run an init inside the container that forwards signals and reaps processes", "", "init"),
    ("interactive",  "i", "flag",   "",        "Keep STDIN open even if not attached", "", "interactive"),
    ("isolation",    "",  "one",    "string",  "Container isolation technology", "modes.isolation", ""),
    ("ipc",          "",  "one",    "string",  "IPC mode to use", "modes.ipc", "ipc_mode"),
    ("label-file",   "",  "map",    "list",    "Read in a line delimited file of labels", "environment.labels_of_file", "labels"),
    ("label",        "l", "map",    "list",    "Set meta data on a container", "environment.label", "labels"),
    ("link",         "",  "many",   "list",    "Add link to another container", "network.link", "links"),
    ("log-driver",   "",  "one",    "string",  "Logging driver for the container", "limits.log_driver", "log_driver"),
    ("log-opt",      "",  "spread", "list",    "Log driver options", "limits.log_option", "log_max_bytes log_max_files log_mode log_buffer log_env log_env_regex log_labels log_labels_regex log_tag"),
    ("mac-address",  "",  "one",    "string",  "Container MAC address (e.g., 92:d0:c6:0a:29:33)", "network.mac_address", "mac_address"),
    ("memory",       "m", "one",    "bytes",   "Memory limit", "scalars.size", "memory_bytes"),
    ("memory-reservation", "", "one", "bytes", "Memory soft limit", "scalars.size", "memory_reservation_bytes"),
    ("memory-swap",  "",  "one",    "bytes",   "Swap limit equal to memory plus swap: '-1' to enable unlimited swap", "scalars.size_or_unlimited", "memory_swap_bytes"),
    ("mount",        "",  "spread", "mount",   "Attach a filesystem mount to the container", "mounts.mount", "binds tmpfs volumes image_mounts"),
    ("name",         "",  "one",    "string",  "Assign a name to the container", "scalars.container_name", "name"),
    ("network",      "",  "one",    "network", "Connect a container to a network", "network.mode", "network"),
    ("net",          "",  "one",    "network", "", "network.mode", "network"),
    ("no-healthcheck", "", "flag",  "",        "Disable any container-specified HEALTHCHECK", "", "no_healthcheck"),
    ("oom-score-adj", "", "one",    "int",     "Tune host's OOM preferences (-1000 to 1000)", "scalars.integer", "oom_score_adj"),
    ("pid",          "",  "one",    "string",  "PID namespace to use", "modes.pid", "pid_mode"),
    ("pids-limit",   "",  "one",    "int",     "Tune container pids limit (set -1 for unlimited)", "limits.processes", "pids_limit"),
    ("privileged",   "",  "flag",   "",        "Give extended privileges to this container", "", "privileged"),
    ("publish",      "p", "many",   "list",    "Publish a container's port(s) to the host", "ports.publish", "ports"),
    ("publish-all",  "P", "flag",   "",        "Publish all exposed ports to random ports", "", "publish_all"),
    ("platform",     "",  "one",    "string",  "Set platform if server is multi-platform capable", "", ""),
    ("pull",         "",  "one",    "string",  'Pull image before running ("always", "missing", "never") (default "missing")', "scalars.pull_policy", ""),
    ("quiet",        "q", "flag",   "",        "Suppress the pull output", "", ""),
    ("read-only",    "",  "flag",   "",        "Mount the container's root filesystem as read only", "", "read_only"),
    ("restart",      "",  "spread", "string",  'Restart policy to apply when a container exits (default "no")', "scalars.restart_policy", "restart_policy restart_retries"),
    ("restart-on-unhealthy", "", "flag", "",   "Stop and start the container when its health check says that it is unhealthy", "", "restart_on_unhealthy"),
    ("rm",           "",  "flag",   "",        "Automatically remove the container and its associated anonymous volumes when it exits", "", "auto_remove"),
    ("runtime",      "",  "one",    "string",  "Runtime to use for this container", "modes.runtime", ""),
    ("security-opt", "",  "many",   "list",    "Security Options", "security.option", "security_options"),
    ("shm-size",     "",  "one",    "bytes",   "Size of /dev/shm", "scalars.size", "shm_size_bytes"),
    ("stop-signal",  "",  "one",    "string",  "Signal to stop the container", "scalars.signal_name", "stop_signal"),
    ("stop-timeout", "",  "one",    "int",     "Timeout (in seconds) to stop a container", "scalars.integer", "stop_timeout_seconds"),
    ("sysctl",       "",  "map",    "map",     "Sysctl options (default map[])", "limits.sysctl", "sysctls"),
    ("tmpfs",        "",  "many",   "list",    "Mount a tmpfs directory", "mounts.tmpfs", "tmpfs"),
    ("tty",          "t", "flag",   "",        "Allocate a pseudo-TTY", "", "terminal"),
    ("ulimit",       "",  "many",   "ulimit",  "Ulimit options (default [])", "limits.ulimit", "ulimits"),
    ("user",         "u", "one",    "string",  "Username or UID (format: <name|uid>[:<group|gid>])", "security.user", "user"),
    ("userns",       "",  "one",    "string",  'User namespace to use ("host", "auto", "auto:size=N")', "security.user_namespace", "userns"),
    ("volume",       "v", "spread", "list",    "Bind mount a volume", "mounts.volume", "binds volumes"),
    ("uts",          "",  "one",    "string",  "UTS namespace to use", "modes.uts", "uts_mode"),
    ("volume-driver", "", "one",    "string",  "Optional volume driver for the container", "mounts.volume_driver", ""),
    ("volumes-from", "",  "many",   "list",    "Mount volumes from the specified container(s)", "scalars.item", "volumes_from"),
    ("workdir",      "w", "one",    "string",  "Working directory inside the container", "mounts.working_directory", "working_directory"),
)

_RUN: Rows = (
    ("detach",      "d", "flag", "",       "Run container in background and print container ID", "", "detached"),
    ("detach-keys", "",  "one",  "string", _DETACH_KEYS_HELP, "keys.checked", "detach_keys"),
    ("explain",     "",  "flag", "",       "Print the plan of the start, operation by operation, and start nothing", "", ""),
    ("sig-proxy",   "",  "flag", "",       "Proxy received signals to the process (default true)", "", ""),
    ("trace",       "",  "flag", "",       "Print each operation of the start with its time, in microseconds", "", ""),
)

_EXEC: Rows = (
    ("detach",      "d", "flag", "",       "Detached mode: run command in the background", "", "detach"),
    ("detach-keys", "",  "one",  "string", _DETACH_KEYS_HELP, "keys.checked", ""),
    ("env-file",    "",  "many", "list",   "Read in a file of environment variables", "environment.variables_of_file", "environment"),
    ("env",         "e", "many", "list",   "Set environment variables", "environment.variable", "environment"),
    ("interactive", "i", "flag", "",       "Keep STDIN open even if not attached", "", "interactive"),
    ("privileged",  "",  "flag", "",       "Give extended privileges to the command", "", "privileged"),
    ("tty",         "t", "flag", "",       "Allocate a pseudo-TTY", "", "terminal"),
    ("user",        "u", "one",  "string", 'Username or UID (format: "<name|uid>[:<group|gid>]")', "security.user", "user"),
    ("workdir",     "w", "one",  "string", "Working directory inside the container", "mounts.working_directory", "working_directory"),
)

_PS: Rows = (
    ("all",      "a", "flag", "",       "Show all containers (default shows just running)", "", ""),
    ("filter",   "f", "many", "filter", "Filter output based on conditions provided", "scalars.filter_condition", ""),
    ("format",   "",  "one",  "string", _FORMAT_HELP, "", ""),
    ("last",     "n", "one",  "int",    "Show n last created containers (includes all states) (default -1)", "scalars.integer", ""),
    ("latest",   "l", "flag", "",       "Show the latest created container (includes all states)", "", ""),
    ("no-trunc", "",  "flag", "",       "Don't truncate output", "", ""),
    ("quiet",    "q", "flag", "",       "Only display container IDs", "", ""),
    ("size",     "s", "flag", "",       "Display total file sizes", "", ""),
)

_IMAGES: Rows = (
    ("all",      "a", "flag", "",       "Show all images (default hides intermediate images)", "", ""),
    ("digests",  "",  "flag", "",       "Show digests", "", ""),
    ("filter",   "f", "many", "filter", "Filter output based on conditions provided", "scalars.filter_condition", ""),
    ("format",   "",  "one",  "string", _FORMAT_HELP, "", ""),
    ("no-trunc", "",  "flag", "",       "Don't truncate output", "", ""),
    ("quiet",    "q", "flag", "",       "Only show image IDs", "", ""),
    ("tree",     "",  "flag", "",       "List multi-platform images as a tree", "", ""),
)

_START: Rows = (
    ("attach",      "a", "flag", "",       "Attach STDOUT/STDERR and forward signals", "", ""),
    ("detach-keys", "",  "one",  "string", _DETACH_KEYS_HELP, "keys.checked", ""),
    ("interactive", "i", "flag", "",       "Attach container's STDIN", "", ""),
)

_STOP: Rows = (
    ("signal",  "s", "one", "string", "Signal to send to the container", "", ""),
    ("timeout", "t", "one", "int",    "Seconds to wait before killing the container", "scalars.integer", ""),
    ("time",    "",  "one", "int",    "", "scalars.integer", ""),
)

_STOP_ALL: Rows = (
    ("timeout", "t", "one", "int", "Seconds to wait before killing a container", "scalars.integer", ""),
)

_KILL: Rows = (
    ("signal", "s", "one", "string", "Signal to send to the container", "", ""),
)

_RM: Rows = (
    ("force",   "f", "flag", "", "Force the removal of a running container (uses SIGKILL)", "", ""),
    ("link",    "l", "flag", "", "Remove the specified link", "", ""),
    ("volumes", "v", "flag", "", "Remove anonymous volumes associated with the container", "", ""),
)

_PULL: Rows = (
    ("all-tags", "a", "flag", "",       "Download all tagged images in the repository", "", ""),
    ("disable-content-trust", "", "flag", "", "Skip image verification (default true)", "", ""),
    ("platform", "",  "one",  "string", "Set platform if server is multi-platform capable", "", ""),
    ("quiet",    "q", "flag", "",       "Suppress verbose output", "", ""),
)

_SEARCH: Rows = (
    ("filter",   "f", "many", "filter", "Filter output based on conditions provided", "scalars.filter_condition", ""),
    ("format",   "",  "one",  "string", _FORMAT_HELP, "", ""),
    ("limit",    "",  "one",  "int",    "Max number of search results", "scalars.integer", ""),
    ("no-trunc", "",  "flag", "",       "Don't truncate output", "", ""),
)

_PUSH: Rows = (
    ("all-tags", "a", "flag", "",       "Push all tags of an image to the repository", "", ""),
    ("disable-content-trust", "", "flag", "", "Skip image signing (default true)", "", ""),
    ("platform", "",  "one",  "string", 'Push a platform-specific manifest as a single-platform image to the registry. Formatted as "os[/arch[/variant]]"', "", ""),
    ("quiet",    "q", "flag", "",       "Suppress verbose output", "", ""),
)

_LOGIN: Rows = (
    ("password",       "p", "one",  "string", "Password or Personal Access Token (PAT)", "", ""),
    ("password-stdin", "",  "flag", "",       "Take the Password or Personal Access Token (PAT) from stdin", "", ""),
    ("username",       "u", "one",  "string", "Username", "", ""),
)

_LOGS: Rows = (
    ("details",    "",  "flag", "",       "Show extra details provided to logs", "", ""),
    ("follow",     "f", "flag", "",       "Follow log output", "", ""),
    ("since",      "",  "one",  "string", 'Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)', "times.bound", ""),
    ("tail",       "n", "one",  "string", 'Number of lines to show from the end of the logs (default "all")', "scalars.tail", ""),
    ("timestamps", "t", "flag", "",       "Show timestamps", "", ""),
    ("until",      "",  "one",  "string", 'Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)', "times.bound", ""),
)

_EVENTS: Rows = (
    ("filter", "f", "many", "filter", "Filter output based on conditions provided", "scalars.filter_condition", ""),
    ("format", "",  "one",  "string", _OBJECT_FORMAT_HELP, "", ""),
    ("since",  "",  "one",  "string", "Show all events created since timestamp", "times.bound", ""),
    ("until",  "",  "one",  "string", "Stream events until this timestamp", "times.bound", ""),
)

_ATTACH: Rows = (
    ("detach-keys", "",  "one",  "string", _DETACH_KEYS_HELP, "keys.checked", ""),
    ("no-stdin",    "",  "flag", "",       "Do not attach STDIN", "", ""),
    ("sig-proxy",   "",  "flag", "",       "Proxy all received signals to the process (default true)", "", ""),
)

_INSPECT: Rows = (
    ("format", "f", "one",  "string", _OBJECT_FORMAT_HELP, "", ""),
    ("size",   "s", "flag", "",       "Display total file sizes if the type is container", "", ""),
    ("type",   "",  "one",  "string", "Only inspect objects of the given type", "scalars.object_type", ""),
)

_STATS: Rows = (
    ("all",       "a", "flag", "",       "Show all containers (default shows just running)", "", ""),
    ("format",    "",  "one",  "string", _FORMAT_HELP, "", ""),
    ("no-stream", "",  "flag", "",       "Disable streaming stats and only pull the first result", "", ""),
    ("no-trunc",  "",  "flag", "",       "Do not truncate output", "", ""),
)

_UPDATE: Rows = (
    ("blkio-weight",       "",  "one", "uint16",  "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)", "scalars.integer", "block_weight"),
    ("cpu-period",         "",  "one", "int",     "Limit CPU CFS (Completely Fair Scheduler) period", "scalars.integer", "cpu_period_us"),
    ("cpu-quota",          "",  "one", "int",     "Limit CPU CFS (Completely Fair Scheduler) quota", "scalars.integer", "cpu_quota_us"),
    ("cpu-shares",         "c", "one", "int",     "CPU shares (relative weight)", "scalars.integer", "cpu_shares"),
    ("cpus",               "",  "one", "decimal", "Number of CPUs", "scalars.cpus", "nano_cpus"),
    ("cpuset-cpus",        "",  "one", "string",  "CPUs in which to allow execution (0-3, 0,1)", "limits.cpu_set", "cpuset_cpus"),
    ("cpuset-mems",        "",  "one", "string",  "MEMs in which to allow execution (0-3, 0,1)", "limits.memory_nodes", "cpuset_mems"),
    ("memory",             "m", "one", "bytes",   "Memory limit", "scalars.size", "memory_bytes"),
    ("memory-reservation", "",  "one", "bytes",   "Memory soft limit", "scalars.size", "memory_reservation_bytes"),
    ("memory-swap",        "",  "one", "bytes",   "Swap limit equal to memory plus swap: -1 to enable unlimited swap", "scalars.size_or_unlimited", "memory_swap_bytes"),
    ("pids-limit",         "",  "one", "int",     "Tune container pids limit (set -1 for unlimited)", "limits.processes", "pids_limit"),
    ("restart",            "",  "spread", "string", "Restart policy to apply when a container exits", "scalars.new_restart_policy", "restart_policy restart_retries"),
)

_CP: Rows = (
    ("archive",     "a", "flag", "", "Archive mode (copy all uid/gid information)", "", ""),
    ("follow-link", "L", "flag", "", "Always follow symbol link in SRC_PATH", "", ""),
    ("quiet",       "q", "flag", "", "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached", "", ""),
)

_COMMIT: Rows = (
    ("author",  "a", "one",  "string", 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")', "", ""),
    ("change",  "c", "many", "list",   "Apply Dockerfile instruction to the created image", "scalars.item", ""),
    ("message", "m", "one",  "string", "Commit message", "", ""),
    ("pause",   "p", "flag", "",       "Pause container during commit (default true)", "", ""),
)

_OUTPUT: Rows = (
    ("output", "o", "one", "string", "Write to a file, instead of STDOUT", "", ""),
)

_SAVE: Rows = (
    *_OUTPUT,
    ("platform", "", "one", "string", 'Save only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")', "", ""),
)

_HISTORY: Rows = (
    ("format",   "",  "one",  "string", _FORMAT_HELP, "", ""),
    ("human",    "H", "flag", "",       "Print sizes and dates in human readable format (default true)", "", ""),
    ("no-trunc", "",  "flag", "",       "Don't truncate output", "", ""),
    ("platform", "",  "one",  "string", 'Show history for the given platform. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")', "", ""),
    ("quiet",    "q", "flag", "",       "Only show image IDs", "", ""),
)

_IMAGE_LOG: Rows = (
    ("format",   "",  "one",  "string", _FORMAT_HELP, "", ""),
    ("no-trunc", "",  "flag", "",       "Don't truncate output", "", ""),
    ("quiet",    "q", "flag", "",       "Only show image IDs", "", ""),
)

_IMAGE_ROLLBACK: Rows = (
    ("to", "", "one", "string", "Where to: the number of a move in 'image log', or an image ID (default: the image before the present one)", "", ""),
)

_KEEP_HISTORY = ("keep-history", "", "one", "duration", "Keep an image that a name led to within this time, for 'image rollback' (default 0s)", "times.duration", "")

_RMI: Rows = (
    ("force",    "f", "flag", "", "Force removal of the image", "", ""),
    _KEEP_HISTORY,
    ("no-prune", "",  "flag", "", "Do not delete untagged parents", "", ""),
)

_IMPORT: Rows = (
    ("change",  "c", "many", "list",   "Apply Dockerfile instruction to the created image", "scalars.item", ""),
    ("message", "m", "one",  "string", "Set commit message for imported image", "", ""),
    ("platform", "", "one",  "string", "Set platform if server is multi-platform capable", "", ""),
)

_LOAD: Rows = (
    ("input",    "i", "one",  "string", "Read from tar archive file, instead of STDIN", "", ""),
    ("platform", "",  "one",  "string", 'Load only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")', "", ""),
    ("quiet",    "q", "flag", "",       "Suppress the load output", "", ""),
)

_DESCRIBE: Rows = (
    ("format", "f", "one", "string", _OBJECT_FORMAT_HELP, "", ""),
)

_FORCE = ("force", "f", "flag", "", "Do not prompt for confirmation", "", "")
_PRUNE_FILTER = ("filter", "", "many", "filter", 'Provide filter values (e.g. "until=<timestamp>")', "scalars.filter_condition", "")

_CONTAINER_PRUNE: Rows = (_PRUNE_FILTER, _FORCE)

_IMAGE_PRUNE: Rows = (
    ("all", "a", "flag", "", "Remove all unused images, not just dangling ones", "", ""),
    _PRUNE_FILTER,
    _FORCE,
    _KEEP_HISTORY,
)

_SYSTEM_PRUNE: Rows = (
    ("all",     "a", "flag", "",       "Remove all unused images not just dangling ones", "", ""),
    ("filter",  "",  "many", "filter", 'Provide filter values (e.g. "label=<key>=<value>")', "scalars.filter_condition", ""),
    _FORCE,
    _KEEP_HISTORY,
    ("volumes", "",  "flag", "",       "Prune anonymous volumes", "", ""),
)

_SYSTEM_DF: Rows = (
    ("format",  "",  "one",  "string", _FORMAT_HELP, "", ""),
    ("verbose", "v", "flag", "",       "Show detailed information on space usage", "", ""),
)

_SYSTEM_CHECK: Rows = (
    ("repair", "", "flag", "", "Remove or rebuild what is damaged, where that is possible", "", ""),
)

_IMAGE_INSPECT: Rows = (
    ("format",   "f", "one", "string", _OBJECT_FORMAT_HELP, "", ""),
    ("platform", "",  "one", "string", 'Inspect a specific platform of the multi-platform image. Formatted as "os[/arch[/variant]]"', "", ""),
    ("raw",      "",  "one", "string", 'Print a document of the image as it is stored ("config", "manifest")', "scalars.image_document", ""),
)

_MANIFEST_CREATE: Rows = (
    ("amend", "a", "flag", "", "Amend an existing manifest list", "", ""),
)

_MANIFEST_ANNOTATE: Rows = (
    ("arch",        "", "one",  "string", "Set architecture", "", ""),
    ("os",          "", "one",  "string", "Set operating system", "", ""),
    ("os-features", "", "many", "strings", "Set operating system feature", "scalars.item", ""),
    ("os-version",  "", "one",  "string", "Set operating system version", "", ""),
    ("variant",     "", "one",  "string", "Set architecture variant", "", ""),
)

_MANIFEST_INSPECT: Rows = (
    ("verbose", "v", "flag", "", "Output additional info including layers and platform", "", ""),
)

_MANIFEST_PUSH: Rows = (
    ("purge", "p", "flag", "", "Remove the local manifest list after push", "", ""),
)

_VOLUME_CREATE: Rows = (
    ("name",   "",  "one",  "string", "", "", ""),
    ("driver", "d", "one",  "string", 'Specify volume driver name (default "local")', "", ""),
    ("label",  "",  "map",  "list",   "Set metadata for a volume", "environment.label", ""),
    ("opt",    "o", "map",  "map",    "Set driver specific options (default map[])", "environment.label", ""),
)

_VOLUME_LS: Rows = (
    ("filter", "f", "many", "filter", 'Provide filter values (e.g. "dangling=true")', "scalars.filter_condition", ""),
    ("format", "",  "one",  "string", _FORMAT_HELP, "", ""),
    ("quiet",  "q", "flag", "",       "Only display volume names", "", ""),
)

_VOLUME_PRUNE: Rows = (
    ("all",    "a", "flag", "",       "Remove all unused volumes, not just anonymous ones", "", ""),
    ("filter", "",  "many", "filter", 'Provide filter values (e.g. "label=<label>")', "scalars.filter_condition", ""),
    _FORCE,
)

_VOLUME_RM: Rows = (
    ("force", "f", "flag", "", "Force the removal of one or more volumes", "", ""),
)

COMMON, OTHER = "Common Commands", "Commands"
BELOW = ""  # of no group: a verb that is written after its noun alone, `minirun container prune`

#    name       usage                                              summary                                              group  min max stop rows
_COMMANDS: tuple[CommandRow, ...] = (
    ("run",     "[OPTIONS] IMAGE [COMMAND] [ARG...]",              "Create and run a new container from an image",       COMMON, 1, -1, True, _CONTAINER + _RUN),
    ("exec",    "[OPTIONS] CONTAINER COMMAND [ARG...]",            "Execute a command in a running container",           COMMON, 2, -1, True, _EXEC),
    ("ps",      "[OPTIONS]",                                       "List containers",                                    COMMON, 0, 0, False, _PS),
    ("pull",    "[OPTIONS] NAME[:TAG|@DIGEST]",                    "Download an image from a registry",                  COMMON, 1, 1, False, _PULL),
    ("push",    "[OPTIONS] NAME[:TAG]",                            "Upload an image to a registry",                      COMMON, 1, 1, False, _PUSH),
    ("images",  "[OPTIONS] [REPOSITORY[:TAG]]",                    "List images",                                        COMMON, 0, 1, False, _IMAGES),
    ("search",  "[OPTIONS] TERM",                                  "Search Docker Hub for images",                       COMMON, 1, 1, False, _SEARCH),
    ("login",   "[OPTIONS] [SERVER]",                              "Authenticate to a registry",                         COMMON, 0, 1, False, _LOGIN),
    ("logout",  "[SERVER]",                                        "Log out from a registry",                            COMMON, 0, 1, False, ()),
    ("version", "[OPTIONS]",                                       "Show the minirun version information",               COMMON, 0, 0, False, _DESCRIBE),
    ("info",    "[OPTIONS]",                                       "Display system-wide information",                    COMMON, 0, 0, False, _DESCRIBE),
    ("attach",  "[OPTIONS] CONTAINER",                             "Attach local standard input, output, and error streams to a running container", OTHER, 1, 1, False, _ATTACH),
    ("commit",  "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",          "Create a new image from a container's changes",      OTHER, 1, 2, False, _COMMIT),
    ("completion", "bash|zsh|fish",                                "Print the completion script of a shell",             OTHER, 1, -1, True, ()),
    ("cp",      "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tminirun cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH", "Copy files/folders between a container and the local filesystem", OTHER, 2, 2, False, _CP),
    ("create",  "[OPTIONS] IMAGE [COMMAND] [ARG...]",              "Create a new container",                             OTHER, 1, -1, True, _CONTAINER),
    ("diff",    "CONTAINER",                                       "Inspect changes to files or directories on a container's filesystem", OTHER, 1, 1, False, ()),
    ("events",  "[OPTIONS]",                                       "Get real time events from the server",               OTHER, 0, 0, False, _EVENTS),
    ("export",  "[OPTIONS] CONTAINER",                             "Export a container's filesystem as a tar archive",   OTHER, 1, 1, False, _OUTPUT),
    ("history", "[OPTIONS] IMAGE",                                 "Show the history of an image",                       OTHER, 1, 1, False, _HISTORY),
    ("image log", "[OPTIONS] NAME[:TAG]", "Show what a name has led to, and since when", BELOW, 1, 1, False, _IMAGE_LOG),
    ("image rollback", "[OPTIONS] NAME[:TAG]", "Let a name lead again to what it led to before", BELOW, 1, 1, False, _IMAGE_ROLLBACK),
    ("import",  "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",         "Import the contents from a tarball to create a filesystem image", OTHER, 1, 2, False, _IMPORT),
    ("inspect", "[OPTIONS] NAME|ID [NAME|ID...]",                  "Return low-level information on containers and images", OTHER, 1, -1, False, _INSPECT),
    ("kill",    "[OPTIONS] CONTAINER [CONTAINER...]",              "Kill one or more running containers",                OTHER, 1, -1, False, _KILL),
    ("load",    "[OPTIONS]",                                       "Load an image from a tar archive or STDIN",          OTHER, 0, 0, False, _LOAD),
    ("logs",    "[OPTIONS] CONTAINER",                             "Fetch the logs of a container",                      OTHER, 1, 1, False, _LOGS),
    ("pause",   "CONTAINER [CONTAINER...]",                        "Pause all processes within one or more containers",  OTHER, 1, -1, False, ()),
    ("port",    "CONTAINER [PRIVATE_PORT[/PROTO]]",                "List port mappings or a specific mapping for the container", OTHER, 1, 2, False, ()),
    ("rename",  "CONTAINER NEW_NAME",                              "Rename a container",                                 OTHER, 2, 2, False, ()),
    ("restart", "[OPTIONS] CONTAINER [CONTAINER...]",              "Restart one or more containers",                     OTHER, 1, -1, False, _STOP),
    ("rm",      "[OPTIONS] CONTAINER [CONTAINER...]",              "Remove one or more containers",                      OTHER, 1, -1, False, _RM),
    ("rmi",     "[OPTIONS] IMAGE [IMAGE...]",                      "Remove one or more images",                          OTHER, 1, -1, False, _RMI),
    ("save",    "[OPTIONS] IMAGE [IMAGE...]",                      "Save one or more images to a tar archive (streamed to STDOUT by default)", OTHER, 1, -1, False, _SAVE),
    ("start",   "[OPTIONS] CONTAINER [CONTAINER...]",              "Start one or more stopped containers",               OTHER, 1, -1, False, _START),
    ("stats",   "[OPTIONS] [CONTAINER...]",                        "Display a live stream of container(s) resource usage statistics", OTHER, 0, -1, False, _STATS),
    ("stop",    "[OPTIONS] CONTAINER [CONTAINER...]",              "Stop one or more running containers",                OTHER, 1, -1, False, _STOP),
    ("tag",     "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",           "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", OTHER, 2, 2, False, ()),
    ("top",     "CONTAINER [ps OPTIONS]",                          "Display the running processes of a container",       OTHER, 1, -1, True, ()),
    ("unpause", "CONTAINER [CONTAINER...]",                        "Unpause all processes within one or more containers", OTHER, 1, -1, False, ()),
    ("update",  "[OPTIONS] CONTAINER [CONTAINER...]",              "Update configuration of one or more containers",     OTHER, 1, -1, False, _UPDATE),
    ("wait",    "CONTAINER [CONTAINER...]",                        "Block until one or more containers stop, then print their exit codes", OTHER, 1, -1, False, ()),
    ("container prune", "[OPTIONS]", "Remove all stopped containers", BELOW, 0, 0, False, _CONTAINER_PRUNE),
    ("image inspect", "[OPTIONS] IMAGE [IMAGE...]", "Display detailed information on one or more images", BELOW, 1, -1, False, _IMAGE_INSPECT),
    ("manifest annotate", "[OPTIONS] MANIFEST_LIST MANIFEST", "Add additional information to a local image manifest", BELOW, 2, 2, False, _MANIFEST_ANNOTATE),
    ("manifest create", "[OPTIONS] MANIFEST_LIST MANIFEST [MANIFEST...]", "Create a local manifest list for annotating and pushing to a registry", BELOW, 2, -1, False, _MANIFEST_CREATE),
    ("manifest inspect", "[OPTIONS] [MANIFEST_LIST] MANIFEST", "Display an image manifest, or manifest list", BELOW, 1, 2, False, _MANIFEST_INSPECT),
    ("manifest push", "[OPTIONS] MANIFEST_LIST", "Push a manifest list to a repository", BELOW, 1, 1, False, _MANIFEST_PUSH),
    ("manifest rm", "MANIFEST_LIST [MANIFEST_LIST...]", "Delete one or more manifest lists from local storage", BELOW, 1, -1, False, ()),
    ("image prune",     "[OPTIONS]", "Remove unused images", BELOW, 0, 0, False, _IMAGE_PRUNE),
    ("system check",    "[OPTIONS]", "Verify that everything in the store is whole", BELOW, 0, 0, False, _SYSTEM_CHECK),
    ("system df",       "[OPTIONS]", "Show minirun disk usage", BELOW, 0, 0, False, _SYSTEM_DF),
    ("system prune",    "[OPTIONS]", "Remove unused data", BELOW, 0, 0, False, _SYSTEM_PRUNE),
    ("system warm",     "start|stop|status", "Manage the process that lets commands start fast", BELOW, 1, 1, False, ()),
    ("system start-all", "", "Start the containers whose restart policy asks for it after a reboot", BELOW, 0, 0, False, ()),
    ("system stop-all", "[OPTIONS]", "Stop all containers at once before a shutdown; restart policies bring them back", BELOW, 0, 0, False, _STOP_ALL),
    ("volume create",   "[OPTIONS] [VOLUME]", "Create a volume", BELOW, 0, 1, False, _VOLUME_CREATE),
    ("volume inspect",  "[OPTIONS] VOLUME [VOLUME...]", "Display detailed information on one or more volumes", BELOW, 1, -1, False, _DESCRIBE),
    ("volume ls",       "[OPTIONS]", "List volumes", BELOW, 0, 0, False, _VOLUME_LS),
    ("volume prune",    "[OPTIONS]", "Remove unused local volumes", BELOW, 0, 0, False, _VOLUME_PRUNE),
    ("volume rm",       "[OPTIONS] VOLUME [VOLUME...]", "Remove one or more volumes. You cannot remove a volume that is in use by a container.", BELOW, 1, -1, False, _VOLUME_RM),
)
# fmt: on

# Docker's second spelling: noun, verb -> command. "" stands for the noun's own summary.
NOUNS: dict[str, dict[str, str]] = {
    "container": {
        "": "Manage containers",
        "attach": "attach",
        "commit": "commit",
        "cp": "cp",
        "create": "create",
        "diff": "diff",
        "exec": "exec",
        "export": "export",
        "inspect": "inspect",
        "kill": "kill",
        "list": "ps",
        "logs": "logs",
        "ls": "ps",
        "pause": "pause",
        "port": "port",
        "prune": "container prune",
        "ps": "ps",
        "remove": "rm",
        "rename": "rename",
        "restart": "restart",
        "rm": "rm",
        "run": "run",
        "start": "start",
        "stats": "stats",
        "stop": "stop",
        "top": "top",
        "unpause": "unpause",
        "update": "update",
        "wait": "wait",
    },
    "image": {
        "": "Manage images",
        "history": "history",
        "import": "import",
        "inspect": "image inspect",
        "list": "images",
        "load": "load",
        "log": "image log",
        "ls": "images",
        "prune": "image prune",
        "pull": "pull",
        "push": "push",
        "remove": "rmi",
        "rm": "rmi",
        "rollback": "image rollback",
        "save": "save",
        "tag": "tag",
    },
    "manifest": {
        "": "Manage image manifests and manifest lists",
        "annotate": "manifest annotate",
        "create": "manifest create",
        "inspect": "manifest inspect",
        "push": "manifest push",
        "rm": "manifest rm",
    },
    "system": {
        "": "Manage minirun",
        "check": "system check",
        "df": "system df",
        "events": "events",
        "info": "info",
        "prune": "system prune",
        "warm": "system warm",
        "start-all": "system start-all",
        "stop-all": "system stop-all",
    },
    "volume": {
        "": "Manage volumes",
        "create": "volume create",
        "inspect": "volume inspect",
        "list": "volume ls",
        "ls": "volume ls",
        "prune": "volume prune",
        "remove": "volume rm",
        "rm": "volume rm",
    },
}

# Docker's flags that minirun doesn't have, said so by name, so that a script's author need not guess; and why, or what to do
# instead, where more than "not yet" can be said.
ABSENT = {
    **dict.fromkeys("insecure ip ip6 link-local-ip network-alias".split(), ""),
    **dict.fromkeys("checkpoint checkpoint-dir".split(), "there are no checkpoints"),
    **dict.fromkeys("cpu-count cpu-percent io-maxbandwidth io-maxiops".split(), "it is for Windows containers"),
    **dict.fromkeys(
        "cpu-rt-period cpu-rt-runtime kernel-memory memory-swappiness oom-kill-disable".split(),
        "cgroup v2 has no such thing",
    ),
    **dict.fromkeys(
        "host tls tlscacert tlscert tlskey tlsverify use-api-socket".split(), "there is no daemon to talk to"
    ),
    **dict.fromkeys(
        "availability cluster group limit-bytes required-bytes scope secret sharing topology-preferred topology-required".split(),
        "it is for cluster volumes of a swarm",
    ),
    "gpus": "there is no driver for it: hand over its device nodes with --device, and its libraries with -v",
    "storage-opt": "there are no quotas",
}

# Docker's commands that minirun doesn't have, and what to do instead, where there is something.
ABSENT_COMMANDS = {
    **dict.fromkeys(
        """builder buildx checkpoint compose config context network node plugin
        secret service stack swarm trust""".split(),
        "",
    ),
    "build": ": bring images with 'minirun pull', 'minirun import' or 'minirun load'",
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


def spellings(name: str) -> list[str]:
    """Give all ways to write a command: `container ls`, `container ps`, `ps`."""
    nouns = [
        f"{noun} {verb}" for noun, verbs in NOUNS.items() for verb, target in verbs.items() if verb and target == name
    ]
    return [*sorted(nouns), name] if nouns and name not in nouns else []
