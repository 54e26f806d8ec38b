"""What the chat does when all goes well."""
import json
import time

from session import HERE, answers, ask, asked, downloads, idle, open_page, page, require, server
import mock as mocks
from selenium.webdriver.common.keys import Keys


def conversation():
    open_page()
    require(page.shown("#empty") and page.run("return document.activeElement.id") == "input", "it begins empty, with the focus in the field")
    require(not page.one("#send").is_enabled(), "nothing can be sent yet")
    server.pace = 0.02
    ask("Why is the sky blue?", wait=False)
    page.wait(lambda: 0 < len(answers()[-1]) < 150 and page.shown("#stop"), "a part of the answer")
    server.pace = 0.001
    page.wait(idle, "the answer")
    require(answers()[-1].strip().startswith("The sky is blue") and answers()[-1].strip().endswith("is left."), answers())
    require(page.text(".prose em") == "Rayleigh scattering" and page.text(".prose strong") == "red", "Markdown is drawn")
    require("41.5 tokens/s" in page.text(".stats") and "mock-4b" in page.text(".stats"), page.text(".stats"))
    require(page.text("#context-text") == "Context 174 of 4,096", page.text("#context-text"))
    require(page.text("#title") == "Why is the sky blue?" == page.text(".entry-title"), "the title")
    require(page.text("#said").startswith("Answer: The sky is blue"), "a screen reader is told the answer when it is complete")
    ask("And at night?")
    require([m["role"] for m in asked()["messages"]] == ["user", "assistant", "user"], asked())
    require(asked()["stream"] and asked()["stream_options"]["include_usage"] and asked()["model"] == "mock-4b", asked())


def code():
    open_page()
    ask("Show me code")
    page.wait(lambda: page.all(".code .hljs-keyword"), "highlighting")
    require(page.text(".code-head span") == "python", "the language is named")
    page.wait(lambda: page.run("return document.querySelector('.code code').lastChild.textContent.length") < 40, "colours to the end")
    require("".join(page.text(".code code").split()) == "".join(mocks.CODE.split("```")[1][6:].split()), page.text(".code code"))
    page.cdp("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"], origin=server.url)
    page.click(".code-head button")
    copied = page.wait(lambda: page.later("return await navigator.clipboard.readText()"), "the clipboard")
    require(copied.startswith("import heapq\n") and copied.endswith("return distances"), copied)
    require(page.run("return getComputedStyle(document.querySelector('.prose td:last-child')).textAlign") == "right", "columns are aligned")


def growing():
    """A block that is complete stays the same element while the rest grows."""
    open_page()
    ask("a long one", wait=False)
    page.wait(lambda: len(page.all(".prose > p")) > 3, "some paragraphs")
    page.run("document.querySelector('.prose > p').marked = true")
    before = len(page.all(".prose > p"))
    page.wait(lambda: len(page.all(".prose > p")) > before + 5, "more paragraphs")
    require(page.run("return document.querySelector('.prose > p').marked") is True, "the first paragraph was drawn again")
    bottom = "const s = document.getElementById('scroll'); return s.scrollHeight - s.scrollTop - s.clientHeight"
    page.wait(lambda: page.run("return document.getElementById('scroll').scrollTop") > 200, "more than the window holds")
    page.wait(lambda: page.run(bottom) < 60, "the view to follow")
    page.run("document.getElementById('scroll').scrollTop = 0")
    before = len(page.all(".prose > p"))
    page.wait(lambda: len(page.all(".prose > p")) > before + 3, "more paragraphs")
    require(page.run("return document.getElementById('scroll').scrollTop") < 100, "who has scrolled up is left there")
    page.click("#to-end")
    page.wait(lambda: page.run(bottom) < 60, "the view to be at the end")
    page.click("#stop")
    page.wait(idle, "the end")


def stop():
    open_page()
    for way in ("button", "key"):
        cancelled = server.cancelled
        ask("a long one", wait=False)
        page.wait(lambda: answers()[-1], "the answer to begin")
        if way == "button":
            page.click("#stop")
        else:
            page.keys(Keys.ESCAPE)
        page.wait(idle, "the stop")
        require(page.text(".message:last-child .note") == "Stopped." and "Paragraph 0" in answers()[-1], "what was said stays")
        page.wait(lambda: server.cancelled > cancelled, "the server to notice")
        require(page.run("return document.activeElement.id") == "input", "the focus is in the field")


def retry():
    open_page()
    ask("one")
    ask("two")
    page.click(".message:last-child [aria-label='Answer again']")
    page.wait(lambda: page.text(".message:last-child .versions") == "2 / 2" and idle(), "a second version")
    require([m["content"] for m in asked()["messages"] if m["role"] == "user"] == ["one", "two"], asked())
    page.click(".message:last-child [aria-label='Previous version']")
    page.wait(lambda: page.text(".message:last-child .versions") == "1 / 2", "the first version")
    ask("three")
    page.click(".message:nth-child(4) [aria-label='Next version']")
    page.wait(lambda: len(page.all(".message")) == 4, "the branch without the third question")


