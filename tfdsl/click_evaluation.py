"""How good predicted click probabilities are: log loss, normalised entropy, AUC, accuracy."""

from typing import Any

import numpy as np


def evaluate_clicks(logits: Any, labels: Any) -> dict[str, float]:
    """Returns the metrics of predicted log odds.

    - logloss: mean of -log(probability given to what happened), in nats; binary cross-entropy.
    - normalized_entropy: logloss over that of predicting the labels' mean for every row; below 1
      if the model knows more than that (He et al., 2014, "Practical Lessons from Predicting Clicks
      on Ads at Facebook", ADKDD).
    - auc: probability that a click has a higher logit than no click, ties counting half.
    - accuracy: share of rows where the likelier outcome happened.

    All are exact, in 64-bit floats.

    Args:
        logits: log(p / (1 - p)), (rows,) or (rows, 1), finite.
        labels: 1 for a click, else 0, of the same shape.

    Raises:
        ValueError: other shapes or values, or labels that are all equal.

    Example:
        evaluate_clicks(model.predict(rows), labels)["auc"]
    """
    logits, labels = (np.asarray(x, np.float64) for x in (logits, labels))
    if (
        logits.shape != labels.shape
        or logits.ndim not in (1, 2)
        or logits.shape[1:]
        not in (
            (),
            (1,),
        )
    ):
        raise ValueError(
            "`logits` and `labels` must be of one shape, (rows,) or (rows, 1); received "
            f"{logits.shape} and {labels.shape}."
        )
    logits, labels = logits.ravel(), labels.ravel()
    if not np.isfinite(logits).all():
        raise ValueError(
            f"`logits` must be finite; received {logits[~np.isfinite(logits)][0]} in row "
            f"{np.flatnonzero(~np.isfinite(logits))[0]}. Has the training diverged?"
        )
    if not np.isin(labels, (0.0, 1.0)).all():
        wrong = labels[~np.isin(labels, (0.0, 1.0))][0]
        raise ValueError(f"`labels` must be 0 or 1; received {wrong}.")
    n, n_clicks = len(labels), float(labels.sum())
    if n_clicks in (0, n):
        raise ValueError(
            f"`labels` must have clicks and others; received {n} rows with {n_clicks:.0f} clicks."
        )
    loss = float(np.mean(np.logaddexp(0.0, logits) - labels * logits))
    rate = n_clicks / n
    entropy = -rate * np.log(rate) - (1 - rate) * np.log(1 - rate)
    # The sum of the clicks' ranks (Mann and Whitney); those of equal logits share the mean of
    # their ranks.
    _, place, count = np.unique(logits, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    pairs_won = float(ranks[labels == 1].sum()) - n_clicks * (n_clicks + 1) / 2
    return {
        "logloss": loss,
        "normalized_entropy": loss / float(entropy),
        "auc": pairs_won / (n_clicks * (n - n_clicks)),
        "accuracy": float(np.mean((logits > 0) == (labels == 1))),
    }
