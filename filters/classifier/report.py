"""What a classifier is worth, from held-out examples: accuracy, what each threshold costs, and whether 0.8 means 0.8.

Calibration (Guo et al. 2017, arXiv:1706.04599): among examples with a score of about 0.8, four in five should be good.
Held-out examples are half good, half bad, which a crawl is not: recall at a threshold carries over, precision and
calibration do not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

BINS = 10
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def measures(good: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """Figures of k held-out examples, for JSON. good bool[k], scores float64[k]: probability of being good.

    `calibration_error`: the mean distance of score and share of good ones in ten bins, weighted by their size.
    """
    place = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    truths, sums = (np.bincount(place, weights=w, minlength=BINS) for w in (good, scores))
    bins = [
        {
            "from": i / BINS,
            "to": (i + 1) / BINS,
            "examples": int(counts[i]),
            "mean_score": _share(sums[i], counts[i]),
            "good": _share(truths[i], counts[i]),
        }
        for i in range(BINS)
    ]
    return {
        "examples": len(good),
        "accuracy": _share(((scores >= 0.5) == good).sum(), len(good)),
        "calibration_error": _share(np.abs(sums - truths).sum(), len(good)),
        "thresholds": [_at(threshold, good, scores) for threshold in THRESHOLDS],
        "calibration": bins,
    }


def _at(threshold: float, good: np.ndarray, scores: np.ndarray) -> dict[str, float | None]:
    kept = scores >= threshold
    right = int((kept & good).sum())
    return {
        "min_score": threshold,
        "precision": _share(right, kept.sum()),
        "recall": _share(right, good.sum()),
        "bad_kept": _share((kept & ~good).sum(), (~good).sum()),
    }


def _share(part: float, of: float) -> float | None:
    return round(float(part) / float(of), 6) if of else None


def lines(found: dict[str, Any], nearest: list[dict[str, Any]]) -> list[str]:
    """The report for a terminal."""
    out = [
        f"held out: {found['examples']:,} examples, accuracy {found['accuracy']:.4f} at 0.5, "
        f"calibration error {found['calibration_error']:.4f}",
        "",
        "min_score  precision  recall  bad kept",
    ]
    for row in found["thresholds"]:
        shown = ["-" if row[name] is None else f"{row[name]:.4f}" for name in ("precision", "recall", "bad_kept")]
        out.append(f"{row['min_score']:9.2f}  {shown[0]:>9}  {shown[1]:>6}  {shown[2]:>8}")
    out += ["", "score      examples  good   (bar: share of good ones; | where it should end)"]
    for row in found["calibration"]:
        out.append(f"{row['from']:.1f} - {row['to']:.1f}  {row['examples']:8,}  {_bar(row)}")
    if nearest:
        out += ["", "nearest to the threshold:"]
        out += [f"{row['score']:.4f}  {row['side']:<4}  {row['id']}  {row['text']}" for row in nearest]
    return out


def _bar(row: dict[str, Any], width: int = 40) -> str:
    if row["good"] is None:
        return "-"
    bar = list("█" * round(row["good"] * width) + " " * (width + 1))[: width + 1]
    bar[round(row["mean_score"] * width)] = "|"
    return f"{row['good']:.3f}  {''.join(bar)}".rstrip()


def plot(found: dict[str, Any], size: int = 320) -> str:
    """The calibration plot as a self-contained SVG: a point a bin, its area the share of examples."""
    margin = 40
    full = size + 2 * margin

    def x(value: float) -> str:
        return f"{margin + value * size:.1f}"

    def y(value: float) -> str:
        return f"{margin + (1 - value) * size:.1f}"

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{full}" height="{full}" font-family="sans-serif" '
        'font-size="11">',
        f'<rect width="{full}" height="{full}" fill="white"/>',
        f'<line x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}" stroke="#999" stroke-dasharray="4"/>',
        f'<path d="M{x(0)} {y(1)}V{y(0)}H{x(1)}" fill="none" stroke="black"/>',
    ]
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        out.append(f'<text x="{x(tick)}" y="{margin + size + 16}" text-anchor="middle">{tick:g}</text>')
        out.append(f'<text x="{margin - 8}" y="{y(tick)}" text-anchor="end">{tick:g}</text>')
    out.append(f'<text x="{x(0.5)}" y="{margin + size + 32}" text-anchor="middle">mean score</text>')
    out.append(f'<text x="{margin - 8}" y="{margin - 12}">share of good examples</text>')
    for row in found["calibration"]:
        if row["examples"]:
            radius = 2 + 18 * (row["examples"] / found["examples"]) ** 0.5
            title = f"{row['from']:.1f} to {row['to']:.1f}: {row['examples']:,} examples, {row['good']:.3f} good"
            out.append(
                f'<circle cx="{x(row["mean_score"])}" cy="{y(row["good"])}" r="{radius:.1f}" fill="#3572b0" '
                f'fill-opacity="0.6"><title>{title}</title></circle>'
            )
    return "\n".join([*out, "</svg>", ""])
