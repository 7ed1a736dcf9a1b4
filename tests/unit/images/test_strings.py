"""Documents of an image hold text that can be written anywhere: halves of surrogate pairs are no characters."""

from __future__ import annotations

import pytest

from minirun.errors import Corrupt
from minirun.images.manifest import read_json


@pytest.mark.parametrize("text", [r'{"config": {"User": "\ud800"}}', r'{"config": {"Labels": {"\udcff": ""}}}'])
def test_half_a_surrogate_pair_is_refused(text: str) -> None:
    with pytest.raises(Corrupt, match="surrogates"):
        read_json(text.encode(), "config")


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert read_json(rb'["\ud83d\ude00"]', "config") == ["\U0001f600"]
