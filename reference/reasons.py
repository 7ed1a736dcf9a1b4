"""Why something of docker's is missing or does something else here: the words that no table of options can know.

Owns: the reasons. Leaves to others: finding out what needs one (reference/table). A key is "COMMAND --option", "--option" (of
any command), "COMMAND", or a noun, which stands for all of its commands; COMMAND is the shortest spelling. A reason that nothing
needs any more is an error, as a missing one is: both are found by tests/unit/test_reference.py.
"""

from __future__ import annotations

_SWARM = "one host: there is no swarm"
_CLUSTER = "of swarm's cluster volumes"
_WINDOWS = "of Windows containers"

MISSING: dict[str, str] = {
    # ---- whole commands
    "build": "no builder yet: bring images with pull, import or load",
    "builder": "no builder yet",
    "checkpoint": "no checkpoints (CRIU)",
    **dict.fromkeys(("config", "node", "secret", "service", "stack", "swarm", "volume update"), _SWARM),
    "context": "no daemon, so none to choose; --root and --run-root choose a store",
    "network": "no networks of one's own yet",
    "plugin": "no plugins: nothing of minirun stays in memory to talk to one",
    **dict.fromkeys(
        ("manifest create --insecure", "manifest inspect --insecure", "manifest push --insecure"),
        "insecure registries are named in the configuration, as for pull and push",
    ),
    "trust": "no signatures by Notary v1, which is being retired",
    # ---- global options
    "--host": "no daemon, so none to choose",
    **dict.fromkeys(
        ("--tls", "--tlscacert", "--tlscert", "--tlskey", "--tlsverify"), "no daemon, so no connection to it"
    ),
    # ---- run and create, update
    **dict.fromkeys(("--cpu-count", "--cpu-percent", "--io-maxbandwidth", "--io-maxiops"), _WINDOWS),
    **dict.fromkeys(
        ("--cpu-rt-period", "--cpu-rt-runtime", "--kernel-memory"), "of cgroup v1; version 2 has no such limit"
    ),
    **dict.fromkeys(("--memory-swappiness", "--oom-kill-disable"), "of cgroup v1; version 2 has no such switch"),
    **dict.fromkeys(("--ip", "--ip6", "--link-local-ip", "--network-alias"), "no networks of one's own yet"),
    "--gpus": "no driver for it; --device hands over device nodes",
    "--storage-opt": "no quotas",
    "--use-api-socket": "no daemon, so no socket of it",
    # ---- others
    "--checkpoint": "no checkpoints (CRIU)",
    "--checkpoint-dir": "no checkpoints (CRIU)",
    "rmi --platform": "an image here is of one platform",
    "volume create --availability": _CLUSTER,
    "volume create --group": _CLUSTER,
    "volume create --limit-bytes": _CLUSTER,
    "volume create --required-bytes": _CLUSTER,
    "volume create --scope": _CLUSTER,
    "volume create --secret": _CLUSTER,
    "volume create --sharing": _CLUSTER,
    "volume create --topology-preferred": _CLUSTER,
    "volume create --topology-required": _CLUSTER,
    "volume create --type": _CLUSTER,
    "volume ls --cluster": _CLUSTER,
}


_LIMITS = "refused, by the controller's name, where the host can't enforce it; docker drops it with a warning"

# What is there, looks the same and does something else. Also what docker's help calls otherwise.
DIFFERS: dict[str, str] = {
    "info": "what this host offers minirun; what only a daemon has is empty",
    "version": "one version: there is no server, and nothing of Go",
    "inspect": "containers, images and volumes; no networks yet",
    "image inspect": "one command with `inspect`, so `--type` is taken too",
    "container inspect": "one command with `inspect`, so `--type` is taken too",
    "events": "kept for 30 days and 10,000 events, across all processes of the host; a network's actor is its name",
    "start": "one that waits for its next run (`--restart`) is started at once; docker does nothing",
    "stop": "a first process that can't hear the signal is killed at once, and standard error says so",
    "restart": "a first process that can't hear the signal is killed at once, and standard error says so",
    "stats": "`--` where no controller of the host's cgroup v2 tree counts",
    "top": "without ps(1) on the host the columns of `ps -ef`, without options",
    "system df": "counts as du does ([disk.md](disk.md))",
    "system prune": "counts as du does ([disk.md](disk.md))",
    "container prune": "counts as du does ([disk.md](disk.md))",
    "image prune": "counts as du does ([disk.md](disk.md))",
    "volume prune": "counts as du does ([disk.md](disk.md))",
    "volume create --driver": "`local` alone",
    "--volume-driver": "`local` alone",
    "--log-driver": "`json-file`, `local` (kept in the same form) and `none`",
    "--runtime": "one runtime, minirun's own, which answers to `runc` too",
    "--disable-content-trust": "there is no content trust: `=false` is refused",
    "--log-opt": "of `json-file`, but no `compress`; `mode` changes nothing ([logs.md](logs.md))",
    "run --network": "`none`, `host`, `bridge`, `container:NAME`",
    "create --network": "`none`, `host`, `bridge`, `container:NAME`",
    "run --volume": "`owner` and `idmap` besides ([user-namespaces.md](user-namespaces.md))",
    "create --volume": "`owner` and `idmap` besides ([user-namespaces.md](user-namespaces.md))",
    "--userns": "`auto` and `auto:size=N` besides ([user-namespaces.md](user-namespaces.md))",
    "--security-opt": "`no-new-privileges`, `seccomp=`, `systempaths=unconfined`; no AppArmor, no SELinux",
    **dict.fromkeys(
        (
            *(
                "--memory",
                "--memory-reservation",
                "--memory-swap",
                "--cpus",
                "--cpu-period",
                "--cpu-quota",
                "--cpu-shares",
            ),
            *("--cpuset-cpus", "--cpuset-mems", "--blkio-weight", "--blkio-weight-device"),
            *("--device-read-bps", "--device-read-iops", "--device-write-bps", "--device-write-iops"),
        ),
        _LIMITS,
    ),
    "--pids-limit": "4,096 where the host can count and nothing is said; docker has no limit then",
    "--context": "`default` alone: no daemon, so none to choose",
    "--log-level": "taken and checked; errors and warnings are always shown, `--debug` shows where an error comes from",
    "--debug": "shows where an error comes from; there is no daemon's debug mode",
}
