"""The key that heads and exports are signed with, as the store remembers it."""

import logging
from typing import Final

from api.use_cases.service import Service
from domain.errors import ConfigurationError
from infrastructure.configuration.settings import SIGNING_KEY
from infrastructure.keys.signing_key import SigningKey, signing_key_of, signing_key_path

NOTE: Final = "signing.keys"
"""The note with the public keys that the store was signed with, in base64; the last is in force."""

_log = logging.getLogger(__name__)


def signing_key(service: Service) -> SigningKey:
    """The key to sign with. Raises `ConfigurationError` where it cannot be used, also where the
    store was signed before and its key is gone: a new one, made in silence, would look like
    somebody else's.

    Another key than before is noted, and is a line of the log.
    """
    before = service.notes.find(NOTE) or []
    path = signing_key_path(service.settings)
    if before and path and not path.exists():
        raise ConfigurationError(
            f"This store was signed with the key {before[-1]}, and its file {path} is not there. "
            f"Put it back, or make a new key and name it in {SIGNING_KEY.name}; what was signed "
            "before is then verified with the public key of that time alone."
        )
    key = signing_key_of(service.settings)
    name = key.public.name
    if not before or before[-1] != name:
        if before:
            _log.warning("signing_key.changed before=%s now=%s file=%s", before[-1], name, path)
        service.notes.keep(NOTE, [*(each for each in before if each != name), name])
    return key
