"""What refers to an account, contact or lead moves to its survivor. Which columns those are, the models declare."""

from crm_kit.records.moving import Mover
from crm_sales.merging.model import MoveTask

MOVER = Mover(MoveTask)
