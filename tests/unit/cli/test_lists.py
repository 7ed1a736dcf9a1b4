"""Columns, statuses, ports: lists as docker prints them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from minirun.cli import present
from minirun.cli.table import show
from minirun.engine.config import BindMount, ContainerConfig, PortMapping
from minirun.engine.container import Container
from minirun.errors import InvalidInput

SECOND = 10**9
NOW = 1767323045 * SECOND


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: NOW)


def container(**changes: Any) -> Container:
    config = ContainerConfig(
        image="busybox",
        labels={"b": "2", "a": "1"},
        binds=(BindMount(source="/a/very/long/directory", target="/x"),),
    )
    plain = Container(
        id="0123456789abcdef" * 4,
        name="brave_otter",
        image_id="sha256:" + "f" * 64,
        image_name="busybox",
        config=config,
        arguments=("sh", "-c", 'echo "hello world"'),
        status="running",
        created_ns=NOW - 130 * SECOND,
        started_ns=NOW - 125 * SECOND,
        address6="fd00::2",
        ports=(PortMapping(container_port=80, host_port=8080),),
    )
    return plain.replace(**changes)


def listed(*items: Container, template: str = "", truncate: bool = True) -> str:
    return show(present.container_columns(truncate=truncate), items, template, present.PS_TABLE)


def test_ps_of_nothing_is_a_heading() -> None:
    assert listed() == "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"


def test_ps_pads_with_three_spaces() -> None:
    assert listed(container(arguments=("sleep", "1000000000000000"))) == (
        "CONTAINER ID   IMAGE     COMMAND                  CREATED         STATUS         PORTS"
        "                                     NAMES\n"
        '0123456789ab   busybox   "sleep 1000000000000…"   2 minutes ago   Up 2 minutes   '
        "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp   brave_otter\n"
    )


def test_no_trunc_shows_everything() -> None:
    line = listed(container(), truncate=False).splitlines()[1]
    assert line.startswith("0123456789abcdef" * 4 + "   busybox   " + '"sh -c \'echo \\"hello world\\"\'"   ')


def test_a_template_fills_in_a_line_each() -> None:
    assert listed(container(), container(name="other"), template="{{.ID}}\\t{{.Names}}") == (
        "0123456789ab\tbrave_otter\n0123456789ab\tother\n"
    )
    assert listed(container(), template='{{.Label "a"}} {{.Labels}} {{.Mounts}}') == "1 a=1,b=2 /a/very/long/d…\n"


@pytest.mark.parametrize(
    ("name", "names", "text"),
    [
        ("busybox", "busybox:latest", "busybox"),
        ("docker.io/library/busybox", "busybox:latest", "docker.io/library/busybox"),
        ("reg:5000/app", "reg:5000/app:latest", "reg:5000/app"),
        ("reg:5000/app:1", "reg:5000/app:1", "reg:5000/app:1"),
        ("busybox", "busybox:1", "ffffffffffff"),
        ("busybox", "", "ffffffffffff"),
        ("ffff", "", "ffff"),
        ("sha256:ffff", "", "sha256:ffff"),
        ("busybox@sha256:00", "", "busybox@sha256:00"),
    ],
)
def test_an_image_whose_name_leads_elsewhere_is_shown_by_its_id(name: str, names: str, text: str) -> None:
    one = container(image_name=name)
    known = {(one.image_id, each) for each in names.split()}
    assert present.image_shown(one, known, truncate=True) == text
    assert present.image_shown(container(image_name="other"), known, truncate=False) == "sha256:" + "f" * 64


def test_a_table_template_has_headings() -> None:
    assert listed(container(), template="table {{.ID}}\\t{{.Names}}") == (
        "CONTAINER ID   NAMES\n0123456789ab   brave_otter\n"
    )
    assert listed(container(), template='table {{.Names}}\t{{.Label "a"}}') == "NAMES         a\nbrave_otter   1\n"


def test_what_is_around_a_template_is_nothing_and_its_json_is_in_order() -> None:
    assert listed(container(), template="  {{.Names}} ") == "brave_otter\n"
    line = listed(container(), template="{{json .}}")
    assert list(json.loads(line)) == sorted(json.loads(line))
    assert json.loads(line)["Platform"] is None
    html = listed(container(image_name="<a>&b"), template="json")
    assert '"Image":"\\u003ca\\u003e\\u0026b"' in html


def test_a_whole_row_is_written_as_docker_has_it_and_shows_nothing_of_ours() -> None:
    one = container(image_name="<a>&b")
    assert "\\u003ca\\u003e\\u0026b" in listed(one, template="{{json .}}")
    assert listed(one, template="{{json .Image}}") == '"<a>&b"\n'
    assert listed(one, template="{{.Platform}} {{json .Platform}}") == "<nil> null\n"
    assert "function" not in listed(one, template="{{.}}")


def test_raw_has_a_line_for_each_field() -> None:
    text = show(present.container_columns(truncate=True), [container()], "raw", (), present.PS_RAW)
    assert text.startswith("container_id: 0123456789ab\nimage: busybox\n")
    assert text.endswith("names: brave_otter\nlabels: a=1,b=2\nports: 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp\n\n")


def test_json_has_a_line_each() -> None:
    line = listed(container(), template="json")
    assert line.endswith("}\n")
    shown = json.loads(line)
    assert list(shown) == sorted(shown)
    assert shown["Names"] == "brave_otter"
    assert shown["State"] == "running"
    assert "Label" not in shown


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(InvalidInput, match='map has no entry for key "Foo"'):
        listed(container(), template="{{.Foo}}")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "Up 2 minutes"),
        ({"status": "paused"}, "Up 2 minutes (Paused)"),
        ({"status": "created"}, "Created"),
        ({"status": "starting"}, "Created"),
        ({"status": "exited", "exit_code": 137, "finished_ns": NOW - 7200 * SECOND}, "Exited (137) 2 hours ago"),
        ({"status": "removing"}, "Removal In Progress"),
        ({"status": "dead"}, "Dead"),
        ({"status": "restarting", "exit_code": 1, "finished_ns": NOW}, "Restarting (1) Less than a second ago"),
        ({"started_ns": NOW + SECOND}, "Up Less than a second"),
    ],
)
def test_statuses(changes: dict[str, Any], text: str) -> None:
    assert present.status(container(**changes), NOW) == text


def port(container_port: int, host_port: int, address: str = "", protocol: str = "tcp") -> PortMapping:
    return PortMapping(container_port=container_port, host_port=host_port, host_address=address, protocol=protocol)


@pytest.mark.parametrize(
    ("mappings", "both", "text"),
    [
        ([], True, ""),
        ([port(80, 8080)], True, "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"),
        ([port(80, 8080)], False, "0.0.0.0:8080->80/tcp"),
        ([port(80, 80, "127.0.0.1")], True, "127.0.0.1:80->80/tcp"),
        ([port(80, 8080, "::1")], True, "[::1]:8080->80/tcp"),
        ([port(82, 82), port(80, 80), port(81, 81)], False, "0.0.0.0:80-82->80-82/tcp"),
        ([port(80, 80), port(82, 82)], False, "0.0.0.0:80->80/tcp, 0.0.0.0:82->82/tcp"),
        ([port(53, 53), port(53, 53, protocol="udp")], False, "0.0.0.0:53->53/tcp, 0.0.0.0:53->53/udp"),
        ([port(80, 80), port(443, 8443)], False, "0.0.0.0:80->80/tcp, 0.0.0.0:8443->443/tcp"),
    ],
)
def test_ports(mappings: list[PortMapping], both: bool, text: str) -> None:
    assert present.ports(mappings, both_families=both) == text


def test_ports_that_nothing_leads_to_are_shown_alone() -> None:
    exposed = {("tcp", 80), ("tcp", 443), ("tcp", 444), ("udp", 53)}
    text = present.ports([port(80, 8080)], both_families=False, exposed=exposed)
    assert text == "53/udp, 443-444/tcp, 0.0.0.0:8080->80/tcp"


def test_a_command_is_quoted_as_go_does() -> None:
    assert present.quoted('a"b\\c\n\x1b[31m é \udcff') == '"a\\"b\\\\c\\n\\x1b[31m é \\xff"'


def test_images() -> None:
    row = present.ImageRow(
        repository="busybox",
        tag="latest",
        id="sha256:" + "ab" * 32,
        created_ns=NOW - 86400 * 3 * SECOND,
        size_bytes=4_270_000,
    )
    columns = present.image_columns(truncate=True)
    assert show(columns, [row], "", present.IMAGES_TABLE) == (
        "REPOSITORY   TAG       IMAGE ID       CREATED      SIZE\n"
        "busybox      latest    abababababab   3 days ago   4.27MB\n"
    )
    assert show(columns, [row], "{{.ID}} {{.Size}}", ()) == "abababababab 4.27MB\n"
