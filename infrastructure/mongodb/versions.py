"""The versions of a view on MongoDB, and the name under which others find the live one.

The registry of a projection is one document in `checkpoints`, beside the checkpoints themselves:
`{_id: "tickets", live, kept, building, next}`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from pymongo import ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import OperationFailure

from domain.errors import ConfigurationError, ProjectionBehind, VersionUnknown
from infrastructure.mongodb.client import DURABLE, SETTLED, Document, answering
from infrastructure.mongodb.views import MongoDBView
from projections.running.projection import Skipped
from projections.versions.registry import Build, Registry, number_of

V = TypeVar("V", bound=MongoDBView[Any])

_NAMESPACE_EXISTS: Final = 48

Shape = list[Document]
"""The stages that make what others see out of what is stored."""


class MongoDBVersions(Generic[V]):
    """`Versions` of the projection `name`. Makes the first one, live, when there is none.

    With a `shape`, others find the live version as the MongoDB view `name`.
    """

    def __init__(
        self,
        database: Database[Document],
        name: str,
        make: Callable[[Database[Document], int], V],
        shape: Shape | None = None,
    ) -> None:
        self._database = database
        self._name = name
        self._make = make
        self._shape = shape
        self._checkpoints = database["checkpoints"]
        self._skipped = database["skipped"]
        first = {"live": 1, "kept": [], "building": None, "next": 2}
        with answering():
            self._checkpoints.update_one({"_id": name}, {"$setOnInsert": first}, upsert=True)
        registry = self.registry()
        for version in (registry.live, *registry.kept):
            self.view(version).create(indexed=True)

    def registry(self) -> Registry:
        with answering():
            return _registry(self._checkpoints.find_one({"_id": self._name}) or {})

    def view(self, version: int) -> V:
        return self._make(self._database, version)

    def begin(self, target: int, shares: int) -> Build:
        building: Document = {
            "version": "$next",
            "target": target,
            "shares": shares,
            "paused": False,
            "rate": None,
        }
        with answering():
            found = self._checkpoints.find_one_and_update(
                {"_id": self._name, "building": None},
                [{"$set": {"building": building, "next": {"$add": ["$next", 1]}}}],
                return_document=ReturnDocument.AFTER,
            )
        build = (_registry(found) if found else self.registry()).building
        if build is None:
            return self.begin(target, shares)
        self.view(build.version).create(indexed=False)
        return build

    def control(self, *, paused: bool | None = None, rate: int | None = None) -> Build | None:
        values: Document = {} if paused is None else {"building.paused": paused}
        if rate is not None:
            values["building.rate"] = rate or None
        if values:
            with answering():
                self._checkpoints.update_one(
                    {"_id": self._name, "building": {"$ne": None}}, {"$set": values}
                )
        return self.registry().building

    def switch(self, to: int) -> None:
        def work(session: ClientSession) -> None:
            registry = _registry(
                self._checkpoints.find_one({"_id": self._name}, session=session) or {}
            )
            if registry.live == to:
                return
            self._refuse_unknown(registry, to)
            # changed, so that a step of the live version's runner cannot commit beside this one
            live = self._checkpoints.find_one_and_update(
                {"_id": self.view(registry.live).name}, {"$inc": {"writes": 1}}, session=session
            )
            there = self._checkpoints.find_one({"_id": self.view(to).name}, session=session)
            if live is None or there is None or there["position"] < live["position"]:
                raise ProjectionBehind(
                    f"Version {to} of {self._name} is behind the live one. Try again in a moment."
                )
            kept = [registry.live, *(one for one in registry.kept if one != to)]
            values: Document = {"live": to, "kept": kept}
            if registry.building and registry.building.version == to:
                values["building"] = None
            self._checkpoints.update_one({"_id": self._name}, {"$set": values}, session=session)

        with answering(), self._database.client.start_session() as session:
            session.with_transaction(work, read_concern=SETTLED, write_concern=DURABLE)
        self.publish()

    def forget(self, version: int) -> None:
        # each with what it presumes: the version may be switched to just now
        updates: tuple[tuple[Document, Document], ...] = (
            ({"building.version": version}, {"$set": {"building": None}}),
            ({"kept": version}, {"$pull": {"kept": version}}),
        )
        while True:
            for presumed, update in updates:
                mine = {"_id": self._name, **presumed}
                with answering():
                    if self._checkpoints.update_one(mine, update).modified_count:
                        return
            self._refuse_unknown(self.registry(), version)

    def drop(self, version: int) -> None:
        registry = self.registry()
        building = registry.building.version if registry.building else None
        if version not in (registry.live, building, *registry.kept):
            self.publish()  # should whoever switched have been killed before it could
            self.view(version).drop()

    def skip(self, event: Skipped) -> None:
        kept = {
            "ticketId": event.ticket_id,
            "actor": event.actor,
            "reason": event.reason,
            "at": event.at,
        }
        with answering():
            self._skipped.update_one(
                {"_id": {"projection": self._name, "position": event.position}},
                {"$setOnInsert": kept},
                upsert=True,
            )

    def skipped(self) -> Mapping[int, Skipped]:
        with answering():
            found = self._skipped.find({"_id.projection": self._name}).sort("_id.position", 1)
            return {
                one["_id"]["position"]: Skipped(
                    position=one["_id"]["position"],
                    ticket_id=one["ticketId"],
                    actor=one["actor"],
                    reason=one["reason"],
                    at=one["at"],
                )
                for one in found
            }

    def leftovers(self) -> Sequence[int]:
        with answering():
            found = list(self._checkpoints.find({"_id": {"$regex": f"^{self._name}@"}}, {"_id": 1}))
        versions = self.registry().versions  # read after: what was begun meanwhile is in it
        return [one for view in found if (one := number_of(view["_id"])) not in versions]

    def publish(self) -> None:
        if self._shape is None:
            return
        with answering():
            view_on = f"{self._name}_{self.registry().live}"
            found = next(iter(self._database.list_collections(filter={"name": self._name})), None)
            if found and found["type"] == "collection":
                self._make_way()
            elif found and found["options"].get("viewOn") == view_on:
                return
            elif found:
                self._database.command("collMod", self._name, viewOn=view_on, pipeline=self._shape)
                return
            try:
                self._database.create_collection(
                    self._name, viewOn=view_on, pipeline=self._shape, check_exists=False
                )
            except OperationFailure as error:
                if error.code != _NAMESPACE_EXISTS:
                    raise
                self.publish()  # somebody was faster

    def _make_way(self) -> None:
        """Remove a collection that stands in the view's place, if nothing is in it."""
        standing = self._database[self._name]
        number = standing.count_documents({}, limit=1)
        if number:
            raise ConfigurationError(
                f"The database {self._database.name} has a collection {self._name} of its own, "
                "with documents in it. Take them over first: ticketbook migrate adopt"
            )
        standing.drop()

    def _refuse_unknown(self, registry: Registry, version: int) -> None:
        building = registry.building.version if registry.building else None
        if version not in (building, *registry.kept):
            raise VersionUnknown(
                f"{self._name} has no version {version} beside the live one, {registry.live}. "
                "See ticketbook projections status."
            )


def _registry(found: Document) -> Registry:
    building = found["building"]
    return Registry(found["live"], tuple(found["kept"]), Build(**building) if building else None)
