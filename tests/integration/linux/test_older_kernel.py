"""The same on Debian's own kernel in the virtual machine: 6.1 has no `lowerdir+`, and is stricter about detached mounts."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from minirun.linux import flags
from minirun.linux import plan as p
from tests import drivers
from tests.integration.linux.conftest import Walk
from tests.integration.linux.test_enter import (  # noqa: F401  (they are tests of this module too)
    running,
    test_a_process_runs_inside_and_its_exit_code_comes_out,
    test_a_user_and_a_terminal_in_an_exec,
)
from tests.integration.linux.test_identity import test_capabilities_of_a_user_are_ambient_or_gone  # noqa: F401
from tests.integration.linux.test_mounts import (  # noqa: F401
    test_a_bind_mount_is_read_only_when_asked,
    test_a_kernel_parameter_is_written_through_a_private_procfs,
    test_an_overlay_shows_its_layers_and_keeps_changes_in_the_upper,
    test_an_overlay_without_upper_is_read_only,
    test_masked_and_read_only_paths,
)
from tests.integration.linux.test_terminal import test_a_terminal_of_the_containers_own  # noqa: F401
from tests.integration.linux.test_user_namespaces import limited

pytestmark = pytest.mark.vm_guest


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the driver, plain only: emulation is slow."""
    return drivers.program("interpreter", tmp_path_factory.mktemp("driver"))


def test_the_parent_raises_limits_of_a_child_in_a_user_namespace(
    walk: Walk, container: Callable[..., p.Plan], rootfs: Path
) -> None:
    """Which takes CAP_SYS_RESOURCE: not every host's root has it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    namespaces = flags.CLONE_NEWNS | flags.CLONE_NEWPID | flags.CLONE_NEWUSER
    plan = container("sh", "-c", "ulimit -Hn", namespaces=namespaces)
    plan.prepare.append(p.tree(0, p.HOST, str(rootfs), True))
    plan.parent += [p.id_map("0 1000 10", "0 1000 10"), p.sync(1)]
    plan.child[:2] = [p.sync(1), p.identity(0, 0), plan.child[0], p.root_bind(0, "/dev", "")]
    outcome = walk(limited(plan, 64, hard + 1))
    assert (outcome.failed, outcome.output) == (None, f"{hard + 1}\n")
