"""The Ed25519 key (RFC 8032) for signing heads of the log and exports."""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from domain.errors import ConfigurationError
from infrastructure.configuration.addresses import SQLiteStore
from infrastructure.configuration.settings import SIGNING_KEY, Settings
from infrastructure.keys.private_file import read_or_make, read_private

_MAKE_ONE = "openssl genpkey -algorithm ed25519 -out"


class PublicKey:
    """The key that checks a signature."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key

    @property
    def pem(self) -> str:
        """The key in PEM, as a file for auditors (RFC 8410)."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def name(self) -> str:
        """Its 32 bytes in base64."""
        return b64encode(self._key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()

    def signed(self, text: str, signature: str) -> bool:
        """True if `signature`, in base64, was made with this key over the text in UTF-8."""
        try:
            self._key.verify(b64decode(signature, validate=True), text.encode())
        except (InvalidSignature, NotBase64, ValueError):
            return False
        return b64encode(b64decode(signature)).decode() == signature


class SigningKey:
    """The key that the service signs with. It is kept out of `repr`."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    def sign(self, text: str) -> str:
        """The signature over the text in UTF-8, in base64."""
        return b64encode(self._key.sign(text.encode())).decode()


def signing_key_path(settings: Settings) -> Path | None:
    """The file of the key; None where nothing says which it is."""
    if settings.signing_key:
        return settings.signing_key
    if isinstance(settings.store, SQLiteStore):
        path = settings.store.path
        return path.with_name(f"{path.name}.signing.pem")
    return None


def signing_key_of(settings: Settings) -> SigningKey:
    """The key as configured, or the one beside the SQLite file, which is made at the first call.

    A MongoDB store is shared by many processes on many machines, so there a key must be
    configured: raises `ConfigurationError`.
    """
    if settings.signing_key:
        return _read(settings.signing_key)
    if isinstance(settings.store, SQLiteStore):
        path = settings.store.path
        return _read_or_make(path.with_name(f"{path.name}.signing.pem"))
    raise ConfigurationError(
        f"Nothing says what to sign with. Set {SIGNING_KEY.name} to the path of an Ed25519 key, "
        f"the same on every machine; make one with: {_MAKE_ONE} signing.pem"
    )


def read_public_key(path: Path) -> PublicKey:
    """The public key in a PEM file, as `ticketbook audit key` prints it."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"The public key {path} cannot be read: {error.strerror}. "
            "Name the file with what ticketbook audit key printed."
        ) from error
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigurationError(
            f"{path} does not hold an Ed25519 public key in PEM. "
            "Name the file with what ticketbook audit key printed."
        )
    return PublicKey(key)


def _read(path: Path) -> SigningKey:
    try:
        return _parse(read_private(path).encode(), path)
    except OSError as error:
        raise ConfigurationError(
            f"The signing key {path} cannot be read: {error.strerror}. Correct "
            f"{SIGNING_KEY.name}, or make a key with: {_MAKE_ONE} {path}"
        ) from error


def _read_or_make(path: Path) -> SigningKey:
    try:
        return _parse(read_or_make(path, _new).encode(), path)
    except OSError as error:
        raise ConfigurationError(
            f"The signing key {path} cannot be used: {error.strerror}. "
            f"Make its folder writable, or set {SIGNING_KEY.name}."
        ) from error


def _new() -> str:
    made = Ed25519PrivateKey.generate()
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _parse(pem: bytes, path: Path) -> SigningKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(
            f"{path} does not hold an Ed25519 private key in PEM without a password. "
            f"Make one with: {_MAKE_ONE} {path}"
        )
    return SigningKey(key)
