"""What outlives the process: tensors by content hash, edits in files, the history of runs."""

from residuum.stores.activation_shards import ActivationShards
from residuum.stores.cell_log import Cell, CellLog
from residuum.stores.edit_file import load_edits, save_edits
from residuum.stores.run_history import RunHistory
from residuum.stores.tensor_store import TensorStore
from residuum.stores.token_shards import TokenRows, TokenShards, as_float32

__all__ = [
    "ActivationShards",
    "Cell",
    "CellLog",
    "RunHistory",
    "TensorStore",
    "TokenRows",
    "TokenShards",
    "as_float32",
    "load_edits",
    "save_edits",
]
