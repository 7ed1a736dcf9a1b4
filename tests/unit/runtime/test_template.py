"""Plans that are filled in are the plans that would have been compiled, to the byte."""

from __future__ import annotations

import pytest

from minirun.engine import spec as specs
from minirun.engine.config import ContainerConfig, TmpfsMount, Ulimit
from minirun.engine.spec import Surroundings
from minirun.linux.plan import Plan
from minirun.record import Record
from minirun.runtime import capabilities
from minirun.runtime.compile import Placement, compile_container
from minirun.runtime.compile.template import HOSTNAME, ID, Template
from minirun.runtime.spec import Spec
from tests.unit.runtime.test_compile import Endpoint


class Image(Record):
    config: dict[str, object] = {"Cmd": ["sh"], "Env": ["A=1"], "WorkingDir": "/srv"}


CONFIGS = {
    "usual": ContainerConfig(image="x"),
    "much": ContainerConfig(
        image="x",
        command=("true", "0" * 64),
        environment=("PEER=" + "0" * 64,),
        user="1000",
        read_only=True,
        init=True,
        terminal=True,
        tmpfs=(TmpfsMount(target="/t"),),
        ulimits=(Ulimit(name="nofile", soft=10, hard=20),),
        sysctls={"net.ipv4.conf.eth0.forwarding": "0", "kernel.shmmax": "1"},
        security_options=("no-new-privileges",),
        memory_bytes=1 << 26,
    ),
    "little": ContainerConfig(image="x", capabilities_drop=("ALL",), ipc_mode="none", network="none"),
}
ENDPOINTS = {
    "bridge": Endpoint(),
    "both": Endpoint(address6="fd00::2", prefix6=64, gateway6="fd00::1"),
    "none": None,
}
OTHER = {
    "bridge": Endpoint(host_interface="v2", mac=b"\2\0\0\0\0\2", address4="10.1.0.9"),
    "both": Endpoint(host_interface="v2", address4="10.1.0.9", address6="fd00::9", prefix6=64, gateway6="fd00::1"),
    "none": None,
}


def parts(config: ContainerConfig, name: str, hostname: str) -> tuple[Spec, Placement]:
    run = f"/run/{name}"
    surroundings = Surroundings(
        id=name,
        host_capabilities=capabilities.ALL,
        hostname=hostname,
        hosts_file=f"{run}/hosts",
        hostname_file=f"{run}/hostname",
        resolv_file=f"{run}/resolv.conf",
        counts_processes=True,
    )
    place = Placement(
        run_directory=run,
        mountpoint="/mnt",
        base="/layers",
        lowers=("2/fs", "1/fs"),
        upper=f"/containers/{name}/upper",
        work=f"/containers/{name}/work",
        cgroup=f"/sys/fs/cgroup/{name}",
        log_path=f"/containers/{name}/log",
        exit_hook=("/bin/hook", name),
        keyring=name,
    )
    return specs.build(config, Image(), surroundings), place


def same(one: Plan, other: Plan) -> bool:
    return one.operations() == other.operations() and one.encode() == other.encode()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("network", ENDPOINTS)
def test_a_filled_plan_is_the_compiled_one(config: ContainerConfig, network: str) -> None:
    spec, place = parts(config, ID, HOSTNAME)
    template = Template(spec, place.replace(endpoint=ENDPOINTS[network]))
    for name, hostname in (("0" * 64, "0" * 12), ("f" * 64, "box")):
        spec, place = parts(config, name, hostname)
        compiled = compile_container(spec, place.replace(endpoint=OTHER[network]))
        filled = template.fill({ID: name, HOSTNAME: hostname}, OTHER[network])
        assert same(filled, compiled)
        assert filled.explain() == compiled.explain()


def test_a_blank_that_is_left_open_is_refused() -> None:
    template = Template(*parts(CONFIGS["usual"], ID, HOSTNAME))
    with pytest.raises(ValueError, match="NUL"):
        template.fill({ID: "0" * 64}, None)
