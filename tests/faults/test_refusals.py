"""A MongoDB that says no: every error of its driver becomes one of ours, which names what to grant
or to change, and health tells."""

from collections.abc import Mapping
from typing import Any, Final

import pytest
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from domain.errors import StoreRefused, StoreUnavailable
from infrastructure.mongodb.failures import Conflicting, answering, explained
from tests.support.driver_calls import Listener, Send, listening
from tests.support.health import metrics, readiness, ready
from tests.support.server import refused, serving, until

UNAUTHORIZED: Final = 'not authorized on tb to execute command { insert: "commits", x: "a secret" }'
REFUSING: Final = (13, 18, 96, 8000, 14031)


class Refusing(Listener):
    """Refuses every command with the code, while there is one."""

    code: int | None = None

    def sends(self, name: str, command: Mapping[str, Any], send: Send) -> Any:
        if self.code is not None:
            raise OperationFailure("the server says no", self.code, {"errmsg": "it says no"})
        return send()


def test_a_store_that_refuses_everything_is_no_internal_error_and_unready_until_it_allows_it_again(
    mongodb_url: str,
) -> None:
    refusing = Refusing()
    with listening(refusing), serving(mongodb_url) as served:
        client = served.client()
        created = client.created()
        until(lambda: ready(client))

        for refusing.code in REFUSING:
            refused(client.create(), 503, "store-unavailable")
            refused(client.get(f"/v1/tickets/{created['_id']}"), 503, "store-unavailable")
            refused(client.get("/v1/audit"), 503, "store-unavailable")
            assert readiness(client)["status"] == "unready"
            assert metrics(client)["ticketbook_store_up",] == 0

        refusing.code = None
        until(lambda: ready(client))
        assert client.get(f"/v1/tickets/{created['_id']}").json() == created


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OperationFailure("no", 13, {"errmsg": UNAUTHORIZED}), "on tb to execute command insert"),
        (OperationFailure("no", 13, {}), "Grant the user"),
        (OperationFailure("Authentication failed.", 18, {}), "name and the password"),
        (OperationFailure("Operation failed", 96, {}), "code 96"),
        (OperationFailure("bad auth", 8000, {}), "roles"),
        (OperationFailure("OutOfDiskSpace", 14031, {}), "disk is full"),
        (OperationFailure("Transaction numbers are only allowed", 20, {}), "replica set"),
        (OperationFailure("a code of a later version", 98_765, {}), "98765"),
        (WriteConcernError("no such mode", 79, {}), "write concern"),
        (BulkWriteError({"writeErrors": [{"code": 121, "errmsg": "x"}]}), "validator"),
        (ConfigurationError("no such host"), "address"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_refusal_of_the_server_names_what_to_grant_or_to_change(
    error: PyMongoError, words: str
) -> None:
    with pytest.raises(StoreRefused, match=words) as raised, answering():
        raise error
    assert "secret" not in str(raised.value)


def test_a_closed_client_is_a_store_that_does_not_answer() -> None:
    with pytest.raises(StoreUnavailable, match="ending"), answering():
        raise InvalidOperation("Cannot use MongoClient after close")


def test_a_key_that_nothing_of_ours_took_is_a_store_that_something_else_wrote_into() -> None:
    assert isinstance(explained(OperationFailure("a taken key", 11000)), Conflicting)


@pytest.mark.parametrize("code", [2, 9, 14])
def test_a_wrong_command_stays_what_it_is(code: int) -> None:
    error = OperationFailure("the command is wrong", code)

    assert explained(error) is error
