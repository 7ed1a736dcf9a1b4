"""What `version` and `info` say of the program, by docker's names: those of its JSON and those of its templates."""

from __future__ import annotations

from typing import Any

import pytest

from minirun import __version__
from minirun.cli import about
from minirun.cli.commands.info import lines
from minirun.cli.template import TemplateError, compile_template
from minirun.cli.template.typed import typed


def rendered(template: str, kind: str, facts: dict[str, Any]) -> str:
    return compile_template(template).render(typed(facts, kind))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Server.APIVersion}} {{.Server.MinAPIVersion}} {{.Client.APIVersion}}", " ".join(3 * [about.API_VERSION])),
        ("{{.Server.Experimental}} {{.Client.Context}} {{.Server.Os}}", "false default linux"),
        ("{{range .Server.Components}}{{.Name}}={{.Details.ApiVersion}} {{end}}",
         f"Engine={about.API_VERSION} minirun-oci=<no value> python=<no value> "),
        ("{{.Server.Version}}|{{.Client.GitCommit}}|{{.Server.Platform.Name}}", f"{__version__}||minirun"),
    ],
)  # fmt: skip
def test_a_template_for_dockers_version_finds_its_fields(template: str, text: str) -> None:
    assert rendered(template, "version", {"Client": about.client(), "Server": about.server()}) == text


def test_nothing_is_go() -> None:
    with pytest.raises(TemplateError, match="GoVersion"):
        rendered("{{.Server.GoVersion}}", "version", {"Server": about.server()})


def test_fields_of_info_that_json_leaves_out_are_there_for_templates() -> None:
    facts = {"CpuCfsPeriod": True, "CDISpecDirs": None, "Swarm": {"NodeID": "", "RemoteManagers": None}}
    template = "{{.CPUCfsPeriod}} {{.CDISpecDirs}} {{.Swarm}} {{.KernelMemory}} {{.Containerd}} {{.ServerErrors}}"
    assert rendered(template, "info", facts) == "true [] { []} false <nil> []"


def test_people_are_shown_what_they_can_use() -> None:
    facts = {
        "Driver": "overlay", "DriverStatus": [["Backing Filesystem", "extfs"]], "Swarm": {"LocalNodeState": "inactive"},
        "Runtimes": {"minirun": {"path": "minirun-oci"}}, "HttpProxy": "", "HttpsProxy": "http://proxy:1", "NFd": 0,
        "RegistryConfig": {"InsecureRegistryCIDRs": ["127.0.0.0/8"], "Mirrors": []}, "ClientInfo": about.client_info(),
    }  # fmt: skip
    assert lines(facts) == [
        "Storage Driver: overlay", " Backing Filesystem: extfs", "Swarm: inactive", "Runtimes: minirun",
        "HTTPS Proxy: http://proxy:1", "Insecure Registries:", " 127.0.0.0/8",
    ]  # fmt: skip
