"""A headless Chromium for tests of pages."""

import shutil
from contextlib import contextmanager

import pytest

NAMES = ("chromium-headless-shell", "chromium", "google-chrome")
PATIENCE_MS = 120_000


@contextmanager
def browser():
    """One that draws in software; the test is skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"needs one of {', '.join(NAMES)}")
    with api.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        yield playwright.chromium.launch(executable_path=path, args=flags)


def open_page(chromium, address):
    """A small page at the address, and a list of errors that its scripts throw."""
    tab, errors = chromium.new_page(viewport={"width": 320, "height": 240}), []
    tab.set_default_timeout(PATIENCE_MS)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(address)
    return tab, errors
