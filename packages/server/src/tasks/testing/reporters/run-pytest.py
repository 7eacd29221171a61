"""Runs pytest and appends a line of JSON for every test to results.jsonl (see result-lines.ts for its words).

First argument: `list` writes the files that have tests to list.json and runs none; `run` runs.
"""
import json
import os
import sys
import time

FOLDER = os.environ["HELIX_OUTPUT_DIR"]
MESSAGE_LIMIT = 16_000
if sys.path and os.path.realpath(sys.path[0] or ".") == os.path.realpath(os.path.dirname(os.path.abspath(__file__))):
    del sys.path[0]  # what `pytest` itself has here is no folder of the project either

import pytest  # noqa: E402


def split_nodeid(nodeid):
    """`a/b.py::C::test[x::y]` -> `a/b.py`, [`C`, `test[x::y]`]"""
    head, bracket, tail = nodeid.partition("[")
    parts = head.split("::")
    parts[-1] += bracket + tail
    return parts[0], parts[1:]


class Recorder:
    def __init__(self):
        self.root = os.getcwd()
        self.lines = open(os.path.join(FOLDER, "results.jsonl"), "a", encoding="utf-8")
        self.current = {}
        self.spent = {}
        self.left = {}
        self.over = set()
        self.listed = []

    def tell(self, **line):
        self.lines.write(json.dumps(line) + "\n")
        self.lines.flush()

    def unit_of(self, nodeid):
        return os.path.normpath(os.path.join(self.root, split_nodeid(nodeid)[0]))

    def end(self, unit):
        if unit not in self.over:
            self.over.add(unit)
            self.tell(**{"is": "unit", "unit": unit, "durationMs": self.spent.get(unit, 0) * 1000})

    def spend(self, unit, seconds):
        self.spent[unit] = self.spent.get(unit, 0) + max(0, seconds)

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config):
        self.root = str(getattr(config, "rootpath", None) or config.rootdir)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_make_collect_report(self, collector):
        began = time.monotonic()
        yield
        # Packages and folders contain the modules; only a module's own import is its own time.
        if "::" not in collector.nodeid and isinstance(collector, (pytest.Module, pytest.File)):
            if not isinstance(collector, pytest.Package):
                self.spend(self.unit_of(collector.nodeid), time.monotonic() - began)

    def pytest_collectreport(self, report):
        if report.passed or not report.nodeid:
            return
        unit = self.unit_of(report.nodeid)
        self.listed.append(unit)
        if report.failed:
            self.tell(**{"is": "error", "unit": unit, "message": str(report.longrepr)[:MESSAGE_LIMIT]})
        else:
            name = split_nodeid(report.nodeid)[1] or [report.nodeid]
            self.tell(**{"is": "case", "unit": unit, "name": name, "outcome": "skipped", "durationMs": 0})
        self.left.setdefault(unit, 0)

    def pytest_collection_finish(self, session):
        for item in session.items:
            unit = self.unit_of(item.nodeid)
            self.listed.append(unit)
            self.left[unit] = self.left.get(unit, 0) + 1

    def pytest_runtest_logreport(self, report):
        entry = self.current.setdefault(report.nodeid, {"outcome": "failed", "seconds": 0, "messages": [], "failed": False})
        entry["seconds"] += getattr(report, "duration", 0) or 0
        if report.outcome == "rerun":
            return
        if report.failed:
            entry["failed"] = True
            where = "" if report.when == "call" else "in %s:\n" % report.when
            entry["messages"].append(where + str(report.longrepr))
        elif report.when == "call" or (report.when == "setup" and report.skipped):
            entry["outcome"] = report.outcome

    def pytest_runtest_logfinish(self, nodeid):
        entry = self.current.pop(nodeid, None)
        if entry is None:
            return
        unit = self.unit_of(nodeid)
        self.spend(unit, entry["seconds"])
        outcome = "failed" if entry["failed"] else entry["outcome"]
        line = {"is": "case", "unit": unit, "name": split_nodeid(nodeid)[1], "outcome": outcome}
        line["durationMs"] = entry["seconds"] * 1000
        if outcome == "failed":
            line["message"] = ("\n\n".join(entry["messages"]) or "ended without a result")[:MESSAGE_LIMIT]
        self.tell(**line)
        if unit in self.left:
            self.left[unit] -= 1
            if self.left[unit] == 0:
                self.end(unit)
        else:
            self.left[unit] = -1

    def pytest_internalerror(self, excrepr):
        self.tell(**{"is": "error", "message": str(excrepr)[:MESSAGE_LIMIT]})

    def pytest_sessionfinish(self, session, exitstatus):
        if exitstatus in (0, 1, 5):
            for unit in list(self.left):
                if self.left[unit] <= 0:
                    self.end(unit)
        if mode == "list":
            units = list(dict.fromkeys(self.listed))
            with open(os.path.join(FOLDER, "list.json"), "w", encoding="utf-8") as out:
                json.dump(units, out)


def with_cov(args):
    """Options for pytest-cov, which may be absent: its threshold would fail a part of a suite."""
    import importlib.util

    wanted = os.environ.get("HELIX_COVERAGE") == "1"
    if importlib.util.find_spec("pytest_cov") is None:
        return args
    if not wanted:
        return ["--no-cov", *args]
    return ["--cov", "--cov-fail-under=0", "--cov-report=lcov:" + os.path.join(FOLDER, "lcov.info"), *args]


mode = sys.argv[1]
arguments = ["--maxfail=0", "--continue-on-collection-errors", *with_cov(sys.argv[2:])]
if mode == "list":
    arguments = ["--collect-only", "-q", *arguments]
os.environ.setdefault("PYTEST_XDIST_AUTO_NUM_WORKERS", "1")
sys.exit(pytest.main(arguments, plugins=[Recorder()]))
