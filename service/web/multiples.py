"""Small multiples: the profile of one evaluation, small enough that twenty stand side by side.

They are drawn in the page with its own colours, so they need no script and follow the theme.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from service.web import names
from vcp_core.catalog.scores import Score

LEFT, WIDTH = 72, 184  # units: where the axis begins, and of the picture; the axis has one per percent
ROW = 17  # units of an option
MARK = 3  # units: radius of a value


def profile(recalls: Sequence[Score], baseline: Mapping[str, Score], verdicts: Mapping[str, str]) -> Markup:
    """Draw the recall of each option with its interval. A bar marks the baseline's recall.

    Args:
        recalls: Recalls of the options.
        baseline: Scores of the baseline by metric; none for the baseline itself.
        verdicts: "better", "worse" or "open" by metric; the colour of the interval.
    """
    height = ROW * len(recalls) + 16
    parts, said = [], []
    for place, one in enumerate(recalls):
        y = ROW * place + 9
        name = names.short(one.metric)
        verdict = verdicts.get(one.metric, "open")
        base = baseline.get(one.metric)
        parts.append(f'<text class="m-name" x="{LEFT - 8}" y="{y + 4}">{escape(name)}</text>')
        if base is not None:
            parts.append(f'<path class="m-base" d="M{LEFT + base.value:.1f} {y - 6}v12"/>')
        parts.append(
            f'<path class="m-span m-{verdict}" d="M{LEFT + one.low:.1f} {y}H{LEFT + one.high:.1f}"/>'
            f'<circle class="m-value m-{verdict}" cx="{LEFT + one.value:.1f}" cy="{y}" r="{MARK}"/>'
        )
        against = "" if base is None else f" (baseline {base.value:.0f}{_word(verdict)})"
        said.append(f"{name} {one.value:.0f}{against}")
    axis = "".join(
        f'<path class="m-grid" d="M{LEFT + tick} 0v{height - 14}"/>'
        f'<text class="m-tick" x="{LEFT + tick}" y="{height - 2}">{tick}</text>'
        for tick in (0, 50, 100)
    )
    label = escape(f"Recall in percent: {', '.join(said)}")
    return Markup(  # noqa: S704 - numbers, and texts that are escaped above
        f'<svg class="multiple" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">'
        f"{axis}{''.join(parts)}</svg>"
    )


def _word(verdict: str) -> str:
    return "" if verdict == "open" else f", {verdict}"
