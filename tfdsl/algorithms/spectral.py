"""What a constant budget does best with, by our own trials: DSL from spectral first masks."""

from typing import Any, TypeAlias

import keras
import tensorflow as tf

from tfdsl import checks, distributions, initial, schedules
from tfdsl.algorithms.dynamic import DSL
from tfdsl.csr import CSRMatrix

UPDATES = 20  # of the masks in all, where no interval is given
_AUTO = "auto"

Tensor: TypeAlias = tf.Tensor


@keras.saving.register_keras_serializable(package="tfdsl")
class SpectralDSL(DSL):
    """DSL that begins where users and items meet, grows by what many batches say, row by row.

    What it has otherwise than `DSL`, each of which can be given:
    - `init`: `Spectral(interactions)`, first masks by sparse spectral factors, so that a user and
      an item that belong together have their few coordinates in common from the first step;
    - `granularity`: "embedding_row", in a table every user has the same budget, and every item; of
      a kernel all entries compete;
    - `users`: 0.9 of a table of nodes' weights are users': a graph convolution makes an item of its
      users as well as of its own row;
    - `first_values`: "scores", a kernel begins with the scores of its first mask; with an `init`
      that is no `Spectral` "rescale", what the mask leaves is made as much larger as it is fewer;
    - `grow`: "accumulated_gradient", what all batches since the last update say; and `candidates`,
      8 of each row of a table, so that tables can be packed (`SparseEmbedding(storage="packed")`);
    - `update_ratio`: from 0.3, since the first masks are good already;
    - `optimizer_state`: "reset", what has grown begins with moments of its own;
    - `update_interval`: 20 updates in all;
    - `update_end`: to the end where rows have budgets; where all entries of a weight compete, as in
      kernels, as many updates as there are inactive weights for an active one: 4 at density 0.2,
      none above 0.5. Each tries many of what is inactive, and what was first is good already.

    Args:
        density: share of active weights, in (0, 1].
        interactions: CSR [users, items] of the training part; see `Spectral`.
        total_steps: length of the training run in optimizer steps.
        users: share of a table of nodes' weights that users' rows have; see `Spectral`. "auto" is
            0.9, and None where rows cannot have budgets of their own: with another granularity or a
            schedule of densities.
        init: first masks, instead of those from `interactions`.
        update_interval: optimizer steps between two updates; a 20th of `total_steps` if None.
        update_end: no weight's mask changes after this step, None for no end. "auto": those of
            rows with budgets have no end, others stop at `total_steps` / 20 * (1 - density) /
            density; a schedule of densities has no end.
        **kwargs: as `DSL` takes them.

    Raises:
        ValueError: an argument outside its range, or neither `interactions` nor `init`.

    Example:
        model = tfdsl.models.LightGCN(interactions)  # scipy.sparse.csr_array [users, items]
        model.compile(
            tfdsl.SparseOptimizer(
                keras.optimizers.Adam(1e-3, epsilon=1e-8),
                tfdsl.SpectralDSL(0.2, interactions, total_steps=20_000),
            ),
            loss=tfdsl.models.BPRLoss(),
            jit_compile=True,
        )
    """

    def __init__(
        self,
        density: float | schedules.Schedule,
        interactions: CSRMatrix | None = None,
        *,
        total_steps: int,
        users: float | str | None = _AUTO,
        init: str | initial.InitialScores | None = None,
        update_interval: int | None = None,
        update_end: int | str | None = _AUTO,
        **kwargs: Any,
    ) -> None:
        own: dict[str, Any] = {
            "granularity": "embedding_row",
            "grow": "accumulated_gradient",
            "candidates": 8,
            "update_ratio": 0.3,
            "optimizer_state": "reset",
            "seed": 0,
        }
        own |= kwargs
        is_constant = isinstance(schedules.get("density", density), schedules.Constant)
        if init is None:
            if interactions is None:
                raise ValueError(
                    "SpectralDSL makes its first masks from the interactions, a CSR matrix [users, "
                    "items] of the training part; received None. Give them, or another `init`."
                )
            in_rows = own["granularity"] in ("row", "embedding_row")
            most = distributions.USERS if is_constant and in_rows else None
            share: Any = most if users == _AUTO else users
            init = initial.Spectral(interactions, users=share, seed=own["seed"])
        elif interactions is not None or users not in (None, _AUTO):
            raise ValueError(
                "Give `interactions`, and `users` with them, or `init`; received both."
            )
        # The scores of others may be no more than an order.
        values = "scores" if isinstance(init, initial.Spectral) else "rescale"
        own.setdefault("first_values", values)
        checks.count("total_steps", total_steps)
        last: Any = update_end
        if update_interval is None:
            update_interval = max(total_steps // UPDATES, 1)
        super().__init__(
            density,
            init=init,
            total_steps=total_steps,
            update_interval=update_interval,
            update_end=None if update_end == _AUTO else last,
            **own,
        )
        self._ends_by_itself = update_end == _AUTO
        self._last_step: int | None = None  # of masks whose entries all compete
        if self._ends_by_itself and is_constant:
            share = self.density.final
            self._last_step = round(total_steps / UPDATES * (1.0 - share) / share)

    def _share_to_move(self, step: Tensor, in_rows: bool) -> Tensor:
        share = super()._share_to_move(step, in_rows)
        if in_rows or self._last_step is None:
            return share
        return tf.where(step <= self._last_step, share, 0.0)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        end = {"update_end": _AUTO} if self._ends_by_itself else {}
        return super().get_config() | end
