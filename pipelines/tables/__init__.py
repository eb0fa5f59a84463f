"""One file a model: the grids of its tables and nothing else."""

from pipelines.tables import dlrm, light_gcn, mult_vae, neu_mf, parts
from pipelines.tables.base import BUDGETS, Options, Table

TABLES: dict[str, Table] = {
    table.name: table
    for module in (mult_vae, light_gcn, neu_mf, parts, dlrm)
    for table in module.TABLES
}

__all__ = ["BUDGETS", "TABLES", "Options", "Table"]
