"""`--link`: names, variables, and what happens when the container that a link leads to comes and goes."""

from __future__ import annotations

import json
import sqlite3

import pytest


@pytest.fixture(scope="module")
def linked(minirun, busybox, fixture_archive):
    """Two running containers of which the second links to the first, under its name and under another."""
    store, archive = minirun, str(fixture_archive("busybox"))
    store("import", "-c", "EXPOSE 8080 8081 8082 53/udp 7000 7001", "-c", "ENV FROM_IMAGE=1", archive, "exposing")
    sleep = ("sleep", "1000")
    options = ("-h", "store", "-e", "SECRET=x", "-e", "HOME=/h", "--expose", "9/tcp")
    store("run", "-d", "--name", "db", *options, "exposing", *sleep)
    store("run", "-d", "--name", "web", "--link", "db", "--link", "db:other-name", busybox, *sleep)
    yield store
    store("rm", "-f", "web", "db")
    store("rmi", "exposing")


def address(store, name: str) -> str:
    return store("inspect", "-f", "{{.NetworkSettings.IPAddress}}", name).stdout.strip()


def variables(store, name: str) -> list[str]:
    return store("exec", name, "env").stdout.splitlines()


def test_names_lead_to_the_other_container(linked):
    there = address(linked, "db")
    hosts = linked("exec", "web", "cat", "/etc/hosts").stdout
    assert f"{there}\tdb store\n" in hosts
    assert f"{there}\tother-name store db\n" in hosts
    assert linked("exec", "web", "ping", "-c", "1", "other-name").returncode == 0


def test_variables_tell_of_it_as_docker_has_them(linked):
    there = address(linked, "db")
    found = [text for text in variables(linked, "web") if text.startswith("OTHER_NAME_")]
    assert sorted(found) == sorted(
        [
            f"OTHER_NAME_PORT=tcp://{there}:9",
            "OTHER_NAME_NAME=/web/other-name",
            "OTHER_NAME_ENV_SECRET=x",
            "OTHER_NAME_ENV_FROM_IMAGE=1",
            f"OTHER_NAME_PORT_8080_TCP_START=tcp://{there}:8080",
            f"OTHER_NAME_PORT_8080_TCP_END=tcp://{there}:8082",
            "OTHER_NAME_PORT_8080_TCP_PORT_START=8080",
            "OTHER_NAME_PORT_8080_TCP_PORT_END=8082",
            *(
                text
                for protocol, port in (("udp", 53), *(("tcp", port) for port in (9, 7000, 7001, 8080, 8081, 8082)))
                for text in (
                    f"OTHER_NAME_PORT_{port}_{protocol.upper()}={protocol}://{there}:{port}",
                    f"OTHER_NAME_PORT_{port}_{protocol.upper()}_ADDR={there}",
                    f"OTHER_NAME_PORT_{port}_{protocol.upper()}_PORT={port}",
                    f"OTHER_NAME_PORT_{port}_{protocol.upper()}_PROTO={protocol}",
                )
            ),
        ]
    )


def test_inspect_and_ps_show_it(linked):
    assert json.loads(linked("inspect", "-f", "{{json .HostConfig.Links}}", "web").stdout) == [
        "/db:/web/db",
        "/db:/web/other-name",
    ]
    assert linked("inspect", "-f", "{{.Name}}", "web/other-name").stdout == "/db\n"
    assert (
        linked("ps", "-f", "name=db", "--format", "{{.Names}} {{.Ports}}").stdout
        == "db 9/tcp, 7000-7001/tcp, 8080-8082/tcp, 53/udp\n"
    )
    assert linked("ps", "--no-trunc", "-f", "name=db", "--format", "{{.Names}}").stdout == "db,web/db,web/other-name\n"


@pytest.mark.no_census  # it starts a container anew that is there for all tests
def test_the_name_stays_right_when_the_other_one_gets_another_address(linked):
    before = address(linked, "db")
    linked("stop", "db")
    linked("run", "-d", "--name", "thief", "busybox", "sleep", "1000")  # addresses are leased in turn
    try:
        linked("start", "db")
        now = address(linked, "db")
        assert now != before
        hosts = linked("exec", "web", "cat", "/etc/hosts").stdout
        assert f"{now}\tdb store\n" in hosts
        assert f"{now}\tother-name store db\n" in hosts
        assert before not in hosts
    finally:
        linked("rm", "-f", "thief")


def test_what_a_link_can_not_lead_to(linked):
    linked("create", "--name", "resting", "busybox", "true")
    linked("run", "-d", "--name", "alone", "--network", "none", "busybox", "sleep", "1000")

    def refused(*words: str) -> str:
        done = linked("run", "--rm", "--name", "asking", *words, "busybox", "true", check=False)
        assert done.returncode == 125
        return str(done.stderr)

    try:
        assert "could not get container for nobody: No such container: nobody" in refused("--link", "nobody")
        assert "Cannot link to a non running container: /resting AS /asking/r" in refused("--link", "resting:r")
        assert "Cannot link to /alone, as it does not belong to the default network" in refused("--link", "alone")
        for mode, word in (("host", "networking"), ("container:db", "network")):
            says = f"conflicting options: {mode.partition(':')[0]} type {word} can't be used with links"
            assert says in refused("--network", mode, "--link", "db")
        unused = ("run", "--rm", "--network", "none", "--link", "db", "busybox", "env")
        assert "DB_" not in linked(*unused).stdout
    finally:
        linked("rm", "-f", "resting", "alone")


def test_a_link_is_taken_away_and_goes_with_its_container(linked):
    linked("create", "--name", "third", "--link", "web:w", "--link", "db:d", "busybox", "true")
    assert linked("rm", "--link", "third/w").stdout == "third/w\n"
    assert linked("inspect", "-f", "{{.HostConfig.Links}}", "third").stdout == "[/db:/third/d]\n"
    for gone in ("third/w", "nobody/w"):
        done = linked("rm", "--link", gone, check=False)
        assert (done.returncode, done.stderr) == (1, f"Error: No such container: {gone}\n")
    assert "cannot remove the default link name" in linked("rm", "--link", "third", check=False).stderr
    linked("create", "--name", "fourth", "busybox", "true")
    linked("create", "--name", "fifth", "--link", "fourth", "busybox", "true")
    linked("rm", "fourth")
    done = linked("restart", "fifth", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: Cannot restart container fifth: Cannot link to a removed container: ")
    linked("rm", "--link", "fifth/fourth")
    assert linked("inspect", "-f", "{{json .HostConfig.Links}}", "fifth").stdout == "null\n"
    assert linked("start", "-a", "fifth").returncode == 0
    linked("rm", "third", "fifth")


def test_looking_for_links_reads_only_containers_that_have_some(linked, roots):
    from minirun.engine.store import _HAS_LINKS

    connection = sqlite3.connect(f"file:{roots.root}/minirun.db?mode=ro", uri=True)
    query = f"SELECT name FROM containers WHERE {_HAS_LINKS}"  # noqa: S608  (our own words)
    assert "containers_with_links" in str(connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall())
    assert connection.execute(query).fetchall() == [("web",)]
    connection.close()
