"""Whatever a configuration says: a value, or a refusal of one line. Nothing else comes out, and nothing slips through."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minirun.errors import InvalidInput, MinirunError, NotSupported
from minirun.record import Record
from minirun.runtime import config, seccomp
from minirun.runtime.seccomp_file import parse as parse_profile
from minirun.runtime.spec import Seccomp, Spec
from tests.corpora.configs.documents import OPTIONS, PROCESS, RESOURCES, SECCOMP, documents

often = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check_refusal(error: MinirunError) -> None:
    assert type(error) in (InvalidInput, NotSupported)
    message = str(error)
    assert message.isprintable(), message
    assert len(message) < 1000


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Record):
        for name in type(value)._fields:
            yield from leaves(getattr(value, name))
    elif isinstance(value, dict):
        for item in (*value.keys(), *value.values()):
            yield from leaves(item)
    elif isinstance(value, tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def check_values(value: Record) -> None:
    """What was accepted can be handed to the kernel: texts without NUL that have bytes, numbers of 64 bits."""
    for leaf in leaves(value):
        assert leaf is None or type(leaf) in (str, int, bool)
        if isinstance(leaf, str):
            assert b"\0" not in leaf.encode()
        elif leaf is not None:
            assert -(2**63) <= leaf < 2**64


def check_paths(spec: Spec) -> None:
    """What was accepted leads nowhere else."""
    for key in spec.linux.sysctl:
        path = key.translate({ord("."): "/", ord("/"): "."})
        assert path.startswith(("net/", "kernel/", "fs/mqueue/"))
        assert not {"", ".", ".."} & set(path.split("/"))
        assert "core_pattern" not in path
    assert ".." not in spec.linux.cgroups_path.split("/")
    for name in spec.linux.resources.unified:
        assert "/" not in name
    for mount in spec.mounts:
        assert mount.destination.startswith("/")
        assert not {".", ".."} & set(mount.destination.split("/"))


@often
@given(document=documents())
def test_a_document_of_the_schemas_shape_becomes_a_value_or_a_refusal(document: Any) -> None:
    try:
        spec, raw = config.parse(json.dumps(document).encode())
    except MinirunError as error:
        check_refusal(error)
        return
    assert raw == document
    check_values(spec)
    check_paths(spec)
    if isinstance(spec.linux.seccomp, Seccomp):
        flags, program = seccomp.filter_of(spec.linux.seccomp, "x86_64")
        assert flags < 64
        assert len(program) % 8 == 0


@often
@given(document=documents(PROCESS))
def test_a_process_alone_too(document: Any) -> None:
    warnings: list[str] = []
    try:
        check_values(config.parse_process(json.dumps(document).encode(), warnings.append))
    except MinirunError as error:
        check_refusal(error)
    assert all(warning.isprintable() for warning in warnings)


@often
@given(document=documents(RESOURCES))
def test_resources_alone_too(document: Any) -> None:
    try:
        check_values(config.parse_resources(json.dumps(document).encode()))
    except MinirunError as error:
        check_refusal(error)


@often
@given(document=documents({**SECCOMP, "syscalls": SECCOMP["syscalls"]}))
def test_a_profile_file_too(document: Any) -> None:
    try:
        check_values(parse_profile(json.dumps(document), 0))
    except MinirunError as error:
        check_refusal(error)


@often
@given(
    words=st.lists(st.sampled_from(OPTIONS) | st.text(max_size=20)), kind=st.sampled_from(["tmpfs", "none", "bind", ""])
)
def test_options_of_a_mount_too(words: list[str], kind: str) -> None:
    try:
        config.parse_mount_options(words, kind)
    except MinirunError as error:
        check_refusal(error)


@often
@given(content=st.binary() | st.text().map(lambda text: text.encode(errors="surrogatepass")))
def test_any_bytes_too(content: bytes) -> None:
    try:
        config.parse(content)
    except MinirunError as error:
        check_refusal(error)


@often
@given(document=documents(), data=st.data())
def test_a_file_with_bytes_changed_or_lost_too(document: Any, data: st.DataObject) -> None:
    content = bytearray(json.dumps(document).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content)))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        config.parse(bytes(content))
    except MinirunError as error:
        check_refusal(error)


def test_enough_documents_are_accepted_for_the_rest_to_mean_something() -> None:
    """A generator whose documents are all refused at their first key would find nothing."""
    accepted: list[bool] = []

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(document=documents(PROCESS))
    def count(document: Any) -> None:
        try:
            config.parse_process(json.dumps(document).encode())
        except MinirunError:
            accepted.append(False)
        else:
            accepted.append(True)

    count()
    assert 30 < sum(accepted) < len(accepted) - 30
