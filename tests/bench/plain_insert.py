"""What creating a ticket costs without history: FastAPI and one `insert_one`, and nothing else.

Served by uvicorn as the baseline of the HTTP measurement; as durable as ours, with no
credentials, no catalogue, no log and no projection.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from fastapi import FastAPI, Request
from pydantic import BaseModel
from pymongo import AsyncMongoClient

from infrastructure.mongodb.client import DURABLE


class NewTicket(BaseModel):
    name: str
    system: str
    features: list[str]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(os.environ["MONGODB_URI"])
    database = client[os.environ["MONGODB_DBNAME"]]
    app.state.tickets = database.get_collection("plain_tickets", write_concern=DURABLE)
    async with client:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/v1/tickets", status_code=201)
async def create_ticket(ticket: NewTicket, request: Request) -> dict[str, Any]:
    now = datetime.now(UTC)
    document = {
        "_id": ObjectId(),
        "name": ticket.name,
        "orgId": ObjectId("64b000000000000000000001"),
        "system": ticket.system,
        "features": ticket.features,
        "createdAt": now,
        "updatedAt": now,
        "__v": 0,
    }
    await request.app.state.tickets.insert_one(document)
    return {**document, "_id": str(document["_id"]), "orgId": str(document["orgId"])}
