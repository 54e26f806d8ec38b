"""Troubles, hostile models, looks, keyboard, accessibility; the dashboard; modules by themselves."""
import time

from session import HERE, answers, ask, asked, idle, open_page, page, require, server
import mock as mocks
from selenium.webdriver.common.keys import Keys


def modules():
    open_page()
    failed = page.later((HERE / "modules_test.js").read_text(encoding="utf-8"))
    require(not failed, "\n".join(failed or []))


def troubles():
    open_page()
    ask("refuse this")
    require("5000 tokens" in page.text(".message:last-child .failure"), "the server's message is shown")
    ask("please break")
    require("the device failed" in page.text(".message:last-child .failure") and "The sky" in answers()[-1], "what came before stays")
    ask("please vanish")
    require("before the answer was complete" in page.text(".message:last-child .failure"), "a broken connection is told")
    ask("you are too busy")
    require("try again in 7 s" in page.text("#notice"), page.text("#notice"))
    page.offline(True)
    ask("hello?")
    require("can’t be reached" in page.text("#notice"), page.text("#notice"))
    page.offline(False)
    page.wait(lambda: not page.shown("#notice"), "the server to be found again")
    page.click(".message:last-child .failure button")
    page.wait(lambda: idle() and "Rayleigh" in answers()[-1], "the answer after all")
    server.loading_until = time.time() + 3
    open_page_while_loading()


def open_page_while_loading():
    page.driver.get(server.url)
    page.wait(lambda: "loading its model" in page.text("#notice"), "the notice")
    page.wait(lambda: not page.shown("#notice") and page.one("#model").get_attribute("value") == "mock-4b", "the model")


def key():
    server.key = "open sesame"
    try:
        page.driver.get(server.url)
        page.wait(lambda: page.shown("#key-field"), "the question for a key")
        page.one("#key-field").send_keys("wrong", Keys.ENTER)
        page.wait(lambda: page.shown("#key-field") and "not accepted" in page.text("dialog[open]"), "a second question")
        page.one("#key-field").send_keys("open sesame", Keys.ENTER)
        page.wait(lambda: page.one("#model").get_attribute("value") == "mock-4b", "the models")
        ask("hello")
        require("Rayleigh" in answers()[-1], answers())
        require(page.run("return localStorage.getItem('xenon.key')") is None, "it is kept only where that was asked for")
        page.driver.get(f"{server.url}/dashboard")
        page.wait(lambda: page.text("#running") == "0", "the dashboard")
    finally:
        server.key = None


def hostile():
    open_page()
    page.requested()
    ask("be hostile")
    time.sleep(0.3)
    require(page.run("return window.hacked") is None, "a script of the model ran")
    inside = page.run("return document.querySelector('.prose').innerHTML")
    for tag in ("<script", "<img", "<iframe", "<svg><g", "<form", "<style", "<meta", "<math", "<b "):
        require(tag not in inside, f"{tag} is in the page: {inside}")
    links = page.run("return Array.from(document.querySelectorAll('.prose a'), (a) => [a.href, a.rel, a.target])")
    require(links and all(href.startswith("https://") and "noopener" in rel and target == "_blank" for href, rel, target in links), links)
    require("https://evil.example/track.png?secret=1" in [href for href, _, _ in links], "an image becomes a link")
    require("onerror=window.hacked=11" not in page.text(".code-head"), "what follows a language's name is not shown")
    require("The end of it." in answers()[-1] and "window.hacked = 1" in answers()[-1], "it is shown as text")
    complaints = page.console()
    require(not any("Content Security Policy" in message for message in complaints), complaints)


