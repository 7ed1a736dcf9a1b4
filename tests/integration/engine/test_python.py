"""The library as docs/python.md shows it, and what its blocks, captures and waits do when things go wrong."""

from __future__ import annotations

import importlib
import re
import resource
import signal
import subprocess
import sys

import pytest

import minirun as library
from minirun import (
    ContainerConfig,
    InvalidInput,
    MinirunError,
    NotFound,
    NotReady,
)
from minirun.cli import options
from tests.conftest import CHECKOUT
from tests.waiting import until

PAGE = (CHECKOUT / "docs/python.md").read_text()


def blocks() -> list[str]:
    found = re.findall(r"(?:^(?:    .*)?\n)+", PAGE, re.MULTILINE)
    return ["\n".join(line[4:] for line in block.splitlines()).strip() + "\n" for block in found]


def beginning() -> str:
    """Give the lines that all examples begin with."""
    (text,) = [text for text in blocks() if text.startswith("import os")]
    return text


def examples() -> list[str]:
    return [text for text in blocks() if "Engine() as engine" in text]


def sleeper(**fields) -> ContainerConfig:
    return ContainerConfig(image="busybox", command=("sleep", "1000"), network="none", **fields)


@pytest.mark.parametrize("number", range(len(examples())))
def test_the_page_works_as_shown(number, busybox, roots, monkeypatch, tmp_path, capfd):
    monkeypatch.setattr("minirun.engine.engine.DATA_ROOT", str(roots.root))
    monkeypatch.setattr("minirun.engine.engine.RUN_ROOT", str(roots.run_root))
    code = beginning() + examples()[number]
    exec(compile(code, "docs/python.md", "exec"), {"directory": str(tmp_path)})  # noqa: S102  (our own page)


def test_each_command_has_its_call_on_the_page():
    shown = set(re.findall(r"`([a-z -]+)`", "".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))))
    assert set(options.names()) - {"completion", "system warm"} <= shown  # those are about the command line


def test_each_call_on_the_page_is_there(engine):
    table = PAGE.partition("| command | call |")[2].partition("\n\n")[0]
    calls = re.findall(r"`([a-z_.]+)", "".join(line.split("|")[2] for line in table.splitlines()[2:]))
    missing = []
    for call in set(calls) - {"the", "minirun.__version__"}:
        target = {"minirun": library}.get(call.partition(".")[0], engine)
        if call.startswith("minirun.engine."):
            module, _, call = call.rpartition(".")
            target = importlib.import_module(module)
        try:
            for name in call.removeprefix("minirun.").split("."):
                target = getattr(target, name)
        except AttributeError:
            missing.append(call)
    assert set(missing) <= {"log_out"}, missing


