"""What a store holds at a moment, to put it back to that as often as need be."""

from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import IndexModel, MongoClient, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database

from infrastructure.mongodb.client import DURABLE

_QUICK: Final = WriteConcern(w=1, j=False)
"""The last write is durable, and so are all before it."""


_RAW: Final = CodecOptions(document_class=RawBSONDocument)


class Snapshot(Protocol):
    def restore(self) -> None:
        """Have the store hold what it held, and nothing else. Nobody may have it open."""

    def close(self) -> None: ...


def snapshot(url: str) -> Snapshot:
    """What the store holds now, which nobody may have open."""
    if url.startswith("sqlite:"):
        return _File(Path(urlsplit(url).path))
    return _Database(url)


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = path.read_bytes() if path.exists() else None

    def restore(self) -> None:
        for beside in ("-wal", "-shm", ""):
            Path(f"{self._path}{beside}").unlink(missing_ok=True)
        if self._held is not None:
            self._path.write_bytes(self._held)

    def close(self) -> None:
        """Nothing is open."""


class _Database:
    def __init__(self, url: str) -> None:
        self._client = MongoClient[Any](url)
        self._database: Database[Any] = self._client.get_default_database(write_concern=_QUICK)
        self._views, names = self._there()
        self._documents = {name: list(self._raw(name).find()) for name in names}
        self._indexes = {name: self._database[name].index_information() for name in names}

    def restore(self) -> None:
        views, names = self._there()
        for name in [*(views.keys() - self._views.keys()), *(names - self._documents.keys())]:
            self._database.drop_collection(name)
        for name, documents in self._documents.items():
            collection = self._database[name]
            if name in names and collection.index_information() == self._indexes[name]:
                collection.delete_many({})
            else:
                self._make(name)
            if documents:
                self._raw(name).insert_many(documents)
        for name, options in self._views.items():
            if name not in views:
                self._database.command({"create": name, **options})
            elif views[name] != options:
                self._database.command({"collMod": name, **options})
        for name in self._documents:
            self._database[name].with_options(write_concern=DURABLE).delete_one({"_id": "nobody"})
            break

    def _raw(self, name: str) -> Collection[RawBSONDocument]:
        return self._database.get_collection(name, codec_options=_RAW)

    def _make(self, name: str) -> None:
        self._database.drop_collection(name)
        self._database.create_collection(name)
        models = [
            IndexModel(one["key"], name=index, **{k: v for k, v in one.items() if k not in "key v"})
            for index, one in self._indexes[name].items()
            if index != "_id_"
        ]
        if models:
            self._database[name].create_indexes(models)

    def _there(self) -> tuple[dict[str, Any], set[str]]:
        """The views with their options, and the names of the collections."""
        found = [dict(one) for one in self._database.list_collections()]
        views = {one["name"]: dict(one["options"]) for one in found if one["type"] == "view"}
        names = {one["name"] for one in found} - views.keys()
        return views, {name for name in names if not name.startswith("system.")}

    def close(self) -> None:
        self._client.close()
