"""What every test needs: two CPU devices, a fixed global seed; and a browser."""

import gc
import shutil
import signal

from tfgan_papers import quiet  # before TensorFlow, to which it tells how much to log

gc.disable()  # until all tests are imported: their modules are never freed
with quiet.native_stderr():
    import keras
    import numpy as np
    import pytest
    import tensorflow as tf

# Processes of tests are interrupted. A background job would have them ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Before the first operation: tests of tf.distribute need more than one device.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _fixed_seed():
    """No test depends on chance, nor on the tests before it."""
    keras.utils.set_random_seed(1)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def browser():
    """Chromium, for tests of pages."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if not found:
        pytest.skip("no Chromium is installed: pages are not looked at in a browser")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--no-first-run"]
        browser = playwright.chromium.launch(executable_path=found, args=options)
        yield browser
        browser.close()