def test_every_name_that_the_package_offers_is_there():
    for name in library.__all__:
        assert getattr(library, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Motor'"):
        library.Motor  # noqa: B018


# ---- captured output


@pytest.mark.parametrize("code", [0, 1, 77, 255])
def test_run_gives_code_and_both_streams(code, busybox, engine):
    done = engine.run(
        ContainerConfig(image=busybox, command=("sh", "-c", f"printf out; printf err >&2; exit {code}"), network="none")
    )
    assert done == library.Completed(exit_code=code, stdout=b"out", stderr=b"err")
    assert not engine.containers(all=True)


def test_output_larger_than_any_pipe_and_input_come_whole(busybox, engine):
    data = bytes(range(256)) * 20_000
    done = engine.run(ContainerConfig(image=busybox, command=("cat",), network="none"), stdin=data)
    assert done.stdout == data
    with engine.running(sleeper()) as box:
        assert box.execute("cat", stdin=data).stdout == data


def test_output_that_there_is_no_room_for_is_an_error_and_not_a_shorter_answer(busybox, engine):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 << 20, limits[1]))
    try:
        with pytest.raises(MinirunError, match="file too large: not all"):
            engine.run(ContainerConfig(image=busybox, command=("head", "-c", "17000000", "/dev/zero"), network="none"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert engine.containers(all=True) == []


def test_a_failed_command_is_told_by_check(busybox, engine):
    with engine.running(sleeper()) as box:
        done = box.execute("sh", "-c", "echo one; echo two >&2; exit 3")
        with pytest.raises(MinirunError, match="ended with exit code 3: two"):
            done.check()
        assert box.execute("true").check().exit_code == 0
        assert box.execute("sh", "-c", "echo $A", environment=("A=b",)).text == "b\n"


def test_a_run_that_can_not_start_leaves_nothing(busybox, engine):
    with pytest.raises(library.StartFailed):
        engine.run(ContainerConfig(image=busybox, command=("/no/such/program",), network="none"))
    assert not engine.containers(all=True)


def test_a_container_that_removes_itself_is_no_error(busybox, engine):
    done = engine.run(ContainerConfig(image=busybox, command=("true",), network="none", auto_remove=True))
    assert done.exit_code == 0
    with engine.running(sleeper(auto_remove=True)) as box:
        engine.kill(box.id)
        until("its end", lambda: not engine.containers(all=True))


def test_an_interrupted_run_leaves_nothing(busybox, roots, engine):
    """Ctrl-C in the middle: KeyboardInterrupt goes through the blocks."""
    script = (
        "from minirun import ContainerConfig, Engine\n"
        f"with Engine({str(roots.root)!r}, {str(roots.run_root)!r}) as engine:\n"
        "    engine.run(ContainerConfig(image='busybox', command=('sleep', '1000'), network='none'))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, cwd=CHECKOUT)
    try:
        until("the container runs", engine.containers)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert b"KeyboardInterrupt" in said
    assert not engine.containers(all=True)


# ---- blocks


@pytest.mark.parametrize("block", ["created", "running"])
def test_a_block_removes_its_container_whatever_is_raised(block, busybox, engine):
    with pytest.raises(ZeroDivisionError), getattr(engine, block)(sleeper()):
        raise ZeroDivisionError
    assert not engine.containers(all=True)


def test_a_container_that_was_removed_in_its_block_is_no_error(busybox, engine):
    with engine.running(sleeper()) as box:
        engine.remove(box.id, force=True)
    with engine.created(sleeper()) as container:
        engine.remove(container.id)


def test_volumes_and_images_go_with_their_block(busybox, engine):
    with engine.temporary_volume({"a": "b"}) as volume:
        assert engine.volume(volume.name).labels["a"] == "b"
        mount = library.VolumeMount(name=volume.name, target="/data")
        engine.run(
            ContainerConfig(image=busybox, command=("touch", "/data/x"), network="none", volumes=(mount,))
        ).check()
        done = engine.run(ContainerConfig(image=busybox, command=("ls", "/data"), network="none", volumes=(mount,)))
        assert done.text == "x\n"
    assert volume.name not in [each.name for each in engine.volumes()]
    with engine.created(sleeper()) as container:
        with engine.temporary_image(engine.commit(container.id, "gone:1")) as image:
            engine.images.tag("gone:1", "gone:2")
        with pytest.raises(NotFound):
            engine.images.resolve(image.id)


# ---- ready


def test_a_port_is_waited_for(busybox, engine):
    command = ("sh", "-c", "mkdir /www; echo hello > /www/index.html; exec httpd -f -h /www")
    with engine.running(ContainerConfig(image=busybox, command=command)) as web:
        web.wait_for_port(80)
        assert "hello" in web.execute("wget", "-qO-", "http://127.0.0.1/").text
        with pytest.raises(NotFound, match="No public port '80/tcp'"):
            web.port(80)
        with pytest.raises(NotReady, match=r"0\.2 s went by before port 81 answered"):
            web.wait_for_port(81, timeout_seconds=0.2)


def test_a_container_without_an_address_has_no_port_to_wait_for(busybox, engine):
    with engine.running(sleeper()) as box, pytest.raises(NotFound, match="has no address"):
        box.wait_for_port(80)


def test_a_line_is_waited_for_on_either_stream(busybox, engine):
    script = "echo first; sleep 0.2; echo now serving >&2; exec sleep 1000"
    with engine.running(sleeper().replace(command=("sh", "-c", script))) as box:
        assert box.wait_for_log("^now (serving|ready)$") == "now serving"
        assert box.wait_for_log("first") == "first"
        with pytest.raises(NotReady, match=r"before a line with 'never' was written; its last line is 'now serving'"):
            box.wait_for_log("never", timeout_seconds=0.1)
        with pytest.raises(InvalidInput, match="invalid pattern"):
            box.wait_for_log("(")


def test_who_has_ended_is_not_waited_for(busybox, engine):
    with engine.running(sleeper().replace(command=("sh", "-c", "echo no luck; exit 4"))) as box:
        with pytest.raises(NotReady, match=r"ended with exit code 4 before .*; its last line is 'no luck'"):
            box.wait_for_log("ready")
        assert box.wait_for_log("luck") == "no luck"  # written before its end


def test_a_removed_container_is_not_waited_for(busybox, engine):
    with engine.running(sleeper()) as box:
        engine.remove(box.id, force=True)
        with pytest.raises(NotFound):
            box.wait_for_log("ready")


def test_health_is_waited_for(busybox, engine):
    second = 1_000_000_000
    healthy = sleeper(health_command=("CMD-SHELL", "test -e /well"), health_interval_ns=second // 10, health_retries=20)
    with engine.running(healthy) as box:
        box.execute("touch", "/well").check()
        box.wait_until_healthy()
    with engine.running(healthy.replace(health_retries=1)) as box, pytest.raises(NotReady, match="is unhealthy"):
        box.wait_until_healthy()
    with engine.running(sleeper()) as box, pytest.raises(InvalidInput, match="has no health check"):
        box.wait_until_healthy()


def test_one_that_its_policy_starts_again_is_waited_for(busybox, engine):
    script = "test -e /tried || { touch /tried; echo at first not; exit 1; }; echo serving; exec sleep 1000"
    config = sleeper(restart_policy="on-failure").replace(command=("sh", "-c", script))
    with engine.running(config) as box:
        assert box.wait_for_log("^serving$") == "serving"


# ---- progress


def test_copying_tells_of_its_progress(busybox, engine, tmp_path):
    (tmp_path / "big").write_bytes(b"x" * 5_000_000)
    with engine.created(sleeper()) as container:
        there: list[int] = []
        back: list[int] = []
        assert engine.copy_to(container.id, str(tmp_path / "big"), "/big", progress=there.append) == there[-1]
        assert engine.copy_from(container.id, "/big", str(tmp_path / "again"), progress=back.append) == back[-1]
        for steps in (there, back):
            assert steps == sorted(steps)
            assert len(steps) > 2
            assert steps[-1] > 5_000_000
    assert (tmp_path / "again").read_bytes() == (tmp_path / "big").read_bytes()
