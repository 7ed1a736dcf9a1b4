"""`process`: privileges, limits, scheduling."""

from __future__ import annotations

import json

import pytest

from minirun.linux import flags
from minirun.runtime import capabilities, config
from minirun.runtime.spec import Capabilities, IoPriority, Rlimit, Scheduler
from tests.unit.runtime.config.bundle import EXAMPLE, changed, refusal, with_


def test_ids_go_up_to_the_last_but_one() -> None:
    user = with_(
        "process.user", {"uid": 2**32 - 2, "gid": 7, "umask": 0o77, "additionalGids": [5, 2**32 - 2]}
    ).process.user
    assert (user.uid, user.gid, user.umask, user.additional_gids) == (2**32 - 2, 7, 0o77, (5, 2**32 - 2))
    assert refusal("process.user.uid", 2**32 - 1).startswith("process.user.uid: must be from 0 to 4294967294")


def test_a_umask_has_nine_bits() -> None:
    assert with_("process.user", {"umask": 0o1077}).process.user.umask == 0o077


def test_a_user_that_is_not_given_is_root_with_the_usual_umask() -> None:
    user = with_("process.user", None).process.user
    assert (user.uid, user.gid, user.umask) == (0, 0, 0o022)


def test_the_size_of_a_terminal_is_ignored_without_one() -> None:
    document = changed("process.terminal", False)
    document["process"]["consoleSize"] = "wrong"
    process = config.parse(json.dumps(document).encode())[0].process
    assert (process.rows, process.columns) == (0, 0)


def test_each_set_of_capabilities_is_its_own_and_a_missing_one_is_empty() -> None:
    sets = {"bounding": ["CAP_CHOWN", "CAP_KILL"], "permitted": ["CAP_KILL"], "effective": None}
    assert with_("process.capabilities", sets).process.capabilities == Capabilities(
        bounding=capabilities.mask(["CHOWN", "KILL"]), permitted=capabilities.mask(["KILL"])
    )


def test_an_ambient_capability_has_to_be_permitted_and_inheritable_or_is_left_out() -> None:
    kill, chown = ["CAP_KILL"], ["CAP_CHOWN"]
    for permitted, inheritable, expected in (
        (kill, kill, True),
        (kill, chown, False),
        (chown, kill, False),
        (kill, [], False),
    ):
        sets = {"permitted": permitted, "inheritable": inheritable, "ambient": kill}
        assert bool(with_("process.capabilities", sets).process.capabilities.ambient) is expected


def test_an_unknown_capability_is_refused_by_its_place() -> None:
    names = ["CAP_KILL", "CAP_CHOWN", "CAP_FOO"]
    message = refusal("process.capabilities.bounding", names)
    assert message == "process.capabilities.bounding[2]: unknown capability: CAP_FOO"
    for name in ("KILL", "CAP_", "", "ALL", "CAP_ALL", "CAP_KILL "):
        assert "unknown capability" in refusal("process.capabilities.effective", [name])


def test_an_unknown_capability_is_only_a_warning_to_who_can_log_one() -> None:
    warnings: list[str] = []
    document = changed("process.capabilities.bounding", ["CAP_FOO", "CAP_KILL"])
    spec, _ = config.parse(json.dumps(document).encode(), warnings.append)
    assert spec.process.capabilities.bounding == capabilities.mask(["KILL"])
    assert warnings == ["process.capabilities.bounding[0]: unknown capability: CAP_FOO"]


@pytest.mark.parametrize("name", flags.RLIMITS)
def test_every_resource_of_the_kernel_can_be_limited(name: str) -> None:
    (limit,) = with_(
        "process.rlimits", [{"type": f"RLIMIT_{name.upper()}", "soft": 1, "hard": 2**64 - 1}]
    ).process.rlimits
    assert limit == Rlimit(resource=flags.RLIMITS.index(name), soft=1, hard=flags.RLIM_INFINITY)


def test_minus_one_is_no_limit() -> None:
    (limit,) = with_("process.rlimits", [{"type": "RLIMIT_CORE", "soft": -1, "hard": -1}]).process.rlimits
    assert (limit.soft, limit.hard) == (flags.RLIM_INFINITY, flags.RLIM_INFINITY)


def test_of_environment_entries_for_one_name_the_last_counts_and_all_need_a_name() -> None:
    entries = ["A=1", "A=2", "B=", "C=a=b\nc"]
    assert with_("process.env", entries).process.environment == ("A=2", "B=", "C=a=b\nc")
    for entry in ("A", "", "=A"):
        assert "process.env[1]: must be NAME=value" in refusal("process.env", ["A=1", entry])


def test_a_scheduler_is_read_into_the_numbers_of_the_kernel() -> None:
    deadline = {"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 3, "flags": ["SCHED_FLAG_RECLAIM"]}
    assert with_("process.scheduler", deadline).process.scheduler == Scheduler(
        policy=6, runtime_ns=1, deadline_ns=2, period_ns=3, flags=2
    )
    fifo = {"policy": "SCHED_FIFO", "priority": 99, "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_KEEP_PARAMS"]}
    assert with_("process.scheduler", fifo).process.scheduler == Scheduler(policy=1, priority=99, flags=0x11)
    assert with_("process.scheduler", {"policy": "SCHED_BATCH", "nice": -20}).process.scheduler == Scheduler(
        policy=3, nice=-20
    )


def test_what_belongs_to_another_policy_is_refused() -> None:
    assert "priority" in refusal("process.scheduler", {"policy": "SCHED_OTHER", "priority": 1})
    assert "SCHED_DEADLINE" in refusal("process.scheduler", {"policy": "SCHED_FIFO", "runtime": 1})


def test_an_io_priority_without_a_level_has_the_highest() -> None:
    assert with_("process.ioPriority", {"class": "IOPRIO_CLASS_BE"}).process.io_priority == IoPriority(io_class=2)
    full = {"class": "IOPRIO_CLASS_IDLE", "priority": 7}
    assert with_("process.ioPriority", full).process.io_priority == IoPriority(io_class=3, priority=7)


def test_lists_of_processors_lose_their_blanks() -> None:
    process = with_("process.execCPUAffinity", {"initial": "7", "final": "0-3, 8191"}).process
    assert (process.initial_cpus, process.final_cpus) == ("7", "0-3,8191")


@pytest.mark.parametrize(
    "text", ["8192", "3-1", "1-", "-1", "1,,2", "1,", "a", "0x1", "1\n2", "0-4294967296", "9" * 5000, "²"]
)
def test_lists_of_processors_that_are_none_are_refused(text: str) -> None:
    assert refusal("process.execCPUAffinity", {"final": text}).startswith("process.execCPUAffinity.final: ")


def test_the_rest_of_a_process_is_taken_as_given() -> None:
    process = {**EXAMPLE["process"], "oomScoreAdj": -1000, "apparmorProfile": "p", "selinuxLabel": "u:r:t:s0"}
    read = with_("process", process).process
    assert (read.oom_score_adjustment, read.apparmor_profile, read.selinux_label) == (-1000, "p", "u:r:t:s0")
    assert with_("process.oomScoreAdj", 0).process.oom_score_adjustment == 0
    assert with_("process.oomScoreAdj", None).process.oom_score_adjustment is None
