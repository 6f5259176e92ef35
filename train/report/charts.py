"""Line charts as inline SVG."""

from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT = 420, 200  # pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 28, 24  # margins in pixels
_TICKS = 4  # number of labelled values on the vertical axis


def line_chart(title: str, points: Sequence[Sequence[float]]) -> str:
    """Draw a curve over training steps.

    Args:
        title: The title of the chart.
        points: Pairs of a step and a value, in order of steps; not empty.

    Returns:
        An SVG element. Each point has its values as a tooltip.
    """
    steps = [float(step) for step, _ in points]
    values = [float(value) for _, value in points]
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    low, high = low - margin, high + margin
    first, last = min(*steps, 0), max(steps)

    def x(step: float) -> float:
        return _LEFT + (step - first) / max(last - first, 1) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    ticks = [low + (high - low) * number / (_TICKS - 1) for number in range(_TICKS)]
    lines = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" '
        f'y2="{y(tick):.1f}"/><text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" '
        f'text-anchor="end">{tick:.3g}</text>'
        for tick in ticks
    )
    path = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in points)
    dots = "".join(
        f'<circle cx="{x(step):.1f}" cy="{y(value):.1f}" r="3">'
        f"<title>step {step:g}: {value:.4g}</title></circle>"
        for step, value in points
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}"><text class="title" x="{_LEFT}" y="16">{escape(title)}'
        f'</text>{lines}<text x="{_LEFT}" y="{_HEIGHT - 6}">{first:g}</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 6}" text-anchor="end">step {last:g}</text>'
        f'<polyline points="{path}"/>{dots}</svg>'
    )
