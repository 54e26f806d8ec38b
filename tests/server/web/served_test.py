#!/usr/bin/env python3
"""The web pages of `xenon serve` in Chromium: a conversation with the default model.

Usage: served_test.py XENON
"""
import gzip
import pathlib
import re
import sys
import urllib.request

import browser as support

support.environment()

from selenium.webdriver.common.keys import Keys

ROOT = pathlib.Path(__file__).resolve().parents[3]
MODEL = ROOT / "models/xenon-default-q8_0.gguf"
sys.path.insert(0, str(ROOT / "tests/server"))
from program import Program


def serve(program, *options):
    """It ends with the test, whatever becomes of that."""
    return Program(["timeout", "--foreground", "-k", "5", "150", program, "serve", str(MODEL), "--port", "0", "--device", "cpu", *options])


def require(condition, what):
    if not condition:
        raise AssertionError(what)


server = serve(sys.argv[1])
page = support.Browser()


def open_page(path="/"):
    page.driver.get(server.url + path)
    page.wait(lambda: page.run("return document.documentElement.dataset.ready"), "the page to be ready")


def idle():
    return not page.shown("#stop")


def answers():
    return page.run("return Array.from(document.querySelectorAll('.message.assistant > .prose'), (e) => e.textContent.trim())")


def ask(text, wait=True):
    before = page.run("return document.querySelectorAll('.message').length")
    page.one("#input").send_keys(text, Keys.ENTER)
    page.wait(lambda: page.run("return document.querySelectorAll('.message').length") >= before + 2, "the question to be sent")
    if wait:
        page.wait(idle, "the answer")


def sent():
    """What the browser gets: packed, with the policy; asked for again it is not sent again."""
    asked = urllib.request.Request(server.url + "/", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(asked, timeout=10) as reply:
        body = gzip.decompress(reply.read())
        require(body == (ROOT / "src/server/web/pages/index.html").read_bytes(), "the page is not what the sources have")
        require("default-src 'none'" in reply.headers["Content-Security-Policy"], reply.headers)
        tag = reply.headers["ETag"]
    asked.add_header("If-None-Match", tag)
    try:
        urllib.request.urlopen(asked, timeout=10)
        raise AssertionError("it was sent again")
    except urllib.error.HTTPError as error:
        require(error.code == 304, error)


def limit_answers(tokens):
    """Greedy and short, so that the test is quick and the same each time."""
    page.click("#open-settings")
    page.one("#sampling-temperature").clear()
    page.one("#sampling-temperature").send_keys("0")
    page.one("#sampling-max_tokens").clear()
    page.one("#sampling-max_tokens").send_keys(str(tokens))
    page.keys(Keys.ESCAPE)


def conversation():
    open_page()
    require(page.one("#model").get_attribute("value") == "xenon-default-q8_0", "the model is chosen")
    limit_answers(24)
    ask("Tell me a short story about a dragon.")
    require(len(answers()[0]) > 20, answers())
    require("tokens/s" in page.text(".stats") and "24 tokens" in page.text(".stats"), page.text(".stats"))
    require(re.fullmatch(r"Context \d+ of 2,\d\d\d", page.text("#context-text")), page.text("#context-text"))
    require("Cut off" in page.text(".note"), "the limit is told")
    ask("And then?")
    require(len(answers()) == 2 and answers()[1], answers())
    require(not page.shown("#notice"), page.text("#notice"))


def retry():
    before = answers()[1]
    page.click(".message:last-child [aria-label='Answer again']")
    page.wait(lambda: page.text(".message:last-child .versions") == "2 / 2" and idle(), "a second version")
    require(answers()[1] == before, f"greedy answers differ: {before!r} and {answers()[1]!r}")


def edit():
    page.click(".message:nth-child(3) [aria-label='Edit message']")
    page.one(".editing textarea").clear()
    page.one(".editing textarea").send_keys("What is your name?", Keys.ENTER)
    page.wait(lambda: page.text(".message:nth-child(3) .bubble") == "What is your name?" and idle() and answers()[1], "a new answer")
    require(page.text(".message:nth-child(3) .versions") == "2 / 2", "the old question is kept")


def stop():
    limit_answers(1500)
    page.one("#open-settings").click()
    page.one("#extra").send_keys('{"ignore_eos": true}')
    page.keys(Keys.ESCAPE)
    ask("Tell me a very long story.", wait=False)
    page.wait(lambda: answers()[-1], "the answer to begin")
    page.keys(Keys.ESCAPE)
    page.wait(idle, "the stop")
    require(page.text(".message:last-child .note") == "Stopped.", page.text(".message:last-child .note"))


def reload():
    shown = answers()
    page.driver.refresh()
    page.wait(lambda: answers() == shown, "the conversation")
    page.wait(lambda: page.run("return document.documentElement.dataset.ready"), "the page")
    limit_answers(8)
    page.click("#open-settings")
    page.one("#extra").clear()
    page.keys(Keys.ESCAPE)
    ask("Hello")
    require(len(answers()) == len(shown) + 1 and answers()[-1], "it goes on")


def looks():
    page.dark(True)
    require(page.run("return getComputedStyle(document.body).backgroundColor") == "rgb(23, 25, 26)", "dark")
    page.size(360, 740, phone=True)
    require(page.run("return document.getElementById('page').scrollWidth") <= 360, "a phone's width")
    page.size(1280, 800)
    page.dark(False)


def dashboard():
    open_page("/dashboard")
    # One after the other: a single answer can be complete before the page looks.
    page.later("""(async () => { for (let i = 0; i < 8; i++) await (await fetch("/v1/chat/completions",
        { method: "POST", headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ messages: [{ role: "user", content: "Go on." }], max_tokens: 600, ignore_eos: true }) })).text(); })();""")
    page.wait(lambda: page.text("#running") == "1", "a request that runs")
    page.wait(lambda: page.shown("#slots .busy"), "a slot that is busy")
    page.wait(lambda: float(page.text("#generated-now").replace(",", "").replace("–", "0")) > 0, "a rate")
    require(page.shown("#cache") and re.search(r"free of [\d,]+ pages", page.text("#cache-text")), page.text("#cache-text"))
    page.wait(lambda: page.text("#running") == "0", "its end", 300)
    require(int(page.text("#generated-all").replace(",", "")) >= 600, page.text("#generated-all"))


def main():
    checks = support.Checks(page)
    for check in (sent, conversation, retry, edit, stop, reload, looks, dashboard):
        checks.run(check)
    complaints = page.console()
    elsewhere = {url for url in page.requested() if not url.startswith((server.url, "data:", "blob:", "about:"))}
    for what in (complaints, elsewhere):
        if what:
            checks.failed += 1
            print("FAILED: the console says, or other hosts were asked:", *what, sep="\n")
    return checks.failed


try:
    failed = main()
finally:
    page.close()
    status = server.stop()
if status != 0:
    failed += 1
    print(f"FAILED: the server ended with {status}\n" + server.text(20))
sys.exit(1 if failed else 0)
