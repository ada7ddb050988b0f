"""Moves of references from a merged record to its survivor. The models declare the columns."""

from crm_kit.records.moving import Mover
from crm_sales.merging.model import MoveTask

MOVER = Mover(MoveTask)
