"""The corpus of configurations that are wrong: each has to be refused, in these words and no others.

A file in cases/ holds what is `change`d about the example of tests/unit/runtime/config/bundle.py, as a JSON merge patch
(RFC 7396: null removes a key), and how it is `refused`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from minirun.errors import InvalidInput, NotSupported
from minirun.runtime import config
from tests.unit.runtime.config.bundle import EXAMPLE

CASES = sorted((Path(__file__).parent / "cases").glob("*.json"))


def merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def test_there_are_cases() -> None:
    assert len(CASES) > 100


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_it_is_refused_with_its_place_and_the_reason(path: Path) -> None:
    case = json.loads(path.read_text())
    document = json.dumps(merged(EXAMPLE, case["change"])).encode()
    with pytest.raises((InvalidInput, NotSupported)) as caught:
        config.parse(document)
    assert str(caught.value) == case["refused"]
    assert case["refused"].isprintable()
