"""Which of an optimizer's variables belong to which weight."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras

# What Keras's base class keeps for every optimizer, beside the optimizer's own moments.
AVERAGE = "average"
_ACCUMULATOR = "gradient_accumulator"


class Slot(NamedTuple):
    """An optimizer variable of a weight's shape: `name` is "momentum", "velocity" and so on."""

    variable: keras.Variable
    weight: Any
    name: str
    initializer: Any

    @property
    def is_moment(self) -> bool:
        """Whether the optimizer learned this from gradients, and may have to forget it."""
        return self.name not in (AVERAGE, _ACCUMULATOR)

    def initial(self) -> Any:
        """Returns the value the slot had before the first step."""
        shape, dtype = self.variable.shape, self.variable.dtype
        return keras.initializers.get(self.initializer)(shape, dtype=dtype)


@contextmanager
def recorded(optimizer: keras.optimizers.Optimizer) -> Iterator[list[Slot]]:
    """Lists the slots that an optimizer makes while its `build` runs in this context.

    Every Keras optimizer makes its slots through the public `add_variable_from_reference`, so
    that is where each one's weight is known; the lists it keeps them in differ and are private.
    """
    slots: list[Slot] = []
    make = optimizer.add_variable_from_reference

    def note(
        reference_variable: Any, name: str | None = None, initializer: Any = "zeros"
    ) -> keras.Variable:
        variable = make(reference_variable, name=name, initializer=initializer)
        slots.append(Slot(variable, reference_variable, name or "var", initializer))
        return variable

    optimizer.add_variable_from_reference = note
    try:
        yield slots
    finally:
        del optimizer.add_variable_from_reference
