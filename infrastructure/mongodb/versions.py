"""The versions of a view on MongoDB, and the name under which others find the live one.

The registry of a projection is one document in `checkpoints`, beside the checkpoints themselves:
`{_id: "tickets", live, kept, building, next}`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import pymongo
from pymongo import ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import OperationFailure

from domain.errors import ConfigurationError
from infrastructure.mongodb.client import DURABLE, SETTLED, Document
from infrastructure.mongodb.failures import answering
from infrastructure.mongodb.views import PATIENCE, MongoDBView
from projections.running.projection import Skipped
from projections.versions.registry import (
    Build,
    Registry,
    check_caught_up,
    check_known,
    leftovers,
)

V = TypeVar("V", bound=MongoDBView[Any])

_NAMESPACE_EXISTS: Final = 48
"""The server's error code for a collection or view that exists."""

Pipeline = list[Document]
"""The aggregation stages that turn stored documents into the documents that others see."""


class MongoDBVersions(Generic[V]):
    """`Versions` of the projection `name`. Makes the first one, live, when there is none.

    With a `pipeline`, other services find the live version as the MongoDB view `name`.
    """

    def __init__(
        self,
        database: Database[Document],
        name: str,
        make: Callable[[Database[Document], int], V],
        pipeline: Pipeline | None = None,
    ) -> None:
        self._database = database
        self._name = name
        self._make = make
        self._pipeline = pipeline
        self._trial = f"{name}_rehearsal"
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
            return self._read()

    def _read(self, session: ClientSession | None = None) -> Registry:
        return _registry(self._checkpoints.find_one({"_id": self._name}, session=session) or {})

    def view(self, version: int) -> V:
        return self._make(self._database, version)

    def begin(self, target: int, partitions: int) -> Build:
        building: Document = {
            "version": "$next",
            "target": target,
            "shares": partitions,
            "paused": False,
            "rate": None,
        }
        with answering():
            document = self._checkpoints.find_one_and_update(
                {"_id": self._name, "building": None},
                [{"$set": {"building": building, "next": {"$add": ["$next", 1]}}}],
                return_document=ReturnDocument.AFTER,
            )
        build = (_registry(document) if document else self.registry()).building
        if build is None:
            return self.begin(target, partitions)
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

    def rehearse_switch(self) -> None:
        if self._pipeline is None:
            return
        with answering():
            if self._viewed() is None:  # `publish` would make it
                self._database.drop_collection(self._trial)
                self._database.create_collection(self._trial, check_exists=False)
                self._database.drop_collection(self._trial)
            else:  # a command that changes nothing needs the same privilege
                self._database.command("collMod", self._name)

    def rehearse_drop(self) -> None:
        with answering():
            self._database.drop_collection(self._trial)  # it need not exist to be refused
            if self._pipeline is None:
                return
            is_published = self._viewed() == self._to_view()
        if not is_published:
            self.rehearse_switch()  # `drop` publishes first

    def switch(self, to: int) -> None:
        def work(session: ClientSession) -> None:
            registry = self._read(session)
            if registry.live == to:
                return
            check_known(self._name, registry, to)
            # changed, so that a step of the live version's runner cannot commit beside this one
            live = self._checkpoints.find_one_and_update(
                {"_id": self.view(registry.live).name}, {"$inc": {"writes": 1}}, session=session
            )
            coming = self._checkpoints.find_one({"_id": self.view(to).name}, session=session)
            check_caught_up(
                self._name,
                to,
                position=coming["position"] if live and coming else -1,
                live_position=live["position"] if live else 0,
            )
            values = _changes(registry, registry.switch(to))
            self._checkpoints.update_one({"_id": self._name}, {"$set": values}, session=session)

        self.rehearse_switch()
        with (
            answering(),
            pymongo.timeout(PATIENCE),
            self._database.client.start_session() as session,
        ):
            session.with_transaction(work, read_concern=SETTLED, write_concern=DURABLE)
        self.publish()

    def forget(self, version: int) -> None:
        while True:
            registry = self.registry()
            check_known(self._name, registry, version)
            values = _changes(registry, registry.forget(version))
            # only if the registry is unchanged: another process may switch just now
            unchanged = {"live": registry.live, "kept": list(registry.kept)}
            building = registry.building.version if registry.building else None
            with answering():
                if self._checkpoints.update_one(
                    {"_id": self._name, **unchanged, "building.version": building}, {"$set": values}
                ).modified_count:
                    return

    def drop(self, version: int) -> None:
        if version not in self.registry().versions:
            self.publish()  # in case the process that switched was killed before it could
            self.view(version).drop()

    def skip(self, event: Skipped) -> None:
        values = {
            "ticketId": event.ticket_id,
            "actor": event.actor,
            "reason": event.reason,
            "at": event.at,
        }
        with answering():
            self._skipped.update_one(
                {"_id": {"projection": self._name, "position": event.position}},
                {"$setOnInsert": values},
                upsert=True,
            )

    def skipped(self) -> Mapping[int, Skipped]:
        with answering():
            documents = self._skipped.find({"_id.projection": self._name}).sort("_id.position", 1)
            return {
                document["_id"]["position"]: Skipped(
                    position=document["_id"]["position"],
                    ticket_id=document["ticketId"],
                    actor=document["actor"],
                    reason=document["reason"],
                    at=document["at"],
                )
                for document in documents
            }

    def leftovers(self) -> Sequence[int]:
        with answering():
            views = list(self._checkpoints.find({"_id": {"$regex": f"^{self._name}@"}}, {"_id": 1}))
        # the registry is read afterwards: it holds a version that was begun meanwhile
        return leftovers([view["_id"] for view in views], self.registry())

    def publish(self) -> None:
        if self._pipeline is None:
            return
        with answering():
            view_on, viewed = self._to_view(), self._viewed()
            if viewed == view_on:
                return
            if viewed is not None:
                self._database.command(
                    "collMod", self._name, viewOn=view_on, pipeline=self._pipeline
                )
                return
            if self._name in self._database.list_collection_names(filter={"name": self._name}):
                self._make_way()
            try:
                self._database.create_collection(
                    self._name, viewOn=view_on, pipeline=self._pipeline, check_exists=False
                )
            except OperationFailure as error:
                if error.code != _NAMESPACE_EXISTS:
                    raise
                self.publish()  # another process was faster

    def _to_view(self) -> str:
        """The collection that others are to find under the view's name."""
        return f"{self._name}_{self.registry().live}"

    def _viewed(self) -> str | None:
        """The collection that others find under the view's name; None while there is no view."""
        views = self._database.list_collections(filter={"name": self._name, "type": "view"})
        view = next(iter(views), None)
        return str(view["options"].get("viewOn")) if view else None

    def _make_way(self) -> None:
        """Remove an empty collection that has the view's name. Raises `ConfigurationError`."""
        collection = self._database[self._name]
        if collection.count_documents({}, limit=1):
            raise ConfigurationError(
                f"The database {self._database.name} has a collection {self._name} of its own, "
                "with documents in it. Take them over first: ticketbook migrate adopt"
            )
        collection.drop()


def _registry(document: Document) -> Registry:
    building = document["building"]
    build = None
    if building:
        build = Build(
            version=building["version"],
            target=building["target"],
            partitions=building["shares"],
            paused=building["paused"],
            rate=building["rate"],
        )
    return Registry(document["live"], tuple(document["kept"]), build)


def _changes(before: Registry, after: Registry) -> Document:
    """The fields to set. The orders to a builder stay as they are: they may change meanwhile."""
    values: Document = {"live": after.live, "kept": list(after.kept)}
    return values | ({"building": None} if before.building and not after.building else {})
