"""The S-curve: with what probability bands find a pair, and which bands suit a threshold.

The idea: two documents of Jaccard similarity J agree in all rows of one band with probability J^rows, hence in at least
one of the bands with 1-(1-J^rows)^bands (Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4). Of
all bands x rows that fit into a signature, `optimal` takes those for which the area under this curve below the
threshold and the area above it beyond are smallest in their weighted sum: what datasketch's `MinHashLSH` does, and
text-dedup and data-juicer after it. datatrove derives nothing: its bands are 14 x 8 unless told otherwise.

The trade-off is the weight: where pairs are verified a false candidate costs one comparison and a missed pair is
missed, so a weight of false negatives above one half buys recall with time.

Plain Python, since a recipe is checked with it; the areas follow from a recurrence instead of a numeric integral.
"""

from __future__ import annotations

from math import sqrt

WIDTH = 50  # characters of a bar of the curve


def probability(similarity: float, bands: int, rows: int) -> float:
    """The probability that a pair of this Jaccard similarity is a candidate."""
    return 1.0 - (1.0 - similarity**rows) ** bands


def half_point(bands: int, rows: int) -> float:
    """The Jaccard similarity at which one pair in two is a candidate."""
    return (1.0 - 0.5 ** (1.0 / bands)) ** (1.0 / rows)


def areas(threshold: float, bands: int, rows: int) -> tuple[float, float]:
    """(false positives, false negatives): the area under the curve below the threshold, and above it beyond.

    As probabilities: of pairs spread evenly over all similarities, the share that is found in vain or missed.
    """
    *_, found = _areas_of_bands(threshold, bands, rows)
    return found


def _areas_of_bands(threshold: float, most: int, rows: int):
    """The areas for 0, 1, 2 ... `most` bands. By parts: (1 + b r) I(b) = b r I(b-1) + [s (1-s^r)^b] of (1-s^r)^b."""
    below, beyond = threshold, 1.0 - threshold  # integrals of (1-s^rows)^bands
    yield 0.0, beyond
    missed = 1.0 - threshold**rows
    for bands in range(1, most + 1):
        edge = threshold * missed**bands
        below = (bands * rows * below + edge) / (1 + bands * rows)
        beyond = (bands * rows * beyond - edge) / (1 + bands * rows)
        yield threshold - below, max(beyond, 0.0)


def optimal(
    threshold: float, permutations: int, false_negative_weight: float = 0.5, most_bands: int | None = None
) -> tuple[int, int]:
    """(bands, rows) of at most `permutations` minima, of smallest weighted area; false positives weigh the rest to 1.

    Between equals fewer bands. `most_bands` limits the bands.
    """
    best = (float("inf"), 0, 0)
    for rows in range(1, permutations + 1):
        most = min(permutations // rows, most_bands or permutations)
        for bands, (false, missed) in enumerate(_areas_of_bands(threshold, most, rows)):
            if bands:
                error = (1.0 - false_negative_weight) * false + false_negative_weight * missed
                best = min(best, (error, bands, rows))
    return best[1], best[2]


def curve(bands: int, rows: int, threshold: float, permutations: int | None = None) -> str:
    """The S-curve as text: a line for each twentieth of similarity, the threshold marked, and what it means."""
    permutations = permutations or bands * rows
    lines = [
        f"{bands} bands of {rows} rows: a pair of Jaccard similarity J is compared with chance 1-(1-J^{rows})^{bands}",
        "",
    ]
    marks = sorted({i / 20 for i in range(4, 21)} | {threshold})
    for similarity in marks:
        share = probability(similarity, bands, rows)
        told = "  threshold" if similarity == threshold else ""
        lines.append(f"{similarity:7.3f} {100 * share:6.1f} % {'#' * round(WIDTH * share)}{told}".rstrip())
    false, missed = areas(threshold, bands, rows)
    error = sqrt(threshold * (1 - threshold) / permutations)
    lines += [
        "",
        f"one in two is compared at J = {half_point(bands, rows):.3f}; of pairs spread evenly over all J, "
        f"{100 * false:.1f} % are compared in vain and {100 * missed:.1f} % missed",
        f"estimated from {permutations} minima, J = {threshold:g} has a standard error of {error:.3f}",
    ]
    return "\n".join(lines) + "\n"
