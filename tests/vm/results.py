"""One JSON line per report of a test, written as soon as it is known: what the guest tells the host.

Owns: the lines' form, for writer and reader. A pytest plugin in the guest: `-p tests.vm.results`, with the file's
path in MINIRUN_TEST_RESULTS. Complete up to the moment when a guest hangs or panics.
"""

from __future__ import annotations

import json
import os
from typing import TypedDict

import pytest


class Result(TypedDict):
    """One test's report; `outcome` is passed, failed or skipped."""

    nodeid: str
    outcome: str
    text: str
    seconds: float


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write what matters: the call, and whatever went wrong or was skipped before or after it."""
    if report.when != "call" and report.passed:
        return
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr or "")
    if hasattr(report, "wasxfail"):
        text = f"xfail: {report.wasxfail}"
    for title, content in report.sections:
        text += f"\n---- {title}\n{content}"
    result = Result(nodeid=report.nodeid, outcome=report.outcome, text=text, seconds=report.duration)
    with open(os.environ["MINIRUN_TEST_RESULTS"], "a") as file:
        file.write(json.dumps(result) + "\n")


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Say that a test is over, teardown included."""
    with open(os.environ["MINIRUN_TEST_RESULTS"], "a") as file:
        file.write(json.dumps({"finished": nodeid}) + "\n")


def read(path: str) -> tuple[dict[str, Result], set[str]]:
    """Give the worst result of each test so far, and which tests are over."""
    worst: dict[str, Result] = {}
    finished: set[str] = set()
    rank = {"passed": 0, "skipped": 1, "failed": 2}
    if not os.path.exists(path):
        return worst, finished
    with open(path) as file:
        for line in file:
            if not line.endswith("\n"):
                break  # still being written
            data = json.loads(line)
            if "finished" in data:
                finished.add(data["finished"])
            elif data["nodeid"] not in worst or rank[data["outcome"]] > rank[worst[data["nodeid"]]["outcome"]]:
                worst[data["nodeid"]] = data
    return worst, finished
