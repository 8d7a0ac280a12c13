"""Changes to bytes that know what bytes are made of: numbers, lengths and fields of bits."""

from __future__ import annotations

from random import Random

import numpy as np

_NUMBERS = [
    np.array(number, dtype).tobytes()
    for dtype in ("<f4", "<f8")
    for number in (np.nan, np.inf, -np.inf, -1.0, -0.0, 0.0, np.finfo(dtype).max, np.finfo(dtype).tiny / 8)
]
_NUMBERS += [b"\x01\x00\x80\x7f", b"\x01\x00\x00\x00\x00\x00\xf0\x7f"]  # signalling NaNs
_NUMBERS += [
    np.array(number, dtype).tobytes() for dtype in ("<u4", ">u4", "<u8") for number in (1, 2**31 - 1, 2**31, 2**32 - 1)
]


def mutated(message: bytes, rng: Random) -> bytes:
    """`message` with one to four changes."""
    body = bytearray(message)
    for _ in range(rng.randint(1, 4)):
        rng.choice(_CHANGES)(body, rng)
    return bytes(body)


def _flip(body: bytearray, rng: Random) -> None:
    if body:
        body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)


def _byte(body: bytearray, rng: Random) -> None:
    if body:
        body[rng.randrange(len(body))] = rng.randrange(256)


def _number(body: bytearray, rng: Random) -> None:
    number = rng.choice(_NUMBERS)
    at = rng.randrange(len(body) + 1)
    at -= at % rng.choice([1, 4, 8])
    body[at : at + len(number)] = number[: len(body) - at]


def _constant(body: bytearray, rng: Random) -> None:
    start, stop = sorted(rng.randrange(len(body) + 1) for _ in range(2))
    body[start:stop] = bytes([rng.choice([0, 255])]) * (stop - start)


def _swap(body: bytearray, rng: Random) -> None:
    one, other = (rng.randrange(len(body) // 4 + 1) * 4 for _ in range(2))
    if max(one, other) + 4 <= len(body):
        body[one : one + 4], body[other : other + 4] = body[other : other + 4], body[one : one + 4]


def _cut(body: bytearray, rng: Random) -> None:
    del body[rng.choice([len(body) - 1, rng.randrange(len(body) + 1)]) :]


def _extend(body: bytearray, rng: Random) -> None:
    body += rng.choice([b"\0", b"\xff", rng.randbytes(rng.randint(1, 9)), bytes(body)])


_CHANGES = [_flip, _byte, _number, _constant, _swap, _cut, _extend]
