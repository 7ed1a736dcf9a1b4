"""The pytest plugin in test runs of its own, on real containers: docs/python.md's example, cleaning up, the report."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import CHECKOUT
from tests.waiting import until

PAGE = (CHECKOUT / "docs/python.md").read_text()


@pytest.fixture
def run(pytester, busybox, roots):
    """Run pytest on a file with this text; gives its result."""

    def run(text: str, *words: str):
        pytester.makepyfile(text)
        return pytester.runpytest_subprocess(
            "--minirun-root", str(roots.root), "--minirun-run-root", str(roots.run_root), *words, timeout=120
        )

    return run


def left(engine) -> list[str]:
    return [container.name for container in engine.containers(all=True)]


def test_the_page_works_as_shown(run, engine):
    blocks = re.findall(r"(?:^(?:    .*)?\n)+", PAGE, re.MULTILINE)
    (code,) = ["\n".join(line[4:] for line in block.splitlines()) for block in blocks if "def test_" in block]
    run(code).assert_outcomes(passed=2)
    assert not left(engine)
    assert not engine.volumes()


def test_a_failed_test_leaves_nothing_and_shows_the_log(run, engine):
    result = run(
        """
        def test_fails(minirun):
            box = minirun.start("busybox", "sh", "-c", "echo what it said; exec sleep 1000", wait_for_log="said")
            assert box.execute("false").exit_code == 0
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*log of container*", "what it said"])
    assert not left(engine)


def test_one_that_is_never_ready_fails_with_its_log_and_is_removed(run, engine):
    result = run(
        """
        import pytest

        @pytest.fixture
        def service(minirun):
            return minirun.start("busybox", "sh", "-c", "echo not today; exec sleep 1000",
                                 wait_for_log="ready", timeout_seconds=0.5)

        def test_uses_it(service):
            pass
        """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*NotReady*its last line is 'not today'*", "*log of container*", "not today"])
    assert not left(engine)


def test_health_can_be_waited_for(run, engine):
    run(
        """
        def test_healthy(minirun):
            check = {"health_command": ("CMD", "true"), "health_interval_ns": 100_000_000}
            box = minirun.start("busybox", "sleep", "1000", network="none", wait_until_healthy=True, **check)
            assert minirun.engine.inspect(box.id)["State"]["Health"]["Status"] == "healthy"
        """
    ).assert_outcomes(passed=1)
    assert not left(engine)


def test_a_test_that_removes_its_container_is_left_alone(run, engine):
    run(
        """
        def test_removes(minirun):
            box = minirun.start("busybox", "sleep", "1000", network="none")
            minirun.engine.remove(box.id, force=True)
            assert minirun.start("busybox", "true", network="none").wait() == 0
        """
    ).assert_outcomes(passed=1)
    assert not left(engine)


def test_the_fixture_of_the_whole_run_is_shared(run, engine):
    result = run(
        """
        import pytest

        @pytest.fixture(scope="session")
        def service(minirun_session):
            return minirun_session.start("busybox", "sh", "-c", "echo shared; exec sleep 1000", network="none")

        def test_one(service):
            service.execute("touch", "/one").check()

        def test_two(service, minirun):
            assert service.execute("ls", "/one").exit_code == 0
            assert len(minirun.engine.containers()) == 1

        def test_three(service):
            assert False
        """
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*log of container*", "shared"])
    assert not left(engine)


def test_interrupting_the_run_leaves_nothing(pytester, busybox, roots, engine):
    with sleeping_run(pytester, roots) as process:
        until("the container runs", engine.containers)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == pytest.ExitCode.INTERRUPTED
    assert not left(engine)


def test_what_a_killed_run_left_goes_with_the_next(pytester, busybox, roots, run, engine):
    with sleeping_run(pytester, roots) as process:
        (container,) = until("the container runs", engine.containers)
        process.send_signal(signal.SIGKILL)
    assert left(engine) == [container.name]
    assert len(engine.volumes()) == 1
    living = engine.create(container.config.replace(name="lives", volumes=(), labels={"minirun.pytest.owner": mark()}))
    try:
        run("def test_next(minirun):\n    pass").assert_outcomes(passed=1)
        assert left(engine) == ["lives"]  # its run still goes on
        assert not engine.volumes()
    finally:
        engine.remove(living.id)


def mark() -> str:
    from minirun.testing.containers import own_mark

    return own_mark()


@contextlib.contextmanager
def sleeping_run(pytester, roots) -> Iterator[subprocess.Popen[bytes]]:
    """A test run whose one test sleeps; it is killed at the end of the block."""
    path = pytester.makepyfile(
        """
        from minirun import VolumeMount

        def test_sleeps(minirun):
            volume = VolumeMount(name=minirun.volume().name, target="/data")
            minirun.start("busybox", "sleep", "1000", network="none", volumes=(volume,)).wait()
        """
    )
    words = [sys.executable, "-m", "pytest", "--minirun-root", roots.root, "--minirun-run-root", roots.run_root, path]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(60)


def test_without_root_it_says_so(pytester, tmp_path):
    """In a user namespace one is somebody else: nobody."""
    path = pytester.makepyfile("def test_needs_root(minirun):\n    pass")
    program = (
        "import os, sys, pytest\n"
        "os.geteuid = lambda: 1000\n"
        "sys.exit(pytest.main(['-p', 'no:cacheprovider', sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "minirun needs root" in done.stdout


def test_the_data_root_can_be_a_setting(pytester, roots, engine):
    pytester.makeini(f"[pytest]\nminirun_root = {roots.root}\nminirun_run_root = {roots.run_root}")
    pytester.makepyfile(
        f"def test_root(minirun):\n    assert minirun.engine.layout.root == {os.path.realpath(roots.root)!r}"
    )
    pytester.runpytest_subprocess(timeout=60).assert_outcomes(passed=1)


def test_who_does_not_use_it_imports_nothing_of_it(pytester):
    pytester.makepyfile(
        "import sys\ndef test_light():\n    assert [m for m in sys.modules if m.startswith('minirun.engine')] == []"
    )
    pytester.runpytest_subprocess(timeout=60).assert_outcomes(passed=1)
