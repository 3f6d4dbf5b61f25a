"""The S-curve against datasketch's choice of bands, a numeric integral, and a simulation."""

from __future__ import annotations

import numpy as np
import pytest
from datasketch.lsh import _optimal_param
from gristmill.dedup.scurve import areas, curve, half_point, optimal, probability
from scipy.integrate import quad


def test_probability_is_that_of_bands_of_coins():
    draw = np.random.default_rng(0)
    for similarity, bands, rows in ((0.3, 20, 3), (0.7, 14, 8), (0.8, 5, 5), (0.9, 3, 20)):
        hits = (draw.random((20_000, bands, rows)) < similarity).all(axis=2).any(axis=1).mean()
        assert hits == pytest.approx(probability(similarity, bands, rows), abs=0.015)
    assert (probability(0.0, 14, 8), probability(1.0, 14, 8)) == (0.0, 1.0)


def test_half_of_the_pairs_are_found_at_the_half_point():
    for bands, rows in ((1, 1), (14, 8), (64, 16), (2, 500)):
        assert probability(half_point(bands, rows), bands, rows) == pytest.approx(0.5)


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.7, 0.95, 1.0])
@pytest.mark.parametrize(("bands", "rows"), [(1, 1), (14, 8), (64, 16), (1, 1024), (64, 1), (9, 13)])
def test_areas_are_the_integrals(threshold, bands, rows):
    false, missed = areas(threshold, bands, rows)
    assert false == pytest.approx(quad(probability, 0, threshold, (bands, rows), limit=200)[0], abs=1e-9)
    beyond = quad(lambda s: 1 - probability(s, bands, rows), threshold, 1, limit=200)[0]
    assert missed == pytest.approx(beyond, abs=1e-9)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9, 0.99])
@pytest.mark.parametrize(("permutations", "weight"), [(128, 0.5), (64, 0.5), (128, 0.9), (128, 0.1)])
def test_the_best_bands_are_datasketchs(threshold, permutations, weight):
    assert optimal(threshold, permutations, weight) == _optimal_param(threshold, permutations, 1 - weight, weight)


def test_bands_are_bounded():
    assert optimal(0.05, 1024)[0] > 64
    bands, rows = optimal(0.05, 1024, most_bands=64)
    assert bands <= 64
    assert bands * rows <= 1024
    assert optimal(0.02, 1024, 0.9, most_bands=8) == (8, 1)
    assert optimal(0.5, 1) == (1, 1)


def test_the_curve_as_text():
    text = curve(14, 8, 0.7)
    lines = dict(line.split(None, 1) for line in text.splitlines() if "%" in line and line[:4].strip())
    for similarity, told in ((0.7, "threshold"), (0.85, "#"), (1, "#" * 50)):
        line = lines[f"{similarity:.3f}"]
        assert float(line.split()[0]) == pytest.approx(100 * probability(similarity, 14, 8), abs=0.05)
        assert told in line
    assert sum("threshold" in line for line in text.splitlines()) == 1
    assert f"J = {half_point(14, 8):.3f}" in text
    assert "error of 0.043" in text  # sqrt(0.7 * 0.3 / 112)
    assert "0.725" in curve(14, 8, 0.725)
    assert max(map(len, text.splitlines())) <= 120
