"""The page of a card: one HTML file with its pictures inside, and the same as a PNG."""

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import imageio.v3 as imageio
import numpy as np
from matplotlib.figure import Figure

from isaachrl.run.card.measures import IMPULSES_NS
from isaachrl.run.card.verdict import COLLAPSED, CONVERGED, UNDERTRAINED, Finding

COLOURS = {CONVERGED: "#1b7f4b", COLLAPSED: "#b3261e", UNDERTRAINED: "#b26a00"}
QUALITY = 85
COLUMNS = ("recall", "leads to", "speed m/s (clip)", "turn rad/s (clip)", "slip m/s", "power W", "falls")
STRIPS = "Stills every 0.13 s: the body above, the clip below."
WIDTH_IN, LINE_IN, STRIP_IN, DPI, TEXT = 14.0, 0.25, 2.2, 80, "#1c2430"
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#1c2430;max-width:1180px;margin:24px auto;padding:0 16px}
h1{font-size:24px;margin:0}h2{font-size:17px;margin:28px 0 8px}p{margin:4px 0;color:#4a5565}
.verdict{display:inline-block;color:#fff;border-radius:6px;padding:4px 12px;font-weight:600;margin:10px 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(170px,1fr));gap:10px;margin:14px 0}
.tile{background:#f3f5f8;border-radius:8px;padding:10px 12px}.tile b{display:block;font-size:19px}.tile{color:#4a5565}
.tile b{color:#1c2430}table{border-collapse:collapse;width:100%}
td,th{padding:4px 8px;text-align:right;border-bottom:1px solid #e1e5eb}
th{font-weight:600;color:#4a5565;font-size:13px}td:first-child,th:first-child,.text{text-align:left}
.strips{display:grid;grid-template-columns:repeat(auto-fill,minmax(480px,1fr));gap:14px 16px}
figure{margin:0}figcaption{font-size:12px;color:#4a5565;margin-bottom:3px}img{display:block;width:100%}
.miss{color:#b3261e;font-weight:600}
"""


@dataclass(frozen=True)
class Card:
    """What a page shows.

    Args:
        title: the skill.
        notes: how it was trained and measured, a line each.
        verdict: see `isaachrl.run.card.verdict`.
        findings: the thresholds with the values.
        measures: see `isaachrl.run.card.measures.measure`, with `recovery_rate`.
        strips: a picture for each motion; may be empty.
    """

    title: str
    notes: Sequence[str]
    verdict: str
    findings: Sequence[Finding]
    measures: Mapping[str, Any]
    strips: Mapping[str, np.ndarray]


def shown(value: float | None, form: str = ".2f", unit: str = "") -> str:
    """A number for a reader; a dash for None."""
    return "–" if value is None else format(value, form).replace("-0.00", "0.00") + unit


def tiles(measures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The main numbers, each with what it is."""
    found, push = measures["falls"], measures["push"]
    entries = [
        (shown(measures["recall"]), "recall, mean over motions"),
        (shown(measures["coverage"]), "coverage of the motions by random latents"),
        (shown(measures["command_information"]), "of the command seen in the motion"),
        (shown(measures["response_s"], unit=" s"), "until half of a change of command"),
        (shown(measures["speed_error"], ".0%"), "off the clips' speeds and turn rates"),
        (shown(measures["foot_slip_mps"], unit=" m/s"), "foot slip"),
        (shown(measures["power_w"], ".0f", " W"), "mechanical power"),
        (shown(found["changing_commands"], ".1%"), "fall in 10 s of changing commands"),
        (shown(found["push_0.3"], ".0%"), "fall, pushed with up to 30 % of the weight"),
        (shown(found["push_0.5"], ".0%"), "fall, pushed with up to 50 % of the weight"),
        (shown(measures["recovery_rate"]), "of fallen bodies get up within 5 s"),
    ]
    if push is not None:
        entries.append((_impulse(push["j80_ns"]["all"]), "impulse that 80 % bear"))
    return entries


def _impulse(borne: float | None) -> str:
    """The impulse that most bear; None if it is larger than all that were tried."""
    return f"> {IMPULSES_NS[-1]:.0f} N s" if borne is None else f"{borne:.0f} N s"


def push_rows(push: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What the pushed motion bears: a row for each direction and each share of the weight."""
    rows = [
        ("80 % bear, over all directions" if name == "all" else f"80 % bear, {name}", _impulse(borne), "")
        for name, borne in push["j80_ns"].items()
    ]
    for share in ("0.3", "0.5"):
        found = push[f"push_{share}"]
        recovery = shown(found["recovery_s"], unit=" s until it walks on")
        rows.append((f"half a second with {float(share):.0%} of the weight", f"{found['falls']:.0%} fall", recovery))
    return rows


def motion_cells(motion: Mapping[str, Any]) -> list[str]:
    """The cells of a motion, see `COLUMNS`."""
    return [
        shown(motion["recall"]),
        motion["nearest"] or "–",
        f"{shown(motion['speed_mps'])} ({shown(motion['clip_speed_mps'])})",
        f"{shown(motion['turn_rate_rad_s'])} ({shown(motion['clip_turn_rate_rad_s'])})",
        shown(motion["foot_slip_mps"]),
        shown(motion["power_w"], ".0f"),
        shown(motion["fall_rate"]),
    ]


def finding_cells(finding: Finding) -> tuple[str, str, str, str]:
    """Threshold, value, whether it is met, reason."""
    threshold = finding.threshold
    met = "not measured" if finding.value is None else "met" if finding.met else threshold.verdict
    return str(threshold), shown(finding.value, ".3g"), met, threshold.reason


def caption(name: str, motion: Mapping[str, Any]) -> str:
    """What stands above the strip of a motion."""
    cells = motion_cells(motion)
    return (
        f"{name}: recall {cells[0]}, {cells[2]} m/s, {cells[3]} rad/s, slip {cells[4]}, {cells[5]} W, falls {cells[6]}"
    )


def as_html(card: Card) -> bytes:
    """The page, which needs no other file."""
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in card.notes)
    numbers = "".join(
        f"<div class=tile><b>{html.escape(number)}</b>{html.escape(what)}</div>"
        for number, what in tiles(card.measures)
    )
    motions = card.measures["motions"]
    body = [
        f"<h1>{html.escape(card.title)}</h1>",
        f'<div class=verdict style="background:{COLOURS[card.verdict]}">{card.verdict}</div>{notes}',
        f"<div class=tiles>{numbers}</div>",
        "<h2>What decided</h2>",
        _table(("threshold", "measured", "", "reason"), [finding_cells(finding) for finding in card.findings]),
        "<h2>Motions</h2>",
        _table(("motion", *COLUMNS), [(name, *motion_cells(motion)) for name, motion in motions.items()]),
    ]
    if card.measures["push"] is not None:
        body.append(f"<h2>{html.escape(_pushed(card))}</h2>")
        body.append(_table(("push", "", ""), push_rows(card.measures["push"])))
    if card.strips:
        body.append(f"<h2>Strips</h2><p>{STRIPS}</p><div class=strips>{_strips(card)}</div>")
    head = f"<meta charset=utf-8><title>{html.escape(card.title)}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(body)}</body></html>\n".encode()


def _pushed(card: Card) -> str:
    """The heading of the pushes."""
    return f"Pushes on the motion {card.measures['push']['motion']}"


def _strips(card: Card) -> str:
    """The strips, each below its caption."""
    figures = []
    for name, picture in card.strips.items():
        data = base64.b64encode(imageio.imwrite("<bytes>", picture, extension=".jpg", quality=QUALITY)).decode()
        text = html.escape(caption(name, card.measures["motions"][name]))
        image = f'<img alt="{html.escape(name)}" src="data:image/jpeg;base64,{data}">'
        figures.append(f"<figure><figcaption>{text}</figcaption>{image}</figure>")
    return "".join(figures)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain text."""
    lines = ["".join(f"<th{' class=text' * (cell == 'reason')}>{html.escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td{_class(cell)}>{html.escape(cell)}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _class(cell: str) -> str:
    """The style of a cell: verdicts stand out, sentences begin on the left."""
    if cell in (COLLAPSED, UNDERTRAINED):
        return " class=miss"
    return " class=text" if len(cell) > 40 else ""


def as_png(card: Card) -> bytes:
    """The same as one picture."""
    numbers, motions = tiles(card.measures), card.measures["motions"]
    push = [] if card.measures["push"] is None else [(_pushed(card),), *push_rows(card.measures["push"])]
    strips = list(card.strips.items())
    lines = 4 + len(card.notes) + math.ceil(len(numbers) / 3) + len(card.findings) + len(motions) + len(push)
    height = 1.2 + LINE_IN * lines + math.ceil(len(strips) / 2) * (STRIP_IN + LINE_IN + 0.1)
    write = _Writer(Figure(figsize=(WIDTH_IN, height), dpi=DPI), height)
    write.text(card.title, 0.3, size=17, weight="bold")
    write.text(card.verdict, WIDTH_IN - 0.3, size=17, weight="bold", color=COLOURS[card.verdict], ha="right")
    write.down(0.4)
    for note in card.notes:
        write.row([note], [0.3])
    write.down(0.1)
    for i in range(0, len(numbers), 3):
        write.row([text for number in numbers[i : i + 3] for text in number], [0.3, 1.3, 4.9, 5.9, 9.5, 10.5], size=10)
    write.down(0.1)
    for cells in map(finding_cells, card.findings):
        write.row(cells, [0.3, 3.3, 4.2, 5.6], color=COLOURS.get(cells[2], TEXT))
    write.down(0.1)
    columns = [0.3, 2.6, 3.6, 6.0, 8.2, 10.4, 11.6, 12.8]
    write.row(["motion", *COLUMNS], columns, weight="bold")
    for name, motion in motions.items():
        write.row([name, *motion_cells(motion)], columns)
    write.down(0.1)
    for cells in push:
        write.row(cells, [0.3, 4.2, 6.0])
    write.down(0.1)
    for i in range(0, len(strips), 2):
        write.row([caption(name, motions[name]) for name, _ in strips[i : i + 2]], [0.3, 7.1], size=8)
        write.pictures([picture for _, picture in strips[i : i + 2]], [0.3, 7.1])
    write.figure.savefig(buffer := io.BytesIO(), format="png")
    return buffer.getvalue()


class _Writer:
    """Writes lines and pictures into a figure from the top down; lengths in inches."""

    def __init__(self, figure: Figure, height: float) -> None:
        self.figure, self.height, self.y = figure, height, 0.4

    def down(self, by: float) -> None:
        """Leave a gap."""
        self.y += by

    def text(self, text: str, x: float, **style: Any) -> None:
        """A text at `x` in the present line."""
        look: dict[str, Any] = {"color": TEXT, "va": "center"} | style
        self.figure.text(x / WIDTH_IN, 1.0 - self.y / self.height, text, None, **look)

    def row(self, cells: Sequence[str], columns: Sequence[float], size: float = 9, **style: Any) -> None:
        """Texts at these places, then the next line."""
        for cell, x in zip(cells, columns, strict=False):
            self.text(cell, x, size=size, **style)
        self.down(LINE_IN)

    def pictures(self, pictures: Sequence[np.ndarray], columns: Sequence[float]) -> None:
        """Pictures of one height beside each other."""
        for picture, x in zip(pictures, columns, strict=False):
            wide = STRIP_IN * picture.shape[1] / picture.shape[0]
            low = 1.0 - (self.y - 0.1 + STRIP_IN) / self.height
            axes = self.figure.add_axes((x / WIDTH_IN, low, wide / WIDTH_IN, STRIP_IN / self.height))
            axes.imshow(picture, aspect="auto")
            axes.axis("off")
        self.down(STRIP_IN + 0.1)
