"""Slow tests, and the search for new wild inputs, run only with `pytest --slow`, as in `make test-all`."""

import gc
import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# Other people's libraries are not to look for a network.
os.environ["HF_HUB_OFFLINE"] = "1"
# Tiny matrices are not to be shared: threads that wait for each other beside a busy neighbour take tenfold.
os.environ["OMP_NUM_THREADS"] = "1"
# What a shell starts in the background is deaf to Ctrl-C, and so are its children: tests interrupt some.
signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow as well")


def pytest_configure(config: pytest.Config) -> None:
    # A busy machine is no failure: no timing decides a test. Without --slow the same inputs are tried each
    # time, so that what fails was caused by what changed.
    settings.register_profile("vitkit", deadline=None, derandomize=not config.getoption("--slow"))
    settings.load_profile("vitkit")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    slow = [item for item in items if "slow" in item.keywords]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if "slow" not in item.keywords]


def pytest_collection_finish() -> None:
    # Training collects garbage often: it need not walk each time through what is imported and stays.
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real COCO beside the repository; tests that want it are skipped where it is not."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no shared data beside this checkout")
    return SHARED_DATA
