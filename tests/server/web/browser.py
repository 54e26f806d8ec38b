"""Chromium for the tests of the pages: Debian's, driven by selenium from PyPI in an environment of its own.

Where either is not to be had, `environment` says so and ends with 77, which ctest counts as skipped.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

PACKAGES = ["selenium==4.51.0"]
AXE = "axe-playwright-python==0.1.8"  # for the axe.min.js in it; what it depends on is not needed
SKIPPED = 77


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def environment():
    """Goes on inside of the environment that has selenium, made on first use."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        skip("no chromium and chromium-driver here (tools/packages-web.txt)")
    cache = pathlib.Path(os.environ.get("XENON_TEST_CACHE", "build/test-cache")).resolve()
    folder = cache / "web-venv"
    python = folder / "bin/python"
    if pathlib.Path(sys.prefix) == folder:
        return
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        cache.mkdir(parents=True, exist_ok=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        steps = [[sys.executable, "-m", "venv", str(folder)], pip + PACKAGES, pip + ["--no-deps", AXE]]
        for step in steps:
            try:
                done = subprocess.run(step, capture_output=True, text=True, timeout=240)
            except subprocess.TimeoutExpired:
                skip("PyPI does not answer")
            if done.returncode:
                skip(f"selenium can't be installed: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
        (folder / "complete").touch()
    os.execv(python, [str(python), *sys.argv])


class Browser:
    """One Chromium; `driver` is selenium's. Waits are bounded: what does not come in time fails."""

    def __init__(self, downloads=None):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,800"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self.driver.set_page_load_timeout(30)
        self.driver.set_script_timeout(30)
        if downloads:
            self.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        self.size(1280, 800)
        self.dark(False)

    def close(self):
        self.driver.quit()

    def cdp(self, command, **arguments):
        return self.driver.execute_cdp_cmd(command, arguments)

    def size(self, width, height, phone=False):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone)

    def dark(self, wanted):
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if wanted else "light"}])

    def offline(self, wanted):
        self.cdp("Network.enable")
        self.cdp("Network.emulateNetworkConditions", offline=wanted, latency=0, downloadThroughput=-1, uploadThroughput=-1)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def later(self, script, *arguments):
        """The value of an async function's body."""
        wrapped = "const done = arguments[arguments.length - 1]; (async (...args) => {%s})(...arguments).then((value) => done({ value }), (error) => done({ error: String(error.stack || error) }));"
        result = self.driver.execute_async_script(wrapped % script, *arguments)
        if "error" in result:
            raise AssertionError(result["error"])
        return result.get("value")

    def one(self, selector):
        return self.driver.find_element("css selector", selector)

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0])?.textContent ?? ''", selector)

    def shown(self, selector):
        return self.run("return Array.from(document.querySelectorAll(arguments[0])).some((e) => e.checkVisibility({visibilityProperty: true}))", selector)

    def click(self, selector):
        """Once it is shown; what the page draws anew between the look and the click is looked up again."""

        def clicked():
            if not self.shown(selector):
                return False
            self.one(selector).click()
            return True

        self.wait(clicked, f"{selector} to be shown and clicked")

    def keys(self, *keys):
        """Typed into whatever has the focus."""
        from selenium.webdriver.common.action_chains import ActionChains

        actions = ActionChains(self.driver)
        held = [key for key in keys[:-1]]
        for key in held:
            actions.key_down(key)
        actions.send_keys(keys[-1])
        for key in reversed(held):
            actions.key_up(key)
        actions.perform()

    def wait(self, condition, what, seconds=60):
        from selenium.common.exceptions import WebDriverException

        end = time.monotonic() + seconds
        while True:
            try:
                if result := condition():
                    return result
            except WebDriverException:
                pass  # an element that was just replaced
            if time.monotonic() > end:
                raise AssertionError(f"waited {seconds} s in vain for {what}")
            time.sleep(0.03)

    def console(self):
        """What the page has complained of since the last look."""
        return sorted({entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "DEBUG"})

    def requested(self):
        """The addresses that were asked for since the last look."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return found

    def unnamed(self):
        """Controls without a name for screen readers."""
        controls = {"button", "textbox", "searchbox", "combobox", "link", "checkbox", "radio", "spinbutton", "menuitem", "listbox", "dialog", "DisclosureTriangle", "img", "image"}
        nodes = self.cdp("Accessibility.getFullAXTree")["nodes"]
        return [
            node.get("backendDOMNodeId")
            for node in nodes
            if not node.get("ignored") and node.get("role", {}).get("value") in controls and not node.get("name", {}).get("value")
        ]

    def axe(self):
        """What axe-core finds against WCAG 2.1 A and AA: "rule: element" each."""
        source = pathlib.Path(sys.prefix).glob("lib/python*/site-packages/axe_playwright_python/axe.min.js")
        self.run(next(source).read_text(encoding="utf-8"))
        found = self.later("""const result = await axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], resultTypes: ["violations"] });
            return result.violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html.slice(0, 160)} ${node.failureSummary.slice(0, 300)}`));""")
        return found


class Checks:
    """Runs functions in turn, says how each ended, and keeps a picture of the page where one failed."""

    def __init__(self, browser):
        self.browser = browser
        self.failed = 0

    def run(self, function, *arguments):
        import traceback

        began = time.monotonic()
        try:
            function(*arguments)
            print(f"ok     {function.__name__}  {time.monotonic() - began:.1f} s", flush=True)
        except Exception:
            self.failed += 1
            traceback.print_exc(file=sys.stdout)
            picture = pathlib.Path(os.environ.get("XENON_TEST_CACHE", "build/test-cache")) / f"web-{function.__name__}.png"
            self.browser.driver.save_screenshot(str(picture))
            print(f"FAILED {function.__name__}; the page is in {picture}", flush=True)
