"""The declarative base of service management: its own, so that no two services' tables ever meet in one metadata."""

from sqlalchemy.orm import DeclarativeBase

from crm_kit.store.columns import TYPE_MAP, service_metadata


class Base(DeclarativeBase):
    """Every table of the service database."""

    metadata = service_metadata()
    type_annotation_map = TYPE_MAP
