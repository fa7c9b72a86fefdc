"""Opens pages of `cfm report` in headless Chromium, and checks what only a browser can tell.

    python3 tests/browser_check.py PAGE.html...

No message on the console, no request but the page itself, every picture decodes, nothing is wider than the window of a
phone or a desktop, every control is reached by the keyboard and does what it says, with and without scripts; light and
dark; axe-core finds no violation of WCAG 2.2 A and AA. Needs Chromium (CHROMIUM names it), playwright and
axe-playwright-python.
"""

import os
import shutil
import sys
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WINDOWS = {"phone": (360, 740), "desktop": (1280, 900)}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

WIDE = """() => [...document.querySelectorAll("body *")].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width > 0 && box.right > innerWidth + 0.5 && !e.closest("svg, .unseen");
}).map(e => e.outerHTML.slice(0, 80))"""
PICTURES = """async () => {
    const sources = [...document.querySelectorAll("img")].map(e => e.src)
        .concat([...document.querySelectorAll("image")].map(e => e.href.baseVal));
    const sizes = [];
    for (const source of sources) {
        const picture = new Image();
        picture.src = source;
        await picture.decode();
        sizes.push(picture.naturalWidth);
    }
    return sizes;
}"""
CONTROLS = """() => {
    return [...document.querySelectorAll("a[href], input, summary, button, select")].filter(e => {
        if (!e.checkVisibility({visibilityProperty: true})) return false;
        return e.type !== "radio" || e.checked;
    }).map(e => e.id || e.textContent.trim());
}"""
FOCUSED = """() => {
    const e = document.activeElement;
    if (e === document.body) return null;
    // Of a radio button, what stands for it is marked.
    const marked = [e, e.nextElementSibling, e.closest("label")].some(
        e => e && getComputedStyle(e).outlineStyle !== "none" && parseFloat(getComputedStyle(e).outlineWidth) >= 2);
    return [e.id || e.textContent.trim(), marked];
}"""
VISIBLE = """selector => [...document.querySelectorAll(selector)].filter(
    e => e.checkVisibility({visibilityProperty: true, opacityProperty: true})).map(e => e.id)"""


class Page:
    """A page in a window of its own, whose requests and messages are written down."""

    def __init__(self, browser, path, window, scheme="light", scripts=True):
        width, height = WINDOWS[window]
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            java_script_enabled=scripts,
            offline=True,
        )
        self.page = self.context.new_page()
        self.noise = []
        self.url = Path(path).resolve().as_uri()
        self.page.on("console", lambda m: self.noise.append(f"console: {m.text}"))
        self.page.on("pageerror", lambda e: self.noise.append(f"error: {e}"))
        self.page.on("request", self.request)
        self.page.on("requestfailed", lambda r: self.noise.append(f"failed: {r.url[:80]}"))
        self.page.goto(self.url)

    def request(self, request):
        if request.url != self.url and not request.url.startswith("data:image/"):
            self.noise.append(f"request: {request.url[:80]}")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.context.close()
        if kind is None:
            assert not self.noise, self.noise

    def visible(self, selector):
        return self.page.evaluate(VISIBLE, selector)


def check_layout(page):
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "scrolls sideways"
    wide = page.evaluate(WIDE)
    assert not wide, f"wider than the window: {wide[:3]}"


def check_outline(page):
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(e => +e.tagName[1])")
    assert levels[0] == 1 and levels.count(1) == 1, levels
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:])), levels
    pictures = page.evaluate(PICTURES)
    assert len(pictures) >= 4 and all(width > 0 for width in pictures), pictures


def check_axe(page, name):
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    check_layout(page)
    results = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    found = [
        f"{v['id']} ({v['impact']}): {v['nodes'][0]['html'][:100]} {v['nodes'][0].get('failureSummary', '')}"
        for v in results.response["violations"]
    ]
    assert not found, f"{name}: " + "\n".join(found)
    return len(results.response["passes"])


