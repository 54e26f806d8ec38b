"""One browser and one mock.py for the checks of the pages, and what these do most."""
import atexit
import pathlib
import shutil
import tempfile

import browser as support

support.environment()

import mock as mocks
from selenium.webdriver.common.keys import Keys

HERE = pathlib.Path(__file__).resolve().parent

downloads = pathlib.Path(tempfile.mkdtemp(prefix="xenon-web-"))
atexit.register(shutil.rmtree, downloads, ignore_errors=True)
server = mocks.Mock()
page = support.Browser(downloads)


def require(condition, what):
    if not condition:
        raise AssertionError(what)


def open_page(path="/", fresh=True):
    """The page as someone finds it who comes for the first time."""
    if fresh:
        page.driver.get("about:blank")
        page.cdp("Storage.clearDataForOrigin", origin=server.url, storageTypes="all")
    page.driver.get(server.url + path)
    page.wait(lambda: page.run("return document.documentElement.dataset.ready"), "the page to be ready")


def idle():
    return not page.shown("#stop")


def answers():
    return page.run("return Array.from(document.querySelectorAll('.message.assistant > .prose'), (e) => e.textContent)")


def ask(text, wait=True):
    before = page.run("return document.querySelectorAll('.message').length")
    page.one("#input").send_keys(text, Keys.ENTER)
    page.wait(lambda: page.run("return document.querySelectorAll('.message').length") >= before + 2, "the question to be sent")
    if wait:
        page.wait(idle, "the answer")


def asked():
    return server.requests[-1]
