#!/usr/bin/env python3
"""Opens pages of `zhgpt report` in Chromium, as a reader would: narrow and wide, light and dark, in both languages.

    check_page.py ZHGPT [PICTURES]      exit code 77: there is no Chromium here, nothing was checked

Trains two tiny runs, one with validation and one without. For each page: no request but for the page itself, no
error or word on the console, nothing beyond the right edge, text large enough and in contrast with what is behind
it, curves that have a size, and a picture that is not blank. With PICTURES, the pictures are kept there.
"""
import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

SIZES = [(360, 740), (1280, 900)]
DEADLINE_S = 60  # of one answer: only to end a test whose browser hangs

# What a page says of itself. Colours are compared as WCAG 2.1 has it, 1.4.3.
LOOK = r"""(() => {
  const rgb = text => (text.match(/[\d.]+/g) || []).map(Number);
  const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
                       return .2126 * r + .7152 * g + .0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
                        if (c.length === 3) return c; } return [255, 255, 255]; };
  const wide = [], small = [], faint = [];
  for (const e of document.querySelectorAll('body *')) {
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    if (box.width && !e.closest('.scroll, svg') && (box.right > innerWidth + 1 || box.left < -1)) wide.push(e.outerHTML.slice(0, 90));
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    if (parseFloat(style.fontSize) < 12) small.push(e.outerHTML.slice(0, 90));
    const a = light(rgb(style.color)), b = light(behind(e));
    if ((Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5) faint.push(e.outerHTML.slice(0, 90));
  }
  const curves = [...document.querySelectorAll('svg .curve')].map(p => p.getBoundingClientRect().width);
  return JSON.stringify({width: document.documentElement.scrollWidth, inner: innerWidth, wide, small, faint, curves,
    text: document.body.innerText, paper: getComputedStyle(document.body).backgroundColor});
})()"""


class Browser:
    """Chromium by its DevTools pipe: requests on its descriptor 3, answers and events on its descriptor 4."""

    def __init__(self, program, directory):
        requests, self.to = os.pipe()
        self.at, answers = os.pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
                 "--remote-debugging-pipe", f"--user-data-dir={directory}", "about:blank"]
        self.process = subprocess.Popen(["bash", "-c", f'exec "$@" 3<&{requests} 4>&{answers}', "bash", program, *flags],
                                        pass_fds=(requests, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(requests)
        os.close(answers)
        self.buffer, self.number, self.events, self.session = b"", 0, [], None

    def receive(self):
        deadline = time.monotonic() + DEADLINE_S
        while b"\0" not in self.buffer:
            if not select.select([self.at], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError("Chromium does not answer")
            more = os.read(self.at, 1 << 20)
            if not more:
                raise EOFError("Chromium has ended")
            self.buffer += more
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self.number += 1
        request = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.to, json.dumps(request).encode() + b"\0")
        while True:
            message = self.receive()
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def go_to(self, url):
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(m["method"] == "Page.loadEventFired" for m in self.events):
            self.events.append(self.receive())

    def open_tab(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(domain + ".enable")

    def close(self):
        self.process.kill()
        self.process.wait()


def find_chromium():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        # Where the package is a stand-in for a snap, it is there and does not start.
        if path and subprocess.run([path, "--version"], capture_output=True).returncode == 0:
            return path
    return None


def check(browser, page, width, height, scheme, picture):
    """What is wrong with a page as it is shown so, and the colour of its paper."""
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.go_to("about:blank")
    blank = len(base64.b64decode(browser.call("Page.captureScreenshot")["data"]))
    browser.go_to("file://" + page)
    look = json.loads(browser.call("Runtime.evaluate", expression=LOOK)["result"]["value"])
    png = base64.b64decode(browser.call("Page.captureScreenshot", captureBeyondViewport=bool(picture))["data"])
    if picture:
        with open(picture, "wb") as file:
            file.write(png)

    wrong = []
    for message in browser.events:
        method, parameters = message["method"], message["params"]
        if method == "Network.requestWillBeSent" and parameters["request"]["url"] != "file://" + page:
            wrong.append("request: " + parameters["request"]["url"])
        if method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            wrong.append(f"console: {parameters}")
    if not any(m["method"] == "Network.requestWillBeSent" for m in browser.events):
        wrong.append("the page's own request was not seen: others would not be seen either")
    if look["inner"] != width or look["width"] > width:
        wrong.append(f"width {look['width']} of {look['inner']}")
    wrong += [f"beyond the edge: {e}" for e in look["wide"]]
    wrong += [f"too small: {e}" for e in look["small"]]
    wrong += [f"too faint: {e}" for e in look["faint"]]
    if len(look["curves"]) < 4 or min(look["curves"]) < width / 5:
        wrong.append(f"curves {look['curves']}")
    if len(png) < 4 * blank:
        wrong.append(f"blank: {len(png)} bytes, an empty page has {blank}")
    return wrong, look["text"], look["paper"]


def main():
    program, pictures = os.path.abspath(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None
    chromium = find_chromium()
    if not chromium:
        print("SKIPPED: no Chromium here; no page was looked at. Install: apt-get install chromium fonts-wqy-microhei")
        return 77
    corpus = os.path.join(os.path.dirname(__file__), "../../data/sample_zh.txt")
    words = {"zh": ["一眼看懂", "学会了吗？", "训练过程", "写得怎么样", "本次训练"],
             "en": ["At a glance", "Did it learn?", "How the training went", "What its texts are like", "The run"]}
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        pages = []
        for name, more in (("whole", []), ("unvalidated", ["--val-fraction=0"])):
            run = os.path.join(directory, name)
            subprocess.run([program, "train", corpus, "-o", run, "--n-layer=1", "--n-head=2", "--n-embd=32", "--block-size=32",
                            "--batch-size=8", "--max-iters=200", "--log-interval=2", "--eval-interval=40", "--threads=1", *more],
                           check=True, stderr=subprocess.DEVNULL)
            for lang in words:
                page = os.path.join(directory, f"{name}_{lang}.html")
                subprocess.run([program, "report", run, "-o", page, "--lang", lang, "--num-samples=8", "--threads=1"],
                               check=True, stderr=subprocess.DEVNULL)
                pages.append((f"{name}_{lang}", page, words[lang]))
        browser = Browser(chromium, os.path.join(directory, "profile"))
        try:
            browser.open_tab()
            for name, page, expected in pages:
                papers = set()
                for width, height in SIZES:
                    for scheme in ("light", "dark"):
                        title = f"{name}_{width}_{scheme}"
                        picture = os.path.join(pictures, title + ".png") if pictures else None
                        wrong, text, paper = check(browser, page, width, height, scheme, picture)
                        wrong += [f"missing: {word}" for word in expected if word not in text]
                        papers.add((scheme, paper))
                        print(title, "ok" if not wrong else wrong)
                        failed += bool(wrong)
                if len(papers) != 2 or len({paper for _, paper in papers}) != 2:
                    print(name, "light and dark are alike:", papers)
                    failed += 1
        finally:
            browser.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
