"""The split by templates, under the name that older imports know."""

from residuum.directions.splitting import by_template

__all__ = ["by_template"]
