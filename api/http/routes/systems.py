"""`/v1/systems`: the catalogue that is in force."""

from fastapi import APIRouter

from api.http.errors.problems import CALLER, Problem, documented
from api.http.request.callers import Reading
from api.wire.systems import FeatureModel, SystemList, SystemModel
from domain.catalogue import System
from domain.errors import UnknownSystem

router = APIRouter(prefix="/v1/systems", tags=["Catalogue"])


@router.get("", responses=documented(*CALLER))
async def list_systems(call: Reading) -> SystemList:
    """Every system with its features, in catalogue order."""
    systems = call.service.catalogue.current().systems.values()
    return SystemList(items=[_model(system) for system in systems])


@router.get("/{system}", responses=documented(*CALLER, "not-found"))
async def get_system(call: Reading, system: str) -> SystemModel:
    """One system and what its features allow."""
    try:
        return _model(call.service.catalogue.current().system(system))
    except UnknownSystem as error:
        raise Problem("not-found", error.detail) from error


def _model(system: System) -> SystemModel:
    features = [
        FeatureModel(name=name, description=description)
        for name, description in system.features.items()
    ]
    return SystemModel(name=system.name, description=system.description, features=features)
