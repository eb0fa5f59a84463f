"""The two protocols: "clean", our own, and "published", with the quirks of the authors' code.

A quirk is something in the published code that a reader of the paper would not expect. Under
`--protocol=published` all are on, and `--quirks` names the ones to keep. One needs no switch:
recall is reported with both denominators. One cannot arise here: that code's split scores users
without held-out items as 0, and our metrics leave them out.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

import tfdsl
from tfdsl import checks, masks
from tfdsl.algorithms import WeightState, criteria

PROTOCOLS = ("clean", "published")

QUIRKS = {
    "bernoulli": "initial masks are drawn entry by entry: the budget holds only on average",
    "masked_bias": "biases have masks too",
    "warm_moments": "grown weights start with the moments that Adam gathered while they were "
    "inactive (optimizer_state='keep'; else 'reset')",
    "shrinking_budget": "where fewer inactive weights than needed have a gradient, active ones "
    "are picked again, and the budget shrinks",
    "test_selection": "there is no validation part: the epoch is chosen on the test part",
    "fixed_negatives": "a user's 100 negatives are drawn once, for training, validation and test",
    "file_order": "the item left out is the last in the file, not the last by time",
    "last_batch": "the metric is that of the last batch of users alone",
}
_OWN = {  # quirks of one model's code; the others are of all
    "multvae": ("masked_bias",),
    "lightgcn": ("test_selection",),
    "neumf": ("fixed_negatives", "file_order", "last_batch"),
}


def of_model(model: str) -> tuple[str, ...]:
    """Returns the quirks of the published code of a model."""
    others = {quirk for name, own in _OWN.items() if name != model for quirk in own}
    return tuple(quirk for quirk in QUIRKS if quirk not in others)


def check(protocol: str, quirks: Sequence[str], model: str | None = None) -> None:
    """Raises ValueError for a protocol that is not, a quirk the model has not or under "clean".

    Without a model any model's quirks will do.
    """
    checks.choice("protocol", protocol, PROTOCOLS)
    if protocol == "published" and model not in (None, *_OWN):
        raise ValueError(
            f"There is no published code for {model}, so it has no published protocol; leave "
            "--protocol out."
        )
    known = tuple(QUIRKS) if model is None else of_model(model)
    unknown = [quirk for quirk in quirks if quirk not in known]
    if unknown:
        of = "" if model is None else f" of {model}"
        raise ValueError(f"The quirks{of} are {', '.join(known)}; received {', '.join(unknown)}.")
    if protocol == "clean" and quirks:
        raise ValueError(
            f"The clean protocol has no quirks; received {', '.join(quirks)}. "
            "Add --protocol=published."
        )


def active(protocol: str, quirks: Sequence[str] | None, model: str) -> tuple[str, ...]:
    """Returns the quirks that are on: those given; under "published" the model's if None is."""
    check(protocol, quirks or (), model)
    if quirks is None and protocol == "published":
        return of_model(model)
    return tuple(quirks or ())


def optimizer_state(quirks: Sequence[str]) -> str:
    """Returns what becomes of moments: the published code lets grown weights keep theirs."""
    return "keep" if "warm_moments" in quirks else "reset"


@keras.saving.register_keras_serializable(package="tfdsl")
class PublishedDSL(tfdsl.DSL):
    """DSL as the published code does it: ties at gradient zero shrink the budget.

    That code sets the gradient of active weights to zero and takes the n entries of largest
    gradient. Where fewer than n inactive ones have any, the rest are drawn from all entries with
    zero, active ones among them, and those add nothing.
    """

    def update(
        self, state: WeightState, budget: tf.Tensor, step: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """Drops and grows; the result may have fewer than `budget` entries."""
        moving = tf.cast(tf.math.ceil(self.ratio(step) * tf.cast(budget, tf.float64)), tf.int32)
        scores = criteria.DROP[self.drop](state)
        kept = masks.keep_highest(state.mask, scores, budget - moving, masks.fork(seed, 4))
        scores = tf.where(kept, 0.0, tf.abs(state.gradient))
        return kept | masks.highest_mask(scores, moving, masks.fork(seed, 6))
