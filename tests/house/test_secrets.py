"""No `repr` shows a secret: whatever is logged, raised or shown while debugging stays harmless."""

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Final

import pytest

import api
import domain
import infrastructure
import projections
from infrastructure.keys.credentials import VerifyingKey
from infrastructure.terminal import masked

_NAMES: Final = re.compile("secret|token|password|credential|address|uri|key")
HARMLESS: Final = {
    "Answer.key": "an idempotency key",
    "Submission.key": "an idempotency key",
    "SubmissionList.key": "an idempotency key",
    "StoredAnswer.key": "an idempotency key",
    "ViewMismatch.key": "of a row",
    "Heard.token": "where a change stream goes on",
    "Settings.signing_key": "the path of a file",
    "ExportSource.key": "its class shows nothing",
    "Service.tokens": "its class shows nothing",
    "Legacy.tokens": "its class shows nothing",
}


def shown_fields() -> Iterator[str]:
    """The fields that a `repr` shows, and whose name is that of a secret."""
    for package in (domain, projections, infrastructure, api):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(found.name)
            for name, kind in vars(module).items():
                if isinstance(kind, type) and kind.__module__ == found.name:
                    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
                    yield from (
                        f"{name}.{field.name}"
                        for field in fields
                        if field.repr and _NAMES.search(field.name)
                    )


def test_no_dataclass_shows_a_secret_in_its_repr() -> None:
    assert sorted(set(shown_fields()) - HARMLESS.keys()) == []


def test_a_verifying_key_hides_its_key() -> None:
    assert repr(VerifyingKey(b"a long secret", "HS256")) == "VerifyingKey(algorithm='HS256')"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at mongodb://ada:p@ss@h/x.", "at mongodb://[masked]@h/x."),
        ("usr:pass@host is no folder", "[masked]@host is no folder"),
        ("'ada:secret@h'", "'[masked]@h'"),
        ("Bearer abc", "Bearer [masked]"),
        ("eyJhbGc.eyJzdWI.c2ln", "[masked]"),
        ("?tlsCertificateKeyFilePassword=open&w=1", "?tlsCertificateKeyFilePassword=[masked]&w=1"),
        ("cli:ada at 2, 2026-11-23T10:41:07.013Z", "cli:ada at 2, 2026-11-23T10:41:07.013Z"),
    ],
)
def test_credentials_are_masked_in_any_text(text: str, shown: str) -> None:
    assert masked(text) == shown