def edit():
    open_page()
    ask("wrong question")
    ask("more")
    page.click(".message:nth-child(1) [aria-label='Edit message']")
    field = page.one(".editing textarea")
    require(field.get_attribute("value") == "wrong question", "the text is there to edit")
    field.send_keys(Keys.ESCAPE)
    require(not page.all(".editing"), "Esc ends editing")
    page.click(".message:nth-child(1) [aria-label='Edit message']")
    page.one(".editing textarea").clear()
    page.one(".editing textarea").send_keys("right question", Keys.ENTER)
    page.wait(lambda: len(page.all(".message")) == 2 and idle(), "a new answer")
    require([m["content"] for m in asked()["messages"]] == ["right question"], asked())
    require(page.text(".message:nth-child(1) .versions") == "2 / 2", "the old one is kept")
    page.one("#input").send_keys(Keys.ARROW_UP)
    require(page.one(".editing textarea").get_attribute("value") == "right question", "the arrow edits the last")


def reload():
    open_page()
    ask("one to keep")
    page.driver.refresh()
    page.wait(lambda: len(page.all(".message")) == 2, "the conversation")
    require(page.text(".bubble") == "one to keep" and "Rayleigh" in answers()[0], "all of it is there")
    page.wait(lambda: page.run("return document.documentElement.dataset.ready"), "the page")
    ask("a long one", wait=False)
    page.wait(lambda: len(answers()[-1]) > 200, "a part")
    time.sleep(1.6)  # it is saved now and then
    page.driver.refresh()
    page.wait(lambda: page.text(".message:last-child .note") == "Stopped.", "what was there of the answer")
    require(len(answers()[-1]) > 200, "the part is kept")
    open_page(fresh=False)
    require(page.shown("#empty") and page.text(".entry-title") == "one to keep", "/ begins a new chat, the list has the old one")
    page.click(".entry-open")
    page.wait(lambda: len(page.all(".message")) == 4, "the old one")


def background():
    """An answer goes on while another chat is shown."""
    open_page()
    ask("a long first", wait=False)
    page.wait(lambda: answers()[-1], "the answer to begin")
    page.click("#new")
    ask("second")
    require(page.shown(".entry-running"), "the first goes on")
    page.click(".entry:not(:has([aria-current])) .entry-open")
    page.wait(lambda: page.text(".bubble") == "a long first" and page.shown("#stop"), "the first, still running")
    shown = len(answers()[-1])
    page.wait(lambda: len(answers()[-1]) > shown, "it to grow")
    page.click(".entry:not(:has([aria-current])) .entry-open")
    page.wait(lambda: page.text(".bubble") == "second" and idle(), "the second")
    page.click(".entry:not(:has([aria-current])) .entry-open")
    page.click("#stop")
    page.wait(lambda: page.text(".message:last-child .note") == "Stopped." and not page.shown(".entry-running"), "both to end")


def files():
    open_page()
    ask("keep me")
    ask("show me code")
    page.click(".entry .icon-button")
    page.click(".menu-item:nth-child(1)")
    page.one("dialog[open] input").clear()
    page.one("dialog[open] input").send_keys("A <b>title</b>", Keys.ENTER)
    page.wait(lambda: page.text("#title") == "A <b>title</b>" == page.text(".entry-title"), "the new name")
    page.click(".entry .icon-button")
    page.click(".menu-item:nth-child(2)")
    text = page.wait(lambda: [f for f in downloads.glob("*.md")], "the Markdown file")[0].read_text(encoding="utf-8")
    require("## You\n\nkeep me" in text and "import heapq" in text, text)
    page.click("#open-settings")
    page.click("#export-all")
    file = page.wait(lambda: list(downloads.glob("*.json")), "the file")[0]
    page.wait(lambda: file.read_text(encoding="utf-8").endswith("}"), "all of the file")
    page.click("#remove-all")
    page.click("dialog.small[open] .danger")
    page.wait(lambda: not page.all(".entry") and page.shown("#empty"), "all to be gone")
    page.one("#import-file").send_keys(str(file))
    page.wait(lambda: page.text(".entry-title") == "A <b>title</b>", "the chat to be back")
    page.one("#import-file").send_keys(str(HERE / "mock.py"))
    page.wait(lambda: "not JSON" in page.text("#about"), "a refusal")
    page.keys(Keys.ESCAPE)
    page.click(".entry-open")
    page.wait(lambda: len(page.all(".message")) == 4, "its messages")
    page.click(".entry .icon-button")
    page.click(".menu-item:nth-child(3)")
    page.click("dialog.small[open] .danger")
    page.wait(lambda: not page.all(".entry") and page.shown("#empty"), "the chat to be gone")
    page.driver.refresh()
    page.wait(lambda: page.text(".nothing"), "an empty list")


