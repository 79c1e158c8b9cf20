"""Screenshots of a real board for the documentation."""

from __future__ import annotations

import io

from PIL import Image

from jbench.cli.common import drawn
from jbench.registry import find_board
from jbench.render import html

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
DETAIL = """[...document.querySelectorAll('.board tbody tr')]
  .find(row => row.textContent.startsWith('bm25')).querySelector('td button').click()"""
SHOTS = (
    ("page-desktop-light", DESKTOP, "light", "", ""),
    ("page-desktop-dark", DESKTOP, "dark", "lang=ja", ""),
    ("page-phone-light", PHONE, "light", "lang=ja", ""),
    ("page-phone-dark", PHONE, "dark", "", DETAIL),
    ("page-profile-light", DESKTOP, "light", "model=bm25:char-bigram", ""),
)


def take(browser, folder, scratch):
    """Write the pictures of `SHOTS` into ``folder``."""
    page_at = scratch / "board.html"
    page_at.write_text(html.render(drawn(find_board("retrieval-ja"), [scratch]), "index.html"), encoding="utf-8")
    for name, size, scheme, state, action in SHOTS:
        page = browser.new_page(viewport=size, color_scheme=scheme, locale="en-US", reduced_motion="reduce")
        page.goto(f"{page_at.as_uri()}#{state}")
        page.wait_for_function("performance.getEntriesByName('ready').length")
        if action:
            page.evaluate(action)
        page.wait_for_timeout(400)
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        picture.quantize(256, dither=Image.Dither.NONE).save(folder / f"{name}.png", optimize=True)
        page.close()
