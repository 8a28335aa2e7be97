"""The built documentation in a browser. `nox -s docs` builds it, and runs this.

Screenshots of every page, at desktop and phone widths, are written to docs/_build/screenshots.
"""

import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

pytestmark = pytest.mark.docs

BUILD = Path(__file__).parents[1] / "docs" / "_build"
HTML, SCREENSHOTS = BUILD / "html", BUILD / "screenshots"
WIDTHS = {"desk": 1280, "phone": 390}
PAGES = sorted(path for path in HTML.rglob("*.html") if "_static" not in path.parts)
# Chromium as root, without network access.
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
# Elements beyond the right edge without a scroll bar.
CUT_OFF = """
[...document.querySelectorAll(".bd-article-container *")].filter(element => {
  if (element.getBoundingClientRect().right <= innerWidth + 1) return false;
  for (let e = element; !e.matches(".bd-article-container"); e = e.parentElement)
    if (["auto", "scroll"].includes(getComputedStyle(e).overflowX)) return false;
  return !element.closest("mjx-container, .headerlink");
}).map(element => element.outerHTML.slice(0, 200))
"""


class Page(HTMLParser):
    """The links of a page and its anchors."""

    def __init__(self, path):
        super().__init__()
        self.links, self.places = set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.places |= {attrs[name] for name in ("id", "name") if attrs.get(name)}
        self.links |= {attrs[name] for name in ("href", "src") if attrs.get(name)}


@pytest.fixture(scope="module")
def pages():
    assert PAGES, "there is no documentation to look at: run nox -s docs"
    return {path: Page(path) for path in PAGES}


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


def test_expected_pages_exist(pages):
    names = {str(path.relative_to(HTML)) for path in pages}
    folder = Path(__file__).parents[1] / "examples"
    examples = [path.relative_to(folder).with_suffix("") for path in folder.rglob("plot_*.py")]
    assert {f"gallery/{example}.html" for example in examples} <= names
    assert {"index.html", "lecture.html", "faq.html", "api.html", "guide/migrating.html"} <= names


def test_every_link_has_a_target(pages):
    broken = []
    for path, page in pages.items():
        for link in page.links:
            if link.startswith(("https://", "mailto:", "data:")):
                continue
            file, place = urldefrag(link)
            target = (path.parent / unquote(file.split("?")[0])).resolve() if file else path
            target = target / "index.html" if target.is_dir() else target
            known = pages[target].places if target in pages else ()
            if not target.exists() or (place and target in pages and unquote(place) not in known):
                broken.append(f"{path.relative_to(HTML)}: {link}")
    assert broken == []


@pytest.mark.parametrize("device", WIDTHS)
@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(HTML)))
def test_a_page_renders_without_errors_or_overflow(browser, path, device):
    page = browser.new_page(viewport={"width": WIDTHS[device], "height": 900})
    complaints, requests = [], []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_function("!window.MathJax || (MathJax.startup && MathJax.startup.promise)")
    page.evaluate("async () => { if (window.MathJax) await MathJax.startup.promise; }")
    page.evaluate("document.querySelectorAll('img').forEach(image => { image.loading = 'eager' })")
    page.wait_for_function("[...document.images].every(image => image.complete)")
    picture = SCREENSHOTS / device / path.relative_to(HTML).with_suffix(".png")
    page.screenshot(path=picture, full_page=True)
    broken = "[...document.images].filter(image => !image.naturalWidth).map(image => image.src)"
    assert page.evaluate(broken) == []
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert page.locator(".sphx-glr-script-out", has_text="Warning").count() == 0
    assert page.locator("mjx-merror").count() == 0
    assert page.locator(".math:not(:has(mjx-container))").count() == 0
    assert page.evaluate("document.scrollingElement.scrollWidth") <= WIDTHS[device]
    assert page.evaluate(CUT_OFF) == []
    page.close()