def check_tab_order(page):
    """Tab walks through all controls in their order, and each shows that it has the focus."""
    expected = page.evaluate(CONTROLS)
    reached = []
    for _ in range(len(expected) + 1):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None:
            break
        name, marked = focused
        assert marked, f"{name}: the focus cannot be seen"
        reached.append(name)
    assert reached == expected, f"tab order {reached}, controls {expected}"
    return len(expected)


def check_controls(opened):
    """Radio buttons and slider by the keyboard."""
    page = opened.page
    layer = "getComputedStyle(document.querySelector('img.layer'))"
    page.focus("#view-overlay")
    assert opened.visible("img.layer") == [""]
    before = float(page.evaluate(f"{layer}.opacity"))
    page.focus("#opacity")
    page.keyboard.press("Home")
    assert float(page.evaluate(f"{layer}.opacity")) == 0 < before
    page.keyboard.press("End")
    assert float(page.evaluate(f"{layer}.opacity")) == 1
    page.focus("#view-overlay")
    page.keyboard.press("ArrowLeft")
    assert page.is_checked("#view-photo") and not opened.visible("img.layer")
    assert not opened.visible("#opacity")
    page.keyboard.press("ArrowLeft")
    assert page.is_checked("#view-labels") and opened.visible("img.layer") == [""]

    count = page.locator("[name=segment]").count()
    assert count > 1
    page.focus("#segment-0")
    masks = set()
    for at in range(count):
        assert page.is_checked(f"#segment-{at}")
        assert opened.visible(".panel") == [f"segment-{at}-panel"], opened.visible(".panel")
        masks.add(page.get_attribute(f"#segment-{at}-panel .edge >> nth=0", "d"))
        page.keyboard.press("ArrowRight")
    assert page.is_checked("#segment-0"), "the arrow leads back to the first segment"
    assert len(masks) == count, "every segment has its own mask"

    page.focus("#parity summary")
    page.keyboard.press("Enter")
    assert page.locator("#parity details table").is_visible()


def check_without_scripts(browser, path):
    with Page(browser, path, "phone", scripts=False) as opened:
        page = opened.page
        assert not page.locator("#opacity").is_visible()
        for section in page.locator("main > section").all():
            assert section.is_visible() and len(section.inner_text()) > 40
        page.click("label[for=segment-1]")
        assert page.locator("#segment-1-panel").is_visible()
        assert not page.locator("#segment-0-panel").is_visible()
        page.click("label[for=view-photo]")
        assert not page.locator("img.layer").is_visible()


def luminance(page):
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in color[4:-1].split(",")) / 3


def check(browser, path):
    passes = 0
    brightness = {}
    for window in WINDOWS:
        for scheme in ("light", "dark"):
            with Page(browser, path, window, scheme) as opened:
                check_layout(opened.page)
                brightness[scheme] = luminance(opened.page)
                if scheme == "light":
                    check_outline(opened.page)
                    controls = check_tab_order(opened.page)
                    check_controls(opened)
                # Each window and each scheme once: the rules take most of the time.
                if (window, scheme) in (("phone", "light"), ("desktop", "dark")):
                    passes += check_axe(opened.page, f"{window}, {scheme}")
    assert brightness["dark"] < 60 < 200 < brightness["light"], brightness
    check_without_scripts(browser, path)
    with Page(browser, path, "desktop", "dark") as opened:
        opened.page.emulate_media(media="print")
        assert not opened.page.locator("nav").is_visible() and luminance(opened.page) > 250
    print(f"{path}: {controls} controls, {passes} rules of axe-core passed, none violated")


def main():
    pages = sys.argv[1:]
    if not pages:
        sys.exit(__doc__)
    names = [os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    program = next((path for path in map(shutil.which, filter(None, names)) if path), None)
    if program is None:
        sys.exit("missing: Chromium (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        for path in pages:
            check(browser, path)
        browser.close()


if __name__ == "__main__":
    main()
