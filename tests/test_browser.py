"""The solved notebook in JupyterLab, in headless Chromium: run all cells, see the maps in the page."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="pip install -e .[notebook,test]")
pytest.importorskip("jupyterlab", reason="pip install -e .[notebook,test]")
nbformat = pytest.importorskip("nbformat", reason="pip install -e .[autograder]")

from helpers.notebooks import small  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # of Jupyter's own packages
SOLVED = Path(__file__).parents[1] / "autograder" / "source" / "explore_Adam" / "explore_Adam.ipynb"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1300,1000",
)
MAPS = ".jp-OutputArea-output img[src^='data:image/png']"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """The address of a JupyterLab that has the solved notebook open."""
    notebook = small(nbformat.read(SOLVED, as_version=4))
    nbformat.write(notebook, tmp_path / "solved.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={tmp_path}",
    ]
    with open(tmp_path / "lab.log", "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api", server)
        yield f"http://127.0.0.1:{port}/lab/tree/solved.ipynb?reset"
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("Chromium is missing: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield window
    window.quit()


def test_all_cells_run_and_the_maps_are_in_the_page(browser: Any, lab: str) -> None:
    browser.get(lab)
    _until(lambda: browser.find_elements("css selector", ".jp-Notebook .jp-CodeCell"), 60, "no notebook")
    _until(
        lambda: browser.execute_script(
            "return !!document.querySelector('.jp-Notebook-ExecutionIndicator[data-status=idle]')"
        ),
        60,
        "no kernel",
    )
    _menu(browser, "Run", "runmenu:run-all")
    script = f"return document.querySelectorAll({MAPS!r}.replaceAll('\\\\', '')).length"
    try:
        _until(lambda: browser.execute_script(script) >= 3, 120, "no heat maps in the page")  # + playground
    finally:
        if folder := os.environ.get("ADAMW_PSET_SCREENSHOTS"):
            browser.save_screenshot(str(Path(folder) / "notebook.png"))
    assert not browser.find_elements("css selector", "[data-mime-type='application/vnd.jupyter.error']")


def _menu(browser: Any, menu: str, command: str) -> None:
    for item in browser.find_elements("css selector", ".lm-MenuBar-item"):
        if item.text == menu:
            item.click()
    entry = f".lm-Menu-item[data-command='{command}']"
    _until(lambda: browser.find_elements("css selector", entry), 20, f"no entry {command}")
    browser.find_element("css selector", entry).click()


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        assert server.poll() is None, "JupyterLab did not start"
        try:
            with urlopen(address, timeout=5):
                return True
        except (URLError, OSError):
            return False

    _until(answers, 60, "JupyterLab does not answer")


def _until(condition: Any, seconds: float, complaint: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, complaint
        time.sleep(0.3)
