"""Tests that need the folder `shared`, which some machines have beside the checkout.

The folder holds what a clone does not have: real videos, and the official lists of UCF101 and HMDB51. A test
that reads the folder is marked with `needs_shared`. Without the folder, the test is skipped. With the folder,
the test has to run: `SharedTests` fails the whole run if such a test was skipped for any reason.
"""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
MARK = "needs_shared"
needs_shared = pytest.mark.needs_shared


class SharedTests:
    """A pytest plugin: skips marked tests where the folder is missing, and counts them in the summary.

    Args:
        folder: The folder that marked tests need.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[str] = set()
        self._skipped: set[str] = set()

    def pytest_configure(self, config: pytest.Config) -> None:
        """Make the mark known."""
        config.addinivalue_line("markers", f"{MARK}: reads the folder ../shared; skipped where there is none")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Skip marked tests where the folder is missing."""
        if self._folder.is_dir():
            return
        for item in items:
            if item.get_closest_marker(MARK):
                item.add_marker(pytest.mark.skip(reason=f"no ../{self._folder.name} beside this checkout"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a marked test; in a run of several processes, the first process hears of all tests."""
        if MARK in report.keywords:
            self._seen.add(report.nodeid)
            # A test that is expected to fail is reported as skipped, too, but it ran.
            if report.skipped and not hasattr(report, "wasxfail"):
                self._skipped.add(report.nodeid)

    @property
    def _wrongly_skipped(self) -> list[str]:
        return sorted(self._skipped) if self._folder.is_dir() else []

    @pytest.hookimpl(tryfirst=True)  # before the terminal prints the summary and the exit status
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Fail a run that skipped a marked test although the folder is there."""
        if self._wrongly_skipped and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say how many marked tests there were, and how many of them were skipped."""
        if not self._seen:
            return
        name = f"../{self._folder.name}"
        terminalreporter.section(f"tests that need {name}")
        terminalreporter.line(f"tests: {len(self._seen)}, skipped: {len(self._skipped)}")
        for nodeid in self._wrongly_skipped:
            terminalreporter.line(f"FAILED {nodeid}: skipped, although {name} is there", red=True)
