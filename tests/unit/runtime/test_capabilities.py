"""Capability names and masks."""

from __future__ import annotations

from pathlib import Path

import pytest

from minirun.errors import InvalidInput
from minirun.runtime import capabilities
from minirun.runtime.spec import Capabilities


def test_names_may_be_written_as_docker_takes_them() -> None:
    assert capabilities.mask(["CHOWN", "CAP_KILL", "net_raw", "cap_Bpf"]) == 1 << 0 | 1 << 5 | 1 << 13 | 1 << 39
    assert capabilities.mask(["ALL"]) == capabilities.mask(["all"]) == capabilities.ALL == (1 << 41) - 1


@pytest.mark.parametrize("name", ["", "CAP_", "FOO", "cap_foo", "CHOWN ", "CAP_CAP_CHOWN"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="unknown capability"):
        capabilities.mask([name])


def test_names_come_back_in_the_kernels_order() -> None:
    assert capabilities.names(1 << 21 | 1) == ("CAP_CHOWN", "CAP_SYS_ADMIN")
    assert len(capabilities.names(capabilities.ALL)) == 41


def test_the_host_gives_what_is_permitted_and_not_dropped() -> None:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    assert capabilities.of_host() == int(status["CapPrm"], 16) & int(status["CapBnd"], 16)


def test_what_the_host_lacks_is_taken_from_every_set_and_named() -> None:
    wanted = Capabilities(bounding=0b111, effective=0b101, permitted=0b110, inheritable=0b100, ambient=0b100)
    remaining, missing = capabilities.granted(wanted, 0b011)
    assert remaining == Capabilities(bounding=0b011, effective=0b001, permitted=0b010)
    assert missing == ("CAP_DAC_READ_SEARCH",)
    assert capabilities.granted(wanted, 0b111) == (wanted, ())
