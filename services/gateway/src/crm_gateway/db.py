"""The declarative base of the gateway. Each service has its own, so that their tables never share a metadata object."""

from sqlalchemy.orm import DeclarativeBase

from crm_kit.store.columns import TYPE_MAP, service_metadata


class Base(DeclarativeBase):
    """The base of all tables in the gateway's database."""

    metadata = service_metadata()
    type_annotation_map = TYPE_MAP
