#!/usr/bin/env python3
"""The web pages in Chromium, against mock.py: what a real model cannot be made to say or do. See served_test.py for
the program itself.

Usage: pages_test.py [CHECK...]     names of functions in chat_checks.py and page_checks.py; all without
"""
import sys

from session import open_page, page, server
import browser as support
import chat_checks
import page_checks

EXPECTED_COMPLAINTS = ("the server responded with a status of", "ERR_INTERNET_DISCONNECTED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_CLOSED")


def main():
    checks = support.Checks(page)
    open_page()
    everything = [
        page_checks.modules, chat_checks.conversation, chat_checks.code, chat_checks.growing, chat_checks.stop, chat_checks.retry,
        chat_checks.edit, chat_checks.reload, chat_checks.background, chat_checks.files, chat_checks.attachments, chat_checks.settings,
        chat_checks.reasoning, chat_checks.tools, page_checks.troubles, page_checks.key, page_checks.hostile, page_checks.sanitizer,
        page_checks.theme, page_checks.phone, page_checks.keyboard, page_checks.accessibility, page_checks.dashboard, page_checks.plain,
    ]
    if page.run("return document.documentElement.dataset.markdown") == "off":
        # As released with Debian 12; its security updates have one that works.
        print("Debian's DOMPurify here fails on all input, so Markdown is not checked")
        needs_markdown = {"conversation", "code", "growing", "hostile", "sanitizer", "accessibility"}
        everything = [check for check in everything if check.__name__ not in needs_markdown]
    wanted = sys.argv[1:]
    page.requested()
    page.console()
    for check in everything:
        if wanted and check.__name__ not in wanted:
            continue
        checks.run(check)
        complaints = [message for message in page.console() if not any(text in message for text in EXPECTED_COMPLAINTS)]
        if complaints:
            checks.failed += 1
            print(f"FAILED {check.__name__}: the console says:", *complaints, sep="\n")
        elsewhere = {url for url in page.requested() if not url.startswith((server.url, "data:", "blob:"))}
        if elsewhere:
            checks.failed += 1
            print(f"FAILED {check.__name__}: other hosts were asked: {elsewhere}")
    if server.foreign:
        checks.failed += 1
        print(f"FAILED: the pages ask for what is not there: {server.foreign}")
    return 1 if checks.failed else 0


try:
    status = main()
finally:
    page.close()
sys.exit(status)