def sanitizer():
    """The second wall alone: what DOMPurify leaves of HTML that Markdown would have to let through."""
    open_page()
    left = page.later("""
        const { render } = await import("/web/markdown.js");
        const box = document.createElement("div");
        document.body.append(box);
        const parser = marked.parser;
        marked.parser = () => args[0];
        try { render(box, "x"); } finally { marked.parser = parser; }
        await new Promise((done) => setTimeout(done, 200));
        const left = Array.from(box.querySelectorAll("*"), (e) => [e.localName, Array.from(e.attributes, (a) => `${a.name}=${a.value}`)]);
        left.push([box.textContent, []]);
        box.remove();
        return left;""", mocks.HOSTILE)
    require(page.run("return window.hacked") is None, "a script of the model ran")
    require("Hello" in left.pop()[0], "nothing was left")
    for tag, attributes in left:
        require(tag in ("p", "a", "table", "h1"), f"<{tag}> got through the sanitizer: {left}")
        require(tag == "a" or not attributes, f"{attributes} got through the sanitizer")
    page.console()  # while it is sanitized the policy is what stops handlers, and says so


def theme():
    open_page()
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = page.run(ground)
    page.dark(True)
    dark = page.run(ground)
    require(light != dark, "the system's choice is followed")
    page.click("#switch-theme")
    require(page.text("#switch-theme").strip() == "Theme: light" and page.run(ground) == light, "light was chosen")
    page.driver.refresh()
    page.wait(lambda: page.run("return document.documentElement.dataset.ready"), "the page")
    require(page.run(ground) == light, "the choice lasts")
    page.click("#open-settings")
    require(page.one("[name=theme][value=light]").is_selected(), "the settings say so too")
    page.click("[name=theme][value=dark]")
    page.dark(False)
    require(page.run(ground) == dark, "dark was chosen")


def phone():
    page.size(360, 740, phone=True)
    try:
        open_page()
        require(not page.shown("#sidebar"), "the list is put away")
        ask("show me code, please, with an unbroken word " + "x" * 300)
        wide = "return Math.max(document.documentElement.scrollWidth, document.getElementById('scroll').scrollWidth, document.getElementById('page').scrollWidth)"
        require(page.run(wide) <= 360, f"the page is {page.run(wide)} wide on a screen of 360")
        small = page.run("""return Array.from(document.querySelectorAll('button, select, a'), (e) => [e.id || e.className, e.getBoundingClientRect()])
            .filter(([, r]) => r.width > 0 && (r.width < 24 || r.height < 24)).map(([name]) => name)""")
        require(not small, f"too small to touch: {small}")
        page.click("#open-sidebar")
        page.wait(lambda: page.shown("#sidebar") and page.run("return document.activeElement.id") == "close-sidebar", "the list, with the focus")
        require(page.run("return document.getElementById('page').inert"), "what lies below is out of reach")
        page.keys(Keys.ESCAPE)
        page.wait(lambda: not page.shown("#sidebar") and page.run("return document.activeElement.id") == "open-sidebar", "the focus to be back")
        page.click("#open-sidebar")
        page.click("#open-settings")
        require(page.run("return document.getElementById('settings').getBoundingClientRect().right") <= 360, "the dialog fits")
        page.driver.get(f"{server.url}/dashboard")
        page.wait(lambda: page.text("#running") == "0", "the dashboard")
        require(page.run("return document.documentElement.scrollWidth") <= 360, "the dashboard fits")
    finally:
        page.size(1280, 800)


