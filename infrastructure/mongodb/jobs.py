"""The records of jobs on MongoDB: a document each, with the fields of `Job`."""

from collections.abc import Sequence
from dataclasses import asdict

from pymongo.database import Database

from infrastructure.jobs import Job
from infrastructure.mongodb.client import Document
from infrastructure.mongodb.failures import answering


class MongoDBJobs:
    """`Jobs` in the collection `operations`."""

    def __init__(self, database: Database[Document]) -> None:
        self._operations = database["operations"]

    def keep(self, job: Job) -> None:
        document = asdict(job)
        document["_id"] = document.pop("id")
        with answering():
            self._operations.replace_one({"_id": job.id}, document, upsert=True)

    def find(self, job_id: str) -> Job | None:
        with answering():
            document = self._operations.find_one({"_id": job_id})
        return _job(document) if document else None

    def latest(self, before: str | None, limit: int) -> Sequence[Job]:
        where: Document = {} if before is None else {"_id": {"$lt": before}}
        with answering():
            documents = self._operations.find(where).sort("_id", -1).limit(limit)
            return [_job(document) for document in documents]


def _job(document: Document) -> Job:
    return Job(id=document.pop("_id"), **document)
