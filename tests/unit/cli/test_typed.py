"""Templates over what `inspect` shows: docker's types know more than its JSON."""

from __future__ import annotations

from typing import Any

import pytest

from minirun.cli.template import TemplateError, compile_template
from minirun.cli.template.typed import typed

DOCUMENT: dict[str, Any] = {
    "Id": "abc",
    "State": {"Status": "running"},
    "ExecIDs": None,
    "HostConfig": {
        "Binds": None,
        "PidsLimit": None,
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "LogConfig": {"Type": "json-file", "Config": {}},
        "NanoCpus": 5,
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
    },
    "Mounts": [
        {"Type": "bind", "Source": "/a", "Destination": "/b", "Mode": "", "RW": True, "Propagation": "rprivate"}
    ],
    "Config": {
        "Cmd": ["sh"],
        "Entrypoint": None,
        "Labels": {"A": "1"},
        "Volumes": None,
        "ExposedPorts": {"80/tcp": {}},
    },
    "NetworkSettings": {"Ports": {"443/tcp": None, "80/tcp": [{"HostIp": "::", "HostPort": "8080"}]}},
}


def rendered(template: str) -> str:
    return compile_template(template).render(typed(DOCUMENT))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.ID}} {{.Id}} {{.HostConfig.NanoCPUs}}", "abc abc 5"),
        ("{{.Config.Entrypoint}} {{.Config.Cmd}} {{.Config.OnBuild}} {{.HostConfig.Binds}} {{.ExecIDs}}", "[] [sh] [] [] []"),
        ("{{.Config.Volumes}} {{.Config.Labels}} {{.HostConfig.Tmpfs}}", "map[] map[A:1] map[]"),
        ("{{.HostConfig.PidsLimit}} {{.Config.StopTimeout}} {{.SizeRw}} {{.State.Health}}", "<nil> <nil> <nil> <nil>"),
        ("{{json .HostConfig.Binds}} {{json .Config.Volumes}} {{json .State.Health}} {{json .State}}",
         'null null null {"Status":"running"}'),
        ("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", "none"),
        ("{{with .HostConfig.Binds}}a{{else}}b{{end}}{{range .ExecIDs}}c{{else}}d{{end}}", "bd"),
        ("{{len .HostConfig.Binds}} {{len .Config.Volumes}} {{join .Config.Entrypoint `,`}}|", "0 0 |"),
        ("{{eq .State.Health nil}} {{not .ExecIDs}}", "true true"),
        ("{{.Config.Labels.B}} {{index .Config.Labels `B`}}| {{index .Config.Volumes `x`}}|", "<no value> | |"),
        ("{{range .Mounts}}{{.Name}}{{.Driver}}{{.Type}}{{end}}", "bind"),
        ("{{.Mounts}}", "[{bind  /a /b   true rprivate}]"),
        ("{{.HostConfig.RestartPolicy}} {{.HostConfig.LogConfig}}", "{no 0} {json-file map[]}"),
        ("{{.HostConfig.PortBindings}} {{.NetworkSettings.Ports}}",
         "map[80/tcp:[{ 8080}]] map[443/tcp:[] 80/tcp:[{:: 8080}]]"),
        ("{{.Config.ExposedPorts}} {{json .Config.ExposedPorts}}", 'map[80/tcp:{}] {"80/tcp":{}}'),
        ("{{.Config.StopSignal}}|{{.Config.User}}|{{.Config.Tty}}", "||false"),
    ],
)  # fmt: skip
def test_a_template_says(template: str, text: str) -> None:
    assert rendered(template) == text


@pytest.mark.parametrize(
    "template", ["{{.Nothing}}", "{{.State.Nothing}}", "{{.State.Health.Status}}", "{{index .ExecIDs 0}}"]
)
def test_what_is_no_field_is_an_error(template: str) -> None:
    with pytest.raises(TemplateError):
        rendered(template)


def test_a_volume_has_fields_of_its_own() -> None:
    volume = typed({"Name": "data", "Mountpoint": "/x", "Labels": None, "Options": None})
    assert compile_template("{{.Labels}} {{.Status}} {{.UsageData}}").render(volume) == "map[] map[] <nil>"
