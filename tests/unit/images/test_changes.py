"""The `-c` changes of an import."""

from __future__ import annotations

import pytest

from minirun.errors import InvalidInput
from minirun.images.changes import apply

GOOD = {
    'CMD ["sh", "-c", "a b"]': {"Cmd": ["sh", "-c", "a b"]},
    "cmd echo hi": {"Cmd": ["/bin/sh", "-c", "echo hi"]},
    "CMD [ -f x ] && y": {"Cmd": ["/bin/sh", "-c", "[ -f x ] && y"]},
    "CMD []": {"Cmd": []},
    'ENTRYPOINT ["/init"]': {"Entrypoint": ["/init"]},
    "ENV A=1 B=2": {"Env": ["A=1", "B=2"]},
    "ENV A one two": {"Env": ["A=one two"]},
    "ENV A=\"one two\" B='$A' C=$A": {"Env": ["A=one two", "B=$A", "C="]},
    "ENV A=": {"Env": ["A="]},
    "ENV A=a\\ b": {"Env": ["A=a b"]},
    'ENV A="x\\"y"': {"Env": ['A=x"y']},
    "EXPOSE 80 53/udp 90-92/tcp": {
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "90/tcp": {}, "91/tcp": {}, "92/tcp": {}}
    },
    'LABEL a=1 "b c"=2': {"Labels": {"a": "1", "b c": "2"}},
    "USER 1000:1000": {"User": "1000:1000"},
    'VOLUME ["/a b"]': {"Volumes": {"/a b": {}}},
    "VOLUME /a /b": {"Volumes": {"/a": {}, "/b": {}}},
    "WORKDIR /srv/../x/": {"WorkingDir": "/x"},
    "WORKDIR srv": {"WorkingDir": "/srv"},
    "ENV A=${B:-c} D=${A:+x}": {"Env": ["A=c", "D="]},
    "STOPSIGNAL SIGINT": {"StopSignal": "SIGINT"},
}

BAD = (
    "",
    "CMD",
    "COPY a b",
    "ENV A",
    "ENV A=1 B",
    "ENV =1",
    "ENV A='x",
    "ENV A=${B:?c}",
    "ENV A=${B:",
    "STOPSIGNAL SIGNOTHING",
    "EXPOSE 0",
    "EXPOSE 70000",
    "EXPOSE x",
    "EXPOSE 80/sctpx",
    "EXPOSE 9-8",
    'VOLUME [""]',
    "USER a\0b",
    "USER \udcff",
)


@pytest.mark.parametrize("change", GOOD)
def test_an_instruction(change):
    assert apply([change]) == GOOD[change]


@pytest.mark.parametrize("change", BAD, ids=repr)
def test_a_bad_instruction_is_named(change):
    with pytest.raises(InvalidInput, match="invalid change") as caught:
        apply(["USER root", change])
    assert str(caught.value).isprintable()


def test_a_variable_without_a_value_is_an_images_own_business():
    assert apply(["ENV B=${A}x"], {"Env": ["A"]})["Env"] == ["A=", "B=x"]


def test_instructions_build_on_each_other():
    config = apply(["ENV A=1", "ENV B=$A-${A} A=2", "WORKDIR /srv", "WORKDIR $A", "LABEL x=$B"])
    assert config == {"Env": ["A=2", "B=1-1"], "WorkingDir": "/srv/2", "Labels": {"x": "1-1"}}
