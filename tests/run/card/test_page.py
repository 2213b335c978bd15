"""The page and the picture of a card, of numbers made by hand."""

import re

import imageio.v3 as imageio
import numpy as np

from isaachrl.run.card import page
from isaachrl.run.card.verdict import compare

MOTION = {
    "recall": 0.75, "nearest": "walk", "speed_mps": 1.05, "turn_rate_rad_s": -0.01, "foot_slip_mps": 0.21,
    "power_w": 250.0, "fall_rate": 0.0, "clip_speed_mps": 1.0, "clip_turn_rate_rad_s": 0.0,
}  # fmt: skip
FELL = (
    MOTION | dict.fromkeys(("nearest", "speed_mps", "turn_rate_rad_s", "foot_slip_mps", "power_w")) | {"fall_rate": 1.0}
)
MEASURES = {
    "recall": 0.4, "clip_recall": 0.5, "coverage": 0.9, "command_information": 0.2, "response_s": None,
    "speed_error": 0.1, "foot_slip_mps": 0.21, "power_w": 250.0, "recovery_rate": None,
    "falls": {"changing_commands": 0.01, "push_0.3": 0.2, "push_0.5": 0.6},
    "push": {
        "motion": "walk", "j80_ns": {"all": 55.0, "from the back": None},
        "push_0.3": {"falls": 0.25, "recovery_s": 1.5}, "push_0.5": {"falls": 1.0, "recovery_s": None},
    },
    "motions": {"walk": MOTION, "jog <fast>": FELL},
}  # fmt: skip


def card(**changes):
    measures = MEASURES | changes
    strip = np.full((20, 60, 3), 200, np.uint8)
    return page.Card("runs/a&b/skill.pt", ["trained"], *compare(measures), measures, {"walk": strip})


def test_the_page_stands_alone_and_says_what_was_measured():
    text = page.as_html(card()).decode()
    assert not re.search(r"(src|href)=(?!\"data:)", text), "something is loaded from elsewhere"
    assert text.count("data:image/jpeg;base64,") == 1
    for shown in (
        "collapsed",
        "runs/a&amp;b/skill.pt",
        "jog &lt;fast&gt;",
        "1.05 (1.00)",
        "55 N s",
        "&gt; 140 N s",
        "1.50 s",
    ):
        assert shown in text, shown
    assert "None" not in text and "nan" not in text


def test_each_threshold_stands_with_its_value_and_its_reason():
    text = page.as_html(card()).decode()
    assert (
        "command_information &gt;= 0.5" in text and "most commands look alike" in text and "class=text>reason" in text
    )
    assert text.count("class=miss>collapsed") == 1 and text.count("class=miss>undertrained") == 1


def test_the_picture_has_the_strips_too():
    with_strip, without = (imageio.imread(page.as_png(one)) for one in (card(), card(push=None)))
    assert with_strip.shape[1] == 1120 and with_strip.shape[0] > 500
    grey = (with_strip[..., :3] == 200).all(-1).sum()
    assert grey > 5000, "the strip is drawn"
    assert without.shape[1] == 1120
