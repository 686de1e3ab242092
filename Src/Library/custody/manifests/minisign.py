"""Keys and signatures as minisign writes them (https://jedisct1.github.io/minisign/): Ed25519 over BLAKE2b.

Anybody who has that program checks them without us; the secret key is one that it can use, too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass, field

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

_UNTRUSTED, _TRUSTED = b"untrusted comment: ", b"trusted comment: "
_PURE, _PREHASHED = b"Ed", b"ED"  # the algorithm of a key, and that of a signature over a BLAKE2b-512
_NOT_ENCRYPTED, _CHECKSUM = b"\0\0", b"B2"
_KDF = bytes(48)  # salt and limits, of a key that no password protects


class NotMinisign(ValueError):
    """No key or signature in minisign's format, or a signature that is not right. The message says which."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What signatures are checked with."""

    key_id: bytes
    raw: bytes

    @property
    def text(self) -> str:
        """As `minisign -P` takes it."""
        return base64.b64encode(_PURE + self.key_id + self.raw).decode()

    def file(self) -> bytes:
        name = self.key_id[::-1].hex().upper()
        return b"%sPhoto Factory, minisign public key %s\n%s\n" % (_UNTRUSTED, name.encode(), self.text.encode())

    @classmethod
    def read(cls, content: bytes) -> PublicKey:
        """Raises NotMinisign."""
        (data,) = _encoded(content, (1,))
        if len(data) != 42 or data[:2] != _PURE:
            raise NotMinisign("it is no public key of minisign")
        return cls(data[2:10], data[10:])

    def trusted_comment(self, signature: bytes, content: bytes) -> str:
        """What a signature of `content` says of it. Raises NotMinisign where it is none of this key."""
        data, whole = _encoded(signature, (1, 3))
        comment = signature.split(b"\n")[2]
        if len(data) != 74 or data[:2] != _PREHASHED or data[2:10] != self.key_id:
            raise NotMinisign("it is signed with another key")
        if not comment.startswith(_TRUSTED):
            raise NotMinisign("it is no signature of minisign")
        comment = comment.removeprefix(_TRUSTED)
        key = VerifyKey(self.raw)
        try:
            key.verify(_digest(content), data[10:])
            key.verify(data[10:] + comment, whole)
        except (BadSignatureError, ValueError) as error:  # that of another length, too
            raise NotMinisign("the signature is not of these bytes") from error
        return comment.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class SecretKey:
    """What signs."""

    key_id: bytes
    _seed: bytes = field(repr=False)

    @classmethod
    def new(cls) -> SecretKey:
        return cls(os.urandom(8), bytes(SigningKey.generate()))

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.key_id, bytes(SigningKey(self._seed).verify_key))

    def file(self) -> bytes:
        """As minisign has a key without a password: to be kept from others."""
        secret = self._seed + self.public.raw
        checksum = hashlib.blake2b(_PURE + self.key_id + secret, digest_size=32).digest()
        data = _PURE + _NOT_ENCRYPTED + _CHECKSUM + _KDF + self.key_id + secret + checksum
        return b"%sPhoto Factory, minisign secret key: for its owner only\n%s\n" % (_UNTRUSTED, base64.b64encode(data))

    @classmethod
    def read(cls, content: bytes) -> SecretKey:
        """Raises NotMinisign. No message has anything of the key."""
        (data,) = _encoded(content, (1,))
        if len(data) != 158 or data[:2] != _PURE or data[4:6] != _CHECKSUM:
            raise NotMinisign("it is no secret key of minisign")
        if data[2:4] != _NOT_ENCRYPTED:
            raise NotMinisign("a password protects it, which the factory does not know")
        key_id, secret, checksum = data[54:62], data[62:126], data[126:]
        if hashlib.blake2b(_PURE + key_id + secret, digest_size=32).digest() != checksum:
            raise NotMinisign("it is damaged")
        key = cls(key_id, secret[:32])
        if key.public.raw != secret[32:]:
            raise NotMinisign("it is damaged")
        return key

    def signature(self, content: bytes, trusted_comment: str) -> bytes:
        """The signature file of `content`. `trusted_comment`: one line, which is signed too."""
        key = SigningKey(self._seed)
        signed = key.sign(_digest(content)).signature
        comment = trusted_comment.encode()
        lines = (
            _UNTRUSTED + b"signature by Photo Factory",
            base64.b64encode(_PREHASHED + self.key_id + signed),
            _TRUSTED + comment,
            base64.b64encode(key.sign(signed + comment).signature),
        )
        return b"\n".join(lines) + b"\n"


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content).digest()


def _encoded(content: bytes, numbers: tuple[int, ...]) -> list[bytes]:
    """Lines of base64, decoded. Raises NotMinisign."""
    lines = content.split(b"\n")
    try:
        return [base64.b64decode(lines[number], validate=True) for number in numbers]
    except (IndexError, binascii.Error) as error:
        raise NotMinisign("it is not in minisign's format") from error
