"""The device filter's program, access by access."""

from __future__ import annotations

import itertools

import pytest

from minirun.errors import InvalidInput
from minirun.runtime import devices
from minirun.runtime.spec import DeviceRule
from tests.unit.runtime.bpf_machine import run_device

ACCESSES = ["".join(letters) for count in (1, 2, 3) for letters in itertools.combinations("rwm", count)]
USABLE = {(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, 0), (136, 4711)}


def oracle(rules: tuple[DeviceRule, ...], kind: str, access: str, major: int, minor: int) -> bool:
    """The specification in five lines: the last rule that matches decides."""
    for rule in reversed(rules):
        fits = rule.kind in ("a", kind) and rule.major in (None, major) and rule.minor in (None, minor)
        asked = set(access)
        if fits and (asked <= set(rule.access) if rule.allow else asked & set(rule.access)):
            return rule.allow
    return False


def test_the_usual_rules_open_only_harmless_devices() -> None:
    program = devices.assemble(devices.DEFAULT)
    for major in (*range(256), 511):
        for minor in (0, 1, 2, 3, 5, 7, 8, 9, 11, 228, 4711):
            for access in ("r", "w", "rw"):
                allowed = run_device(program, kind="c", access=access, major=major, minor=minor)
                assert allowed == ((major, minor) in USABLE or major == 136), (major, minor)
                assert not run_device(program, kind="b", access=access, major=major, minor=minor)
            assert run_device(program, kind="b", access="m", major=major, minor=minor)


RULES = [
    (),
    (DeviceRule(allow=True),),
    (DeviceRule(allow=True), DeviceRule(allow=False, kind="b")),
    (DeviceRule(allow=True), DeviceRule(allow=False, kind="c", major=1, minor=3, access="w")),
    (DeviceRule(allow=False), DeviceRule(allow=True, kind="c", major=10, access="rw")),
    (*devices.DEFAULT, DeviceRule(allow=True, kind="b", major=8, minor=0, access="r")),
    (*devices.DEFAULT, DeviceRule(allow=False, kind="c", major=1, access="m")),
    (DeviceRule(allow=True, kind="c"), DeviceRule(allow=False), DeviceRule(allow=True, kind="a", minor=3)),
]


@pytest.mark.parametrize("rules", RULES)
def test_the_program_decides_as_the_rules_say(rules: tuple[DeviceRule, ...]) -> None:
    program = devices.assemble(rules)
    for kind, access, major, minor in itertools.product("bc", ACCESSES, (1, 8, 10, 136), (0, 3)):
        answer = run_device(program, kind=kind, access=access, major=major, minor=minor)
        assert answer == oracle(rules, kind, access, major, minor), (kind, access, major, minor)


def test_what_no_rule_can_reach_is_left_out() -> None:
    """The verifier refuses a program with instructions that nothing leads to."""
    before = (DeviceRule(allow=True, kind="c", major=1), DeviceRule(allow=False))
    assert devices.assemble(before) == devices.assemble(before[1:])


KMSG = DeviceRule(allow=True, kind="c", major=1, minor=11)
DENY_ALL = DeviceRule(allow=False)


@pytest.mark.parametrize(
    ("rules", "kmsg", "null", "disk"),
    [
        ([], False, True, False),
        ([DENY_ALL], False, True, False),
        ([DENY_ALL, KMSG], True, True, False),
        ([KMSG, DENY_ALL], False, True, False),
        ([DeviceRule(allow=True)], True, True, True),
        ([DENY_ALL, DeviceRule(allow=True), KMSG], True, True, True),
        ([DeviceRule(allow=True), DeviceRule(allow=False, kind="b")], True, True, False),
        ([DeviceRule(allow=True), DENY_ALL], False, True, False),
        ([DeviceRule(allow=True, kind="b")], False, True, True),
    ],
)
def test_a_bundle_says_its_rules_and_the_runtime_the_first_and_the_last(
    rules: list[DeviceRule], kmsg: bool, null: bool, disk: bool
) -> None:
    program = devices.assemble(devices.of_container(rules))

    def may_read(kind: str, major: int, minor: int) -> bool:
        return run_device(program, kind=kind, access="r", major=major, minor=minor)

    assert (may_read("c", 1, 11), may_read("c", 1, 3), may_read("b", 8, 0)) == (kmsg, null, disk)
    assert run_device(program, kind="b", access="m", major=8, minor=0)  # a node may be made: the capability decides


def test_what_forbids_nothing_needs_no_filter() -> None:
    assert devices.of_container([DENY_ALL, DeviceRule(allow=True)]) == devices.EVERYTHING


def test_a_node_of_the_host_is_described() -> None:
    node = devices.node_of_host("/dev/null", "/dev/nothing")
    assert (node.path, node.kind, node.major, node.minor, node.mode) == ("/dev/nothing", "c", 1, 3, 0o666)


def test_the_devices_of_a_directory_are_found_without_terminals() -> None:
    paths = {node.path for node in devices.nodes_beneath("/dev", "/dev")}
    assert "/dev/zero" in paths
    assert not any(
        path.startswith(("/dev/pts/", "/dev/shm/")) or path in ("/dev/ptmx", "/dev/console") for path in paths
    )


@pytest.mark.parametrize(
    ("path", "why"), [("/dev/nowhere", "no such file or directory"), ("/etc/passwd", "not a device node")]
)
def test_what_is_no_device_is_refused_in_dockers_words(path: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=f'adding custom device "{path}": {why}'):
        devices.node_of_host(path)


@pytest.mark.parametrize("number", [1 << 20, 1 << 31, (1 << 32) - 1])
@pytest.mark.parametrize("allow", [True, False])
def test_a_rule_for_numbers_that_no_device_has_reaches_none(number: int, allow: bool) -> None:
    """They are numbers of 32 bits to the specification; an instruction's operand is a signed one."""
    plain = (DeviceRule(allow=not allow), KMSG)
    for major, minor in ((number, None), (1, number), (number, number)):
        rules = (*plain, DeviceRule(allow=allow, kind="c", major=major, minor=minor))
        assert devices.assemble(rules) == devices.assemble(plain)
