"""One file a table: its grid and nothing else."""

from pipelines.tables import multvae_ml1m, multvae_synthetic
from pipelines.tables.base import Options, Table

TABLES: dict[str, Table] = {
    module.TABLE.name: module.TABLE for module in (multvae_synthetic, multvae_ml1m)
}

__all__ = ["TABLES", "Options", "Table"]
