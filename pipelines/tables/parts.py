"""What each part of an algorithm does: one run, and runs in which one thing is otherwise."""

from collections.abc import Callable, Sequence
from typing import Any

from pipelines.config import RunConfig
from pipelines.fold_in import BY_SEED
from pipelines.tables import light_gcn, mult_vae, neu_mf
from pipelines.tables.base import DENSITIES, SPECTRAL, Cases, Options, Table

DENSITY = 0.2
# Densities of users' shares, of how much masks move, and of budgets of rows.
_USERS_AT = (DENSITY, 0.5, 0.1, 0.05)
_MOVED_AT = (DENSITY, 0.8, 0.5, 0.05)
_ROWS_AT = (DENSITY, 0.05)
_SPLIT_AT = (0.8, 0.5, DENSITY, 0.1, 0.05)
_STAY = {"init": "spectral", "granularity": "row"}  # first masks, for "static"
# What SpectralDSL's kernels began with when it was looked at how they move and compete.
_DRAWN = {"first_values": "rescale"}
_NOTES = "Every row has the configuration of the first one at its density, but for what it names."


def _settings(**settings: Any) -> dict[str, Any]:
    return {"algorithm_settings": settings}


def _of_dsl(interval: int, *of_kernels: dict[str, Any]) -> Cases:
    """Returns the rows of DSL; `interval` is the number of steps between two updates."""
    changes: list[dict[str, Any]] = [
        {},
        *(
            _settings(grow=grow)
            for grow in ("random", "random_unfired", "momentum", "accumulated_gradient")
        ),
        _settings(drop="taylor"),
        {"update_interval": max(interval // 4, 1)},
        {"update_interval": interval * 4},
        *(_settings(update_ratio=ratio) for ratio in (0.1, 0.3, 0.8)),
        *(_settings(annealing=annealing) for annealing in ("constant", "linear")),
        *(_settings(update_share=share) for share in (0.25, 0.75)),
        *(_settings(init=init) for init in ("bernoulli", "magnitude", "spectral")),
        *({"distribution": distribution} for distribution in ("erk", "global")),
        *({"optimizer_state": state} for state in ("keep", "mask")),
        *of_kernels,
    ]
    # "static": the first masks stay.
    return [*(("dsl", DENSITY, own) for own in changes), ("static", DENSITY), ("dense", 1.0)]


def _of_dsl_kernels(interval: int) -> Cases:
    return _of_dsl(interval, _settings(first_values="rescale"))


def _of_spectral(
    interval: int,
    own: dict[str, Any],
    inits: Sequence[dict[str, Any]],
    changes: Sequence[dict[str, Any]],
    stay: Sequence[dict[str, Any]],
) -> Cases:
    """Returns the rows of SpectralDSL, whose own updates are seldom; see `_of_dsl`.

    Args:
        interval: of DSL's updates.
        own: settings of the first row, which all have but where they name another.
        inits: settings of other first masks, which have nothing of the first row's.
        changes: settings of rows that its models have beside those of all.
        stay: settings of first masks that stay.
    """
    every: list[dict[str, Any]] = [
        {"rotation": "none"},
        *({"grow": grow} for grow in ("gradient", "random")),
        *({"update_ratio": ratio} for ratio in (0.1, 0.5)),
        *({"update_share": share} for share in (0.1, 1.0)),
        *changes,
    ]
    others: list[dict[str, Any]] = [
        {"update_interval": interval},
        *({"optimizer_state": state} for state in ("keep", "mask")),
    ]
    rows = [
        _settings(**own),
        *(_settings(**init) for init in inits),
        *(_settings(**own | change) for change in every),
        *(_settings(**own) | fields for fields in others),
    ]
    return [
        *(("spectral", DENSITY, SPECTRAL | row) for row in rows),
        *(("static", DENSITY, _settings(**settings)) for settings in stay),
        ("dsl", DENSITY),
        ("dense", 1.0),
    ]


def _of_spectral_kernels(interval: int) -> Cases:
    values = [{"first_values": values} for values in ("rescale", "keep")]
    stay = {"init": "spectral"}
    # What other first masks leave has no scores to begin with.
    inits = [{"init": init, "first_values": "rescale"} for init in ("exact", "magnitude")]
    return _of_spectral(
        interval,
        mult_vae.VALUES,
        inits,
        [*values, {"granularity": "row"}],
        [stay, *(stay | first for first in (values[0], mult_vae.VALUES))],
    )


def _of_spectral_tables(interval: int) -> Cases:
    changes = [
        *({"users": share} for share in (0.0, 0.6, 0.8, 0.95)),
        {"granularity": "entry", "candidates": 0},  # candidates are of rows
        *({"candidates": candidates} for candidates in (2, 32, 0)),
        {"storage": "packed"},
    ]
    inits = [{"init": init} for init in ("exact", "magnitude")]
    return _of_spectral(interval, {}, inits, changes, [_STAY | {"users": 0.9}, _STAY])


def _of_users(interval: int) -> Cases:
    """Returns the rows of users' shares by density, of masks that stay and that move."""
    shares: list[dict[str, Any]] = [{}, *({"users": share} for share in (0.6, 0.8, 0.9, 0.95))]
    seldom = {"update_interval": 12 * interval}
    moved: list[tuple[float, dict[str, Any]]] = [
        *((density, _settings(users=0.9) | seldom) for density in _USERS_AT),
        *((density, _settings(users=0.8) | seldom) for density in _USERS_AT),
        *((DENSITY, _settings(users=s, update_ratio=0.1) | seldom) for s in (0.8, 0.9)),
        *((density, _settings(users=0.9)) for density in _USERS_AT),
        *((DENSITY, _settings(users=share)) for share in (0.8, 0.95)),
    ]
    return [
        *(
            ("static", density, _settings(**_STAY, **share))
            for density in _USERS_AT
            for share in shares
        ),
        *(("spectral", density, own) for density, own in moved),
        ("dense", 1.0),
    ]


def _of_moves(interval: int) -> Cases:
    """Returns the rows of how much SpectralDSL's masks move, and until when, by density."""
    del interval  # SpectralDSL's own
    moves = [(0.3, 1.0), (0.3, 0.5), (0.3, 0.2), (0.3, 0.05), (0.1, 1.0)]
    pairs = ({"update_ratio": ratio, "update_share": share} for ratio, share in moves)
    settings: list[dict[str, Any]] = [{}, *pairs]  # its own first
    return [
        *(
            ("spectral", d, SPECTRAL | _settings(**_DRAWN, **own))
            for d in _MOVED_AT
            for own in settings
        ),
        *(("static", d, _settings(**_DRAWN, init="spectral")) for d in _MOVED_AT),
        ("dense", 1.0),
    ]


def _of_rows(interval: int) -> Cases:
    """Returns the rows of kernels whose items have a budget each, beside those that compete."""
    del interval  # SpectralDSL's own
    row: dict[str, Any] = _DRAWN | {"granularity": "row"}
    moves: list[dict[str, Any]] = [{}, {"candidates": 0}]
    moves += [{"candidates": 0, "update_ratio": 0.1}, {"candidates": 0, "update_share": 0.2}]
    settings = [_DRAWN, *(row | move for move in moves)]  # its own first
    return [
        *(("spectral", d, SPECTRAL | _settings(**own)) for d in _ROWS_AT for own in settings),
        *(("static", d, _settings(**row, init="spectral")) for d in _ROWS_AT),
        *(("dsl", d, _settings(**row)) for d in _ROWS_AT),
        ("dense", 1.0),
    ]


def _of_splits(interval: int) -> Cases:
    """Returns the rows of SpectralDSL and of those that it has lost to somewhere, by density."""
    del interval  # each algorithm's own
    rivals = ("gradual", "oneshot", "dsl", "narrow")
    own = _settings(**mult_vae.VALUES)
    return [
        *(
            row
            for density in _SPLIT_AT
            for row in (
                ("spectral", density, SPECTRAL | own),
                ("spectral", density, SPECTRAL | _settings(**_DRAWN)),
                *((rival, density) for rival in rivals),
            )
        ),
        ("dense", 1.0),
    ]


def _of_values(interval: int) -> Cases:
    """Returns the rows of what kernels begin with, by density."""
    del interval  # SpectralDSL's own
    settings = [{"first_values": values} for values in ("scores", "rescale", "keep")]
    settings.append({"init": "magnitude", "first_values": "rescale"})
    return [
        *(("spectral", d, SPECTRAL | _settings(**own)) for d in DENSITIES for own in settings),
        ("dense", 1.0),
    ]


def _table(
    name: str,
    title: str,
    of: Table,
    rows: Callable[[int], Cases],
    seeds: int = 3,
    by_seed: bool = False,
    notes: str = _NOTES,
) -> Table:
    """Returns a table of runs that are like those of another, `of`, but for their rows.

    Args:
        name: as the command line knows it.
        title: before that of the other table.
        of: the other table.
        rows: steps between two updates of the masks there -> the rows.
        seeds: of every row.
        by_seed: whether the users held out are drawn by the seed.
        notes: what a reader must know of the rows.
    """

    def grid(options: Options) -> list[RunConfig]:
        options.only_clean("parts")
        config = of.grid(Options(options.budget))[0]
        names = ("epochs", "batch_size", "learning_rate", "final_learning_rate")
        fields = {field: getattr(config, field) for field in (*names, "evaluate_every", "settings")}
        interval = config.update_interval
        fields["update_interval"] = interval
        fields["data"] = config.data + (BY_SEED if by_seed else "")
        return options.grid(config.model, rows(interval), **fields)

    densities = {case[1] for case in rows(1)} - {1.0}
    title = f"{title}: {of.title}"
    if len(densities) == 1:
        title += f", density {densities.pop():g}"
    metrics = of.metrics[:2]
    more = {"seeds": seeds, "kind": "parts", "at_once": of.at_once}
    return Table(name, title, grid, metrics, notes, of.budgets, **more)


_OF = {table.name: table for module in (mult_vae, light_gcn, neu_mf) for table in module.TABLES}
_MULTVAE = ("multvae-ml1m", "multvae-citeulike")
_LIGHTGCN = {data: _OF[f"lightgcn-{data}"] for data in ("gowalla", "yelp2018")}
TABLES = (
    *(
        _table(f"parts-{name}", "The parts of DSL", _OF[name], rows)
        for name, rows in (
            ("multvae-ml1m", _of_dsl_kernels),
            ("multvae-citeulike", _of_dsl_kernels),
            ("lightgcn-gowalla", _of_dsl),
            ("neumf-ml1m", _of_dsl),
        )
    ),
    *(
        _table(f"parts-spectral-{name}", "The parts of SpectralDSL", of, rows)
        for name, of, rows in (
            *((name, _OF[name], _of_spectral_kernels) for name in _MULTVAE),
            *((data, of, _of_spectral_tables) for data, of in _LIGHTGCN.items()),
        )
    ),
    _table(
        "moves-multvae-ml1m",
        "How much SpectralDSL's masks move, from rescaled values",
        _OF["multvae-ml1m"],
        _of_moves,
    ),
    *(
        _table(
            f"rows-{name}",
            "Whether items have budgets of their own, from rescaled values",
            _OF[name],
            _of_rows,
        )
        for name in _MULTVAE
    ),
    *(
        _table(f"values-{name}", "First values of kernels", _OF[name], _of_values)
        for name in _MULTVAE
    ),
    *(
        _table(
            f"splits-{name}",
            "Other users held out with every seed",
            _OF[name],
            _of_splits,
            seeds=5,
            by_seed=True,
            notes=f"{_NOTES} {mult_vae.NARROW}",
        )
        for name in _MULTVAE
    ),
    *(
        _table(f"users-{data}", "Users' share of the weights", of, _of_users, seeds=1)
        for data, of in _LIGHTGCN.items()
    ),
)
