"""The declarative base of sales: its own, so that no two services' tables ever meet in one metadata."""

from crm_kit.db import TYPE_MAP, service_metadata
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """Every table of the sales database."""

    metadata = service_metadata()
    type_annotation_map = TYPE_MAP
