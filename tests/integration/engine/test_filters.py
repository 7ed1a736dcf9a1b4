"""The filters of `ps`, each with one that fits and one that doesn't; and what docker refuses is refused."""

from __future__ import annotations

import pytest

from tests.waiting import free_port


@pytest.fixture(scope="module")
def four(minirun, busybox):
    """Four containers: `plain` (created), `ended` (exit code 3), `web` (running, with everything), `held` (paused)."""
    port = str(free_port())
    minirun("create", "--name", "plain", busybox, "true")
    minirun("run", "--name", "ended", "--network", "none", busybox, "sh", "-c", "exit 3", check=False)
    minirun(
        "run", "-d", "--name", "web", "--label", "tier=front", "-p", f"127.0.0.1:{port}:8080", "-v", "/tmp:/srv",
        busybox, "sleep", "600",
    )  # fmt: skip
    minirun("run", "-d", "--name", "held", busybox, "sleep", "600")
    minirun("pause", "held")
    yield port
    minirun("rm", "-f", "plain", "ended", "web", "held")


@pytest.mark.no_census
@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        (("ancestor=busybox",), "plain ended web held"),
        (("ancestor=no-such",), ""),
        (("before=web",), "plain ended"),
        (("since=ended",), "web held"),
        (("since=ended", "before=held"), "web"),
        (("exited=3",), "ended"),
        (("exited=0",), ""),
        (("expose=8080",), "web"),
        (("expose=8000-9000/tcp",), "web"),
        (("expose=8080/udp",), ""),
        (("publish=PORT",), "web"),
        (("publish=8080",), ""),
        (("health=none",), "plain ended web held"),
        (("health=healthy",), ""),
        (("is-task=true",), ""),
        (("is-task=false",), "plain ended web held"),
        (("label=tier",), "web"),
        (("label=tier=back",), ""),
        (("name=e",), "ended web held"),
        (("name=^held$",), "held"),
        (("network=none",), "ended"),
        (("network=bridge",), "plain web held"),
        (("status=created",), "plain"),
        (("status=running",), "web"),
        (("status=paused",), "held"),
        (("status=paused", "status=exited"), "ended held"),
        (("volume=/tmp",), "web"),
        (("volume=/srv",), "web"),
        (("volume=/no-such",), ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_filter_chooses(minirun, four, conditions, names):
    words = [word for condition in conditions for word in ("-f", condition.replace("PORT", four))]
    shown = minirun("ps", "-a", "--format", "{{.Names}}", *words).stdout.split()
    assert set(shown) == set(names.split())


@pytest.mark.no_census
def test_a_filter_by_id_takes_a_beginning(minirun, four):
    identifier = minirun("inspect", "-f", "{{.Id}}", "web").stdout.strip()
    assert minirun("ps", "--format", "{{.Names}}", "-f", f"id={identifier[:8]}").stdout == "web\n"


@pytest.mark.no_census
@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("bogus=1", "invalid filter 'bogus'"),
        ("status=foo", "invalid filter 'status=foo'"),
        ("health=foo", "unrecognised filter value for health: foo"),
        ("exited=x", "invalid filter 'exited=x'"),
        ("publish=xx", "invalid filter 'publish=xx'"),
        ("publish=0", "invalid filter 'publish=0'"),
        ("expose=1-x", "invalid filter 'expose=1-x'"),
        ("before=no-such", "No such container: no-such"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(minirun, four, condition, sentence):
    done = minirun("ps", "-a", "-f", condition, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {sentence}")


@pytest.mark.no_census
def test_arguments_with_spaces_are_quoted_in_the_list(minirun, four):
    shown = minirun("ps", "-a", "--no-trunc", "--format", "{{.Command}}", "-f", "name=ended").stdout
    assert shown == "\"sh -c 'exit 3'\"\n"
