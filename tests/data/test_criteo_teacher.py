import criteo_days
import numpy as np
import pytest

from data import criteo_like


def log_loss(labels, probabilities):
    p = probabilities.astype(np.float64)
    return -np.mean(labels * np.log(p) + (1 - labels) * np.log1p(-p))


def auc(labels, probabilities):
    rank = np.empty(len(labels))
    rank[np.argsort(probabilities)] = np.arange(1, len(labels) + 1)
    clicks = labels.sum()
    below = rank[labels == 1].sum() - clicks * (clicks + 1) / 2
    return below / (clicks * (len(labels) - clicks))


@pytest.mark.parametrize(("number", "seed"), [(0, 0), (9, 0), (3, 1)])
def test_click_rate_and_floor_are_realistic(number, seed):
    day = criteo_days.day(number, seed)
    assert day.labels.mean() == pytest.approx(0.256, abs=0.008)
    assert auc(day.labels, day.probabilities) == pytest.approx(0.80, abs=0.025)
    assert log_loss(day.labels, day.probabilities) == pytest.approx(0.45, abs=0.025)


def test_teacher_is_calibrated(first):
    order = np.argsort(first.probabilities).reshape(20, -1)
    said = first.probabilities[order].mean(axis=1)
    happened = first.labels[order].mean(axis=1)
    error = np.sqrt(said * (1 - said) / order.shape[1])
    assert (np.abs(happened - said) < 4 * error).all()


@pytest.mark.parametrize("part", ["integers", "categories"])
def test_both_kinds_of_fields_carry_signal(first, part):
    shuffled = np.random.default_rng(0).permutation(getattr(first, part))
    rows = {"integers": first.integers, "categories": first.categories, part: shuffled}
    without = criteo_like.click_probability(**rows, number=0)
    assert log_loss(first.labels, without) > log_loss(first.labels, first.probabilities) + 0.03


def test_teacher_is_no_sum_of_single_fields(first):
    # For a sum, exchanging one half of the fields or the other changes the logit by amounts that
    # add up to that of exchanging both.
    def logit(integers, categories):
        p = criteo_like.click_probability(integers, categories, number=0).astype(np.float64)
        return np.log(p / (1 - p))

    rows, others = slice(0, 1000), slice(1000, 2000)
    here = first.integers[rows], first.categories[rows]
    there = first.integers[others], first.categories[others]
    both = logit(*here) + logit(*there)
    crossed = logit(here[0], there[1]) + logit(there[0], here[1])
    assert np.std(both - crossed) > 0.2 * np.std(both)


def test_yesterdays_teacher_is_worse_today_and_an_older_one_much_worse(tenth):
    today, yesterday, oldest = (
        log_loss(
            tenth.labels, criteo_like.click_probability(tenth.integers, tenth.categories, number)
        )
        for number in (9, 8, 0)
    )
    assert today + 0.001 < yesterday < today + 0.015
    assert yesterday + 0.01 < oldest < today + 0.15
