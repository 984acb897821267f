"""Bands that a database can overlap: stable, complete at the threshold, selective below it."""

import random
import subprocess
import sys

import numpy as np
import pytest

from core.similarity import minhash, shingles

LETTERS = "abcdefghijklmnopqrstuvwxyz     "


def test_are_twenty_signed_64_bit_integers() -> None:
    bands = minhash.bands("Where is my card?")
    assert len(set(bands)) == minhash.BANDS == 20
    assert all(type(band) is int and -(2**63) <= band < 2**63 for band in bands)
    assert min(bands) < 0 < max(bands)


def test_stay_the_same_for_ever_and_in_every_process() -> None:
    assert minhash.bands("Where is it?")[:3] == FROZEN_BANDS
    script = "from core.similarity import minhash; print(minhash.bands('Where is it?')[:3])"
    path = [entry for entry in sys.path if entry]
    other = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {path!r}; {script}"],
        env={"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == str(FROZEN_BANDS)


FROZEN_BANDS = [8625151326844165276, -5215247455355802443, 7927798728675788574]


@pytest.mark.parametrize("text", ["", "a", "Where is my card?", "x" * 50_000])
def test_of_equal_texts_are_equal(text: str) -> None:
    assert minhash.bands(text) == minhash.bands(f"  {text.upper()}\n")


def test_of_a_long_text_are_those_of_its_shingles_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(random.Random(2).choices(LETTERS, k=3_000))
    whole = minhash.bands(text)
    monkeypatch.setattr(minhash, "_LOT", 100)
    assert minhash.bands(text) == whole


@pytest.mark.simulation
def test_overlap_for_at_least_99_percent_of_texts_on_the_threshold() -> None:
    rng = np.random.default_rng(20260108)
    # 40 of 50 shingles in common: a Jaccard similarity of exactly 0.8.
    assert _overlap_share(rng, common=40, own=5) >= 0.99


@pytest.mark.simulation
def test_overlap_for_few_texts_far_below_the_threshold() -> None:
    rng = np.random.default_rng(20260109)
    # 15 of 50 shingles in common: 0.3.
    assert 0.003 <= _overlap_share(rng, common=30, own=35) <= 0.03


def _overlap_share(rng: np.random.Generator, *, common: int, own: int) -> float:
    overlaps = 0
    for _ in range(2_000):
        drawn = rng.integers(0, 2**64, size=common + 2 * own, dtype=np.uint64)
        one, other = drawn[: common + own], np.delete(drawn, np.arange(common, common + own))
        overlaps += bool(set(minhash.bands_of(one)) & set(minhash.bands_of(other)))
    return overlaps / 2_000


@pytest.mark.simulation
def test_find_the_near_ones_among_real_looking_texts() -> None:
    rng = random.Random(20260110)
    n_near = n_found = 0
    for _ in range(2_000):
        text = "".join(rng.choices(LETTERS, k=rng.randint(60, 300)))
        at = rng.randrange(len(text) - 4)
        edited = text[:at] + "".join(rng.choices(LETTERS, k=4)) + text[at + 4 :]
        if shingles.is_near(text, edited):
            n_near += 1
            n_found += bool(set(minhash.bands(text)) & set(minhash.bands(edited)))
    assert n_near > 1_000
    assert n_found / n_near >= 0.99
