"""``retrieval``: several containers are said to hold something; one of them is asked for."""

from __future__ import annotations

from random import Random

from residuum.worlds.family import FramedFamily, another
from residuum.worlds.frames import Frame, Slots, chosen
from residuum.worlds.words import CONTAINERS, GOODS

SIZES = (2, 3, 4)
_STYLES = {
    "holds": ("the {{K{0}}} holds {{V{0}}}", "The {Q} holds"),
    "contains": ("the {{K{0}}} contains {{V{0}}}", "So the {Q} contains"),
}


def _frame(style: str, size: int) -> Frame:
    item, question = _STYLES[style]
    context = " , ".join(item.format(number) for number in range(1, size + 1))
    return Frame(f"{style}/{size}", f"Here {context} . {question}")


FRAMES = tuple(_frame(style, size) for style in _STYLES for size in SIZES)
_SIZE = {frame.name: int(frame.name.split("/")[1]) for frame in FRAMES}


def reserved_binding(container: str, good: str) -> bool:
    """Whether this container never holds this in training."""
    return chosen("retrieval", container, good)


def _draw(rng: Random) -> tuple[Frame, dict[str, str]]:
    frame = rng.choice(FRAMES)
    size = _SIZE[frame.name]
    containers, goods = rng.sample(CONTAINERS, size), rng.sample(GOODS, size)
    slots = {"Q": rng.choice(containers)}
    for number, (container, good) in enumerate(zip(containers, goods, strict=True), 1):
        slots |= {f"K{number}": container, f"V{number}": good}
    return frame, slots


def _bindings(frame: Frame, slots: Slots) -> dict[str, str]:
    return {slots[f"K{number}"]: slots[f"V{number}"] for number in range(1, _SIZE[frame.name] + 1)}


def _flip(rng: Random, frame: Frame, slots: Slots) -> dict[str, str]:
    return {**slots, "Q": another(rng, tuple(_bindings(frame, slots)), slots["Q"])}


def _vary(rng: Random, frame: Frame, slots: Slots) -> dict[str, str]:
    """A container that is not asked for becomes one that is not there."""
    bindings = _bindings(frame, slots)
    number = rng.choice(
        [n for n in range(1, _SIZE[frame.name] + 1) if slots[f"K{n}"] != slots["Q"]]
    )
    return {**slots, f"K{number}": another(rng, CONTAINERS, *bindings)}


def _held_in_text(frame: Frame, slots: Slots) -> bool:
    """Training drops a sentence if *any* of its bindings is reserved."""
    return any(reserved_binding(*binding) for binding in _bindings(frame, slots).items())


def _held_where_asked(frame: Frame, slots: Slots) -> bool:
    return reserved_binding(slots["Q"], _bindings(frame, slots)[slots["Q"]])


RETRIEVAL = FramedFamily(
    name="retrieval",
    frames=FRAMES,
    draw=_draw,
    answers=lambda frame, slots: (_bindings(frame, slots)[slots["Q"]],),
    flip=_flip,
    vary=_vary,
    held=_held_in_text,
    held_where_asked=_held_where_asked,
)
