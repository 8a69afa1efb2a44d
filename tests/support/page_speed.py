"""How long the page takes in a browser: from Enter to the picture, and from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from page_hands import Hands
from playwright.sync_api import expect

# Notes when Enter was pressed, and when a picture was put on the drawing of all heads.
WATCH = """
window.drawn = [];
addEventListener("keydown", (event) => {
  if (event.key === "Enter") { window.entered = performance.now(); window.drawn = []; }
}, true);
const put = CanvasRenderingContext2D.prototype.drawImage;
CanvasRenderingContext2D.prototype.drawImage = function (...given) {
  const label = this.canvas.closest("[role=application]")?.ariaLabel ?? "";
  if (label.startsWith("All heads")) window.drawn.push(performance.now());
  return put.apply(this, given);
};
window.marked = 0;
const clear = CanvasRenderingContext2D.prototype.clearRect;
CanvasRenderingContext2D.prototype.clearRect = function (...given) {
  if (this.canvas.closest("[role=application]")) window.marked++;
  return clear.apply(this, given);
};
"""
# Milliseconds from Enter to the frame after which all heads of the new prompt stand there.
UNTIL_DRAWN = """(heads) => new Promise((done) => {
  const look = () => {
    const answered = performance.getEntriesByType("resource")
      .filter((each) => each.name.includes("/api/views/attention"))
      .filter((each) => each.startTime > window.entered)
      .map((each) => each.responseEnd).find((each) => each > 0);
    const after = window.drawn.filter((each) => answered && each >= answered);
    const end = () => done(performance.now() - window.entered);
    if (after.length >= heads) return requestAnimationFrame(end);
    setTimeout(look, 2);
  };
  look();
})"""
FRAMES = """
window.frames_ms = [];
window.watching = true;
let last = performance.now();
const frame = (now) => {
  window.frames_ms.push(now - last);
  last = now;
  if (window.watching) requestAnimationFrame(frame);
};
requestAnimationFrame(frame);
"""


@dataclass(frozen=True)
class Frames:
    """Milliseconds from frame to frame while the pointer moved."""

    worst_ms: float
    late_ms: float
    """19 of 20 frames came sooner."""
    count: int
    marked: int
    """How often the crosshair was drawn anew."""


def fresh(hands: Hands) -> None:
    """Let the page's times be noted; to be called before it is opened."""
    hands.page.add_init_script(WATCH)


def prompt_to_heads_ms(hands: Hands, text: str, heads: int) -> float:
    """Milliseconds from Enter on a prompt that was not run before to all its heads drawn."""
    page = hands.page
    expect(hands.button("Run").first).to_be_enabled()
    pencil = hands.button("Edit the prompt")
    if pencil.count():
        pencil.click()
    prompt = page.get_by_role("textbox", name="Prompt")
    prompt.fill(text)
    page.wait_for_timeout(400)  # a person stops typing before Enter
    page.evaluate("performance.clearResourceTimings()")
    prompt.press("Enter")
    taken: float = page.evaluate(UNTIL_DRAWN, heads)
    hands.settled()
    return taken


def moving_over_a_head(hands: Hands, steps: int = 150) -> Frames:
    """Frames while the pointer goes across the head that is open in full."""
    page = hands.page
    page.set_viewport_size({"width": 1440, "height": 1500})  # all of it is in sight
    drawing = page.get_by_role("application", name="Attention of one head")
    expect(drawing).to_be_visible()
    drawing.scroll_into_view_if_needed()
    box: Any = drawing.bounding_box()
    page.mouse.move(box["x"] + 80, box["y"] + 20)
    page.evaluate(f"() => {{ {FRAMES} window.marked = 0; }}")
    for step in range(steps):
        share = step / steps
        page.mouse.move(
            box["x"] + 80 + share * (box["width"] - 160),
            box["y"] + 20 + share * (box["height"] - 120),
        )
    times = sorted(page.evaluate("() => { window.watching = false; return window.frames_ms; }")[1:])
    return Frames(times[-1], times[int(0.95 * len(times))], len(times), page.evaluate("marked"))
