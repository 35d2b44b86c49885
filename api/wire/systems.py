"""The JSON of the catalogue."""

from pydantic import BaseModel


class FeatureModel(BaseModel):
    name: str
    description: str


class SystemModel(BaseModel):
    name: str
    description: str
    features: list[FeatureModel]


class SystemList(BaseModel):
    items: list[SystemModel]
