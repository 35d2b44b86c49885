"""Signed heads of the log: who keeps one can tell later whether the log was rewritten."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from api.wire.fields import iso
from domain.errors import ChainBroken, ConfigurationError
from domain.log.chain import START, Head
from infrastructure.json_text import read_json
from infrastructure.keys.signing_key import PublicKey, SigningKey


def head_text(position: int, hash_: str, time: str) -> str:
    """The signed text of a head: four lines of UTF-8, each with its line feed."""
    return f"ticketbook head\nposition {position}\nhash {hash_}\ntime {time}\n"


def signed_head(head: Head, time: datetime, key: SigningKey) -> dict[str, Any]:
    """The head as JSON; `key` and `signature` are in base64. Raises `ChainBroken` when there is no
    event at that position, or none with a hash."""
    if head.position and head.hash == START:
        raise ChainBroken(
            head.position, "the log's last event is gone or damaged. Run audit verify."
        )
    text = head_text(head.position, head.hash.hex(), iso(time))
    return {
        "position": head.position,
        "hash": head.hash.hex(),
        "time": iso(time),
        "key": key.public.name,
        "signature": key.sign(text),
    }


def read_head(path: Path, key: PublicKey) -> Head:
    """A head that was signed earlier. Raises `ConfigurationError` when the file is none, or was
    not signed with this key."""
    try:
        content = read_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigurationError(f"{path} holds no head: it {error}.") from None
    if not isinstance(content, dict) or not _is_signed(content, key):
        raise ConfigurationError(
            f"{path} holds no head that was signed with this key{_other(content, key)}. "
            "Name a file with what ticketbook audit head --json printed, and the public key of "
            "that time with --key."
        )
    return Head(content["position"], bytes.fromhex(content["hash"]))


def _other(content: Any, key: PublicKey) -> str:
    """Which key the head names, where that is another one."""
    named = content.get("key", key.name) if isinstance(content, dict) else key.name
    return f": it names {named}, this is {key.name}" if named != key.name else ""


def _is_signed(content: Mapping[str, Any], key: PublicKey) -> bool:
    position, hash_, signature = (content.get(name) for name in ("position", "hash", "signature"))
    if not isinstance(position, int) or not isinstance(signature, str):
        return False
    return key.signed(head_text(position, str(hash_), str(content.get("time"))), signature)