def attachments():
    open_page()
    note = downloads / "notes.md"
    note.write_text("Some notes\n```c\nint x;\n```\n" + "and more\n" * 30, encoding="utf-8")
    page.one("#attach-file").send_keys(str(note))
    page.wait(lambda: page.one("#input").get_attribute("value").startswith("notes.md:\n````md\nSome notes\n```c\n"), "the text in the field")
    page.one("#input").send_keys("What is this?", Keys.ENTER)
    page.wait(lambda: len(page.all(".message")) == 2 and idle(), "the answer")
    require(asked()["messages"][0]["content"].endswith("and more\n````\n\nWhat is this?"), asked())
    folded = page.run("return document.querySelector('.bubble').clientHeight")
    page.click(".unfold")
    require(page.run("return document.querySelector('.bubble').clientHeight") > folded + 100, "a long question is folded")
    binary = downloads / "picture.bin"
    binary.write_bytes(bytes(range(256)))
    page.one("#attach-file").send_keys(str(binary))
    page.wait(lambda: "no text" in page.text("#notice"), "a refusal")
    require(page.one("#input").get_attribute("value") == "", "nothing was put in")


def settings():
    open_page()
    page.click("#open-settings")
    require(page.one("#sampling-temperature").get_attribute("placeholder") == "0.8", "the server's defaults are shown")
    page.one("#system").send_keys("Answer in rhyme.")
    page.one("#sampling-temperature").send_keys("0.25")
    page.one("#sampling-top_k").send_keys("9")
    page.run("document.getElementById('sampling-top_p').scrollIntoView()")
    page.one("#sampling-top_p").send_keys("7")
    require(page.one("#sampling-top_p").get_attribute("aria-invalid") == "true", "a wrong number is marked")
    page.one("#thinking").send_keys("Off")
    page.one("#tools").send_keys('[{"name": "weather"')
    require("not JSON" in page.text("#tools-wrong") and page.shown("#tools-wrong"), "broken tools are told")
    page.one("#tools").send_keys("}]")
    require(not page.shown("#tools-wrong"), "whole ones are not")
    page.one("#extra").send_keys('{"dry_multiplier": 0.8}')
    page.keys(Keys.ESCAPE)
    ask("hello")
    sent = asked()
    require(sent["messages"][0] == {"role": "system", "content": "Answer in rhyme."}, sent)
    require(sent["temperature"] == 0.25 and sent["top_k"] == 9 and sent["dry_multiplier"] == 0.8 and "top_p" not in sent, sent)
    require(sent["chat_template_kwargs"] == {"enable_thinking": False} and sent["tools"][0]["function"]["name"] == "weather", sent)
    from selenium.webdriver.support.select import Select

    Select(page.one("#model")).select_by_value("mock-tiny")
    page.driver.refresh()
    page.wait(lambda: page.run("return document.documentElement.dataset.ready"), "the page")
    ask("again")
    require(asked()["temperature"] == 0.25 and asked()["model"] == "mock-tiny" and asked()["messages"][0]["role"] == "system", "settings last")


def reasoning():
    open_page()
    ask("please think")
    require(page.text(".thought summary").startswith("Thought for"), page.text(".thought summary"))
    require(not page.shown(".thought > .prose") and "three" in answers()[0], "it is folded, and not in the answer")
    page.click(".thought:not([hidden]) summary")
    page.wait(lambda: "Let me count" in page.text(".thought > .prose") and page.shown(".thought > .prose"), "the reasoning")
    ask("more")
    require("reasoning_content" not in asked()["messages"][1], "earlier turns' thoughts are not sent")


def tools():
    open_page()
    ask("what is the weather?")
    require([e.text for e in page.all(".call-head strong")] == ["weather", "time"], "both calls are named")
    require('"city": "Oslo"' in page.text(".call code"), page.text(".call code"))
    first, second = page.all(".call textarea")
    first.send_keys("21 degrees")
    page.all(".call .primary")[0].click()
    page.wait(lambda: len(page.all(".call textarea")) == 1, "the first result")
    page.one(".call textarea").send_keys("noon")
    page.one(".call .primary").click()
    page.wait(lambda: "sunny" in answers()[-1] and idle(), "the answer")
    sent = asked()["messages"]
    require([m["role"] for m in sent] == ["user", "assistant", "tool", "tool"], sent)
    require(sent[1]["tool_calls"][0]["id"] == "call_a" == sent[2]["tool_call_id"] and sent[2]["content"] == "21 degrees", sent)
    require(json.loads(sent[1]["tool_calls"][0]["function"]["arguments"])["unit"] == "C", sent)