def keyboard():
    open_page()
    field = page.one("#input")
    field.send_keys("first line")
    page.keys(Keys.SHIFT, Keys.ENTER)
    field.send_keys("second line")
    require(field.get_attribute("value") == "first line\nsecond line" and not page.all(".message"), "Shift and Enter make a line")
    page.keys(Keys.ENTER)
    page.wait(lambda: len(page.all(".message")) == 2 and idle(), "Enter sends")
    require(asked()["messages"][0]["content"] == "first line\nsecond line", asked())
    page.keys(Keys.CONTROL, Keys.SHIFT, Keys.ENTER)
    page.wait(lambda: page.text(".message:last-child .versions") == "2 / 2" and idle(), "another answer")
    page.keys(Keys.CONTROL, "/")
    page.wait(lambda: page.shown("#shortcuts"), "the list of shortcuts")
    page.keys(Keys.ESCAPE)
    page.wait(lambda: not page.shown("#shortcuts") and page.run("return document.activeElement.id") == "input", "the focus to be back")
    page.keys(Keys.CONTROL, ",")
    page.wait(lambda: page.shown("#settings"), "the settings")
    page.keys(Keys.ESCAPE)
    # All controls of the page are reached by Tab, and the menu by arrows.
    page.run("document.activeElement.blur()")
    reached = set()
    for _ in range(40):
        page.keys(Keys.TAB)
        reached.add(page.run("const e = document.activeElement; return e.id || e.getAttribute('aria-label') || e.className"))
    wanted = {"open-settings", "new", "model", "input", "Copy answer", "Answer again", "Edit message", "entry-open", "switch-theme"}
    require(wanted <= reached, f"not reached: {wanted - reached}")
    page.run("document.querySelector('.entry .icon-button').focus()")
    page.keys(Keys.ENTER)
    page.wait(lambda: page.run("return document.activeElement.textContent") == "Rename", "the menu")
    page.keys(Keys.ARROW_UP)
    require(page.run("return document.activeElement.textContent") == "Delete", "the arrows go round")
    page.keys(Keys.ESCAPE)
    require(page.run("return document.activeElement.getAttribute('aria-haspopup')") == "menu", "the focus is back")
    page.keys(Keys.CONTROL, Keys.SHIFT, "o")
    page.wait(lambda: page.shown("#empty") and page.run("return document.activeElement.id") == "input", "a new chat")


def accessibility():
    def look(where):
        unnamed = page.unnamed()
        require(not unnamed, f"{where}: {len(unnamed)} controls have no name")
        found = page.axe()
        require(not found, f"{where}:\n" + "\n".join(found))

    open_page()
    look("empty page")
    ask("show me code")
    ask("please think")
    page.click(".thought:not([hidden]) summary")
    ask("what is the weather?")
    ask("refuse this")
    page.wait(lambda: page.all(".hljs-keyword"), "highlighting")
    for dark in (False, True):
        page.dark(dark)
        look(f"conversation, dark: {dark}")
    page.click("#open-settings")
    look("settings, dark")
    open_page("/dashboard", fresh=False)
    look("dashboard, dark")
    page.dark(False)
    look("dashboard, light")
    page.run("const b = document.createElement('button'); b.style.cssText = 'color: #999; background: #aaa'; document.querySelector('main').append(b, 'x')")
    require(page.unnamed() and page.axe(), "a nameless button is not found")


def dashboard():
    open_page("/dashboard")
    require(page.text("#waiting") == "1" and page.text("#slots-busy") == "0 of 8", "the numbers")
    require(page.text("#cache-text") == "84 in use, 96 kept for prefixes, 332 free of 512 pages", page.text("#cache-text"))
    require(len(page.all("#slots tr")) == 8, "slots of both models")
    before = server.tokens[1]
    page.later("fetch('/v1/chat/completions', { method: 'POST', body: JSON.stringify({ messages: [{ role: 'user', content: 'long' }] }) }).then((r) => r.text());")
    page.wait(lambda: page.text("#running") == "1", "a request")
    page.wait(lambda: float(page.text("#generated-now").replace(",", "") or 0) > 0, "a rate", 6)
    page.wait(lambda: page.run("return document.querySelector('.line.generated').getAttribute('d')").count("L") >= 2, "a line")
    require(server.tokens[1] > before and "generated" in page.one("#chart svg").get_attribute("aria-label"), "it is told in words too")
    page.offline(True)
    page.wait(lambda: "can’t be reached" in page.text("#notice"), "the notice")
    page.offline(False)
    page.wait(lambda: not page.shown("#notice"), "the server to be found again")


def plain():
    """Without a sanitizer that works, texts are shown as they are."""
    for library in ("marked.js", "purify.js"):
        server.missing.add(library)
        try:
            open_page()
            ask("be hostile")
            require(answers()[-1] == mocks.HOSTILE and page.run("return document.querySelector('.prose').children.length") == 0, f"without {library}")
            page.click("#open-settings")
            require("no working Markdown" in page.text("#about"), "it is said in the settings")
        finally:
            server.missing.clear()
