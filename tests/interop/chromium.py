"""Headless Chromium with a profile of its own, for as long as a `with` lasts."""

import contextlib
import os
import shutil
import subprocess
import tempfile

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
 --disable-component-update --disable-sync --disable-dev-shm-usage""".split()


@contextlib.contextmanager
def at(url, *more):
    profile = tempfile.mkdtemp(prefix="turnpike-chromium.")
    browser = subprocess.Popen(
        ["chromium", *FLAGS, *more, f"--user-data-dir={profile}", url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": profile},
    )
    try:
        yield
    finally:
        browser.terminate()
        try:
            browser.wait(10)
        except subprocess.TimeoutExpired:
            browser.kill()
        shutil.rmtree(profile, ignore_errors=True)
