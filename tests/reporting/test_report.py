"""The report of `make reproduce` in a browser: nothing overflows, no picture is missing."""

import html
import json
import re
import shutil
import subprocess

import pytest

from reporting import ROOT, manifest
from reporting.reproduce.numbers import EQUAL, Number, Tolerance
from reporting.reproduce.page import PICTURES, write_page
from reporting.reproduce.stages import STAGES, Outcome
from tests.reporting.test_reproduce import claim
from theory.paper import statement_rows

WIDTHS = (390, 1280)

# Frames of a given width, which is what the rules of the page ask for. Each tells what it finds.
MEASURE = """<!DOCTYPE html><meta charset="utf-8"><div id="found"></div>
{frames}
<script>
addEventListener("load", () => {{
  const found = [...document.querySelectorAll("iframe")].map((frame) => {{
    const page = frame.contentDocument, root = page.documentElement;
    const images = [...page.images];
    return {{
      inner: frame.contentWindow.innerWidth, scroll: root.scrollWidth, images: images.length,
      missing: images.filter((image) => !(image.complete && image.naturalWidth > 0)).length,
    }};
  }});
  document.querySelectorAll("iframe").forEach((frame) => frame.remove());
  document.getElementById("found").textContent = JSON.stringify(found);
}});
</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report with long texts, a failed stage and all pictures."""
    out, results = tmp_path_factory.mktemp("out"), ROOT / "results"
    (out / "figures").symlink_to(results / "figures")
    long = "TV(N-step teacher, student) <= (sqrt L_distil + sum sqrt L_consis) / sqrt2. " * 4
    claims = [claim(f"claim-{k}", "paper", cases=10**k) | {"statement": long} for k in range(8)]
    claims.append(claim("a-very-long-name-of-a-claim-" * 3, "sharper", failed=1))
    content = {"claims": claims, "statements": statement_rows()}
    (out / "theory.json").write_text(json.dumps(content))
    outcomes = [Outcome(stage, 12.3, None) for stage in STAGES]
    outcomes[0] = Outcome(STAGES[0], 75.0, f"python -m theory --json {out}/{'long' * 30} ended")
    numbers = [
        Number("Claims", f"{long} number {k}", 1 / 3, 1 / 3 + k, Tolerance(1e-9, 1e-12))
        for k in range(30)
    ]
    numbers.append(Number("Missing", "no record <script>", None, 1.0, EQUAL))
    path = out / "report.html"
    write_page(path, out, results, outcomes, numbers, manifest(0), 272.0)
    return path


def test_the_page_holds_everything_and_asks_for_nothing(page):
    text = page.read_text("utf-8")
    assert text.startswith("<!DOCTYPE html>")
    places = re.findall(r"(?:src|href|url|srcset|@import)\s*[=(]\s*[\"']?([^\"')\s>]+)", text)
    assert len(places) > len(PICTURES)
    assert all(place.startswith(("#", "data:image/png;base64,")) for place in places)
    assert "<script" not in text
    assert text.count("<img") == len(PICTURES)


def test_the_page_says_what_was_found(page):
    text = html.unescape(page.read_text("utf-8"))
    for expected in (
        "1 of 31 numbers reproduced",
        "fails: a-very-long-name",
        "1 min 15 s",
        "no record <script>",
        "10,000,000",
        *(row[key] for row in statement_rows() for key in ("name", "needed", "implicit")),
        *(name for row in statement_rows() for key in ("files", "fails") for name in row[key]),
    ):
        assert expected in text


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_nothing_overflows_and_no_picture_is_missing(page, tmp_path):
    source = html.escape(page.read_text("utf-8"))
    frame = '<iframe srcdoc="{}" style="border: 0; width: {}px; height: 900px"></iframe>'
    frames = "\n".join(frame.format(source, width) for width in WIDTHS)
    measuring = tmp_path / "measuring.html"
    measuring.write_text(MEASURE.format(frames=frames), "utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--virtual-time-budget=10000", "--dump-dom", measuring.as_uri()]
    dumped = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    found = json.loads(html.unescape(re.search(r'id="found">(.*?)</div>', dumped)[1]))
    assert [entry["inner"] for entry in found] == list(WIDTHS)
    for entry in found:
        assert entry["scroll"] <= entry["inner"]
        assert entry["images"] == len(PICTURES)
        assert entry["missing"] == 0
