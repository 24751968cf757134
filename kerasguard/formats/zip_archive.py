"""Read zip archives of strangers: no second reading, no byte outside the archive's own account.

Written by hand, because `zipfile` finds an archive anywhere in a file, lets the last of two
members of one name win, and stops checking CRCs after a seek.
"""

from __future__ import annotations

import stat
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from kerasguard.errors import CheckpointError, CorruptCheckpointError
from kerasguard.formats.joined_crc32 import joined_crc32
from kerasguard.storage.budget import excess
from kerasguard.storage.opened_file import OpenedFile

__all__ = ["START", "Member", "ZipArchive", "looks_like_zip"]

START = rb"PK\x03\x04"
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
# Of the number of members, the directory's size and its offset in the classic end record.
_HIGHEST = (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _UTF8 = 1 << 0, 1 << 11
# Three members for each of 40,000 layers' assets; more are refused before they are listed.
_MAX_MEMBERS = 1 << 17
# Members of this size are worth a second thread.
_SHARED = 8 << 20
# Deflate cannot shrink further than this, so what claims to is lying.
MAX_RATIO = 1032

_COPY_AGAIN = "the file is truncated or damaged: copy or download it again"


@dataclass(frozen=True, slots=True)
class Member:
    """One member as the archive's directory tells of it.

    Args:
        name: its path inside the archive.
        header: where its local header begins in the file.
        stored: whether its bytes lie in the file as they are, uncompressed.
        crc32: of the uncompressed bytes.
        offset: where its (perhaps compressed) bytes begin in the file.
        packed: their number.
        size: number of uncompressed bytes.
    """

    name: str
    header: int
    stored: bool
    crc32: int
    offset: int
    packed: int
    size: int


def looks_like_zip(path: Path) -> bool:
    """Whether the file begins or ends as a zip archive does; False where it cannot be read."""
    try:
        with OpenedFile(path) as file:
            if file.size < _END.size:
                return file.pread(0, min(4, file.size)) == b"PK\3\4"
            tail = file.pread(file.size - _END.size, 4)
            return file.pread(0, 4) == b"PK\3\4" or tail == b"PK\5\6"
    except CheckpointError:
        return False


class ZipArchive:
    """The members of a zip archive, checked against each other.

    Args:
        file: the archive.

    Raises:
        CorruptCheckpointError: truncated; bytes before or after the archive; two members of one
            name; overlapping, encrypted or otherwise compressed members; symbolic links.
    """

    def __init__(self, file: OpenedFile) -> None:
        self._file = file
        count, start, end = self._directory()
        self.members = self._central(count, start, end)
        last = 0
        for member in sorted(self.members.values(), key=lambda m: m.offset):
            if member.header < last:
                raise self._broken(f"member {member.name!r} overlaps another one")
            if last == 0 < member.header:
                raise self._broken("bytes that belong to no member precede the first one")
            last = member.offset + member.packed
        if last > start:
            raise self._broken("the last member overlaps the directory")

    def read(self, name: str, limit: int) -> bytes:
        """The bytes of a member, their CRC-32 checked.

        Args:
            name: of the member.
            limit: refuse more than this many bytes, if the caller raises no limits.
        """
        member = self.members[name]
        if over := excess(member.size, limit):
            raise self._broken(f"member {name!r} has {member.size} bytes{over}")
        if member.stored:
            data = self._file.pread(member.offset, member.size)
        else:
            data = self._inflate(member)
        if zlib.crc32(data) != member.crc32:
            raise self._broken(f"member {name!r} does not match the CRC-32 in the archive")
        return data

    def crc32(self, name: str) -> int:
        """The CRC-32 that a member's bytes have, read from the first to the last."""
        member = self.members[name]
        if not member.stored:
            return zlib.crc32(self._inflate(member))
        if member.size < _SHARED:
            return self._crc32(member.offset, member.size)
        half = member.size // 2
        places = (member.offset, half), (member.offset + half, member.size - half)
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda place: self._crc32(*place), places)
        return joined_crc32(first, second, member.size - half)

    def _crc32(self, offset: int, length: int) -> int:
        value = 0
        for piece in self._file.pieces(offset, length):
            value = zlib.crc32(piece, value)
        return value

    def _inflate(self, member: Member) -> bytes:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = unpacker.decompress(
                self._file.pread(member.offset, member.packed), member.size + 1
            )
        except zlib.error as error:
            raise self._broken(f"member {member.name!r} cannot be decompressed: {error}") from None
        if len(data) != member.size or not unpacker.eof or unpacker.unused_data:
            raise self._broken(f"member {member.name!r} is not {member.size} bytes long")
        return data

    def _directory(self) -> tuple[int, int, int]:
        """Number of members, first byte of the central directory and first byte after it."""
        file, at = self._file, self._file.size - _END.size
        if at < 0:
            raise self._broken(f"{file.size} bytes are too few for a zip archive")
        mark, disk, start_disk, here, count, size, start, comment = _END.unpack(
            file.pread(at, _END.size)
        )
        if mark != b"PK\5\6" or comment:
            tail = file.pread(max(0, file.size - (1 << 16) - _END.size), min(file.size, 1 << 16))
            if b"PK\5\6" in tail:
                raise self._broken(
                    "bytes follow the end of the zip archive; something was appended to it"
                )
            raise self._broken("the end of the zip archive is missing")
        if disk or start_disk or here != count:
            raise self._broken("the zip archive is split over several files")
        told = (count, size, start)
        if start + size != at:  # where a zip64 end record stands between, it has the true numbers
            at, count, size, start = self._directory64(at, told)
        if start + size != at:
            raise self._broken("bytes that belong to no member adjoin the archive's directory")
        if over := excess(count, _MAX_MEMBERS):
            raise self._broken(f"it has {count} members{over}")
        return count, start, at

    def _directory64(self, end: int, told: tuple[int, int, int]) -> tuple[int, int, int, int]:
        """The same as the zip64 end record has it, and where that record begins.

        CPython writes one as soon as an offset passes 2^31 - 1, and the true numbers into the
        classic record too. A number there that is not the highest of its width must be the same.
        """
        file, after = self._file, end - _LOCATOR64.size
        locator = file.pread(after, _LOCATOR64.size) if after > 0 else b""
        if not locator.startswith(b"PK\6\7") and 0xFFFFFFFF not in told and told[0] != 0xFFFF:
            raise self._broken("bytes that belong to no member adjoin the archive's directory")
        mark, disk, at, disks = _LOCATOR64.unpack(locator or bytes(_LOCATOR64.size))
        if mark != b"PK\6\7" or disk or disks != 1 or at + _END64.size > after:
            raise self._broken("the zip64 end record is misplaced")
        record = _END64.unpack(file.pread(at, _END64.size))
        mark, length, disks, count = record[0], record[1], record[4:6], record[7]
        # The record's own length does not count its mark and itself.
        if mark != b"PK\6\6" or any(disks) or record[6] != count or at + 12 + length != after:
            raise self._broken("the zip64 end record is damaged")
        for classic, wide, highest in zip(told, record[7:], _HIGHEST, strict=True):
            if classic not in (wide, highest):
                raise self._broken("the two end records of the archive disagree")
        return at, count, record[8], record[9]

    def _central(self, count: int, start: int, end: int) -> dict[str, Member]:
        data = self._file.pread(start, end - start)
        members: dict[str, Member] = {}
        at = 0
        for _ in range(count):
            if at + _CENTRAL.size > len(data) or data[at : at + 4] != b"PK\1\2":
                raise self._broken("the archive's directory is damaged")
            fields = _CENTRAL.unpack_from(data, at)
            lengths = fields[10:13]
            body = data[at + _CENTRAL.size : at + _CENTRAL.size + sum(lengths)]
            if len(body) != sum(lengths):
                raise self._broken("the archive's directory is damaged")
            member = self._member(fields, body)
            if member.name in members:
                raise self._broken(f"two members are called {member.name!r}")
            members[member.name] = member
            at += _CENTRAL.size + len(body)
        if at != len(data):
            raise self._broken("the archive's directory is longer than its members need")
        return members

    def _member(self, fields: tuple[int, ...], body: bytes) -> Member:
        flags, method, crc32, packed, size = fields[3], fields[4], *fields[7:10]
        raw, extra = body[: fields[10]], body[fields[10] : fields[10] + fields[11]]
        name = self._decode(raw, flags)
        wide = _zip64(extra, [size, packed, fields[16]])
        if wide is None:
            raise self._broken(f"member {name!r} has a damaged zip64 field")
        size, packed, header = wide
        if flags & _ENCRYPTED:
            raise self._broken(f"member {name!r} is encrypted; save it without a password")
        if method not in (_STORED, _DEFLATED):
            raise self._broken(f"member {name!r} has compression method {method}; store it")
        if stat.S_ISLNK(fields[15] >> 16):
            raise self._broken(f"member {name!r} is a symbolic link")
        if size > MAX_RATIO * packed or (method == _STORED and size != packed):
            raise self._broken(f"member {name!r}: {packed} bytes cannot hold the {size} claimed")
        local = _LOCAL.unpack(self._file.pread(header, _LOCAL.size))
        offset = header + _LOCAL.size + local[9] + local[10]
        if (
            local[0] != b"PK\3\4"
            or local[3] != method
            or local[2] & _ENCRYPTED
            or self._file.pread(header + _LOCAL.size, local[9]) != raw
            or offset + packed > self._file.size
        ):
            raise self._broken(f"member {name!r} is not where the archive's directory says")
        return Member(name, header, method == _STORED, crc32, offset, packed, size)

    def _decode(self, raw: bytes, flags: int) -> str:
        try:
            return raw.decode("utf-8" if flags & _UTF8 else "cp437")
        except UnicodeDecodeError:
            raise self._broken(f"member name {raw!r:.80} is not UTF-8") from None

    def _broken(self, what: str) -> CorruptCheckpointError:
        return CorruptCheckpointError(self._file.path, f"{what}; {_COPY_AGAIN}")


def _zip64(extra: bytes, values: list[int]) -> list[int] | None:
    """Size, packed size and header offset with the 64-bit ones filled in; None if they lack."""
    if 0xFFFFFFFF not in values:
        return values
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        body = extra[at + 4 : at + 4 + length]
        if kind == 1:
            wide = iter(struct.unpack(f"<{len(body) // 8}Q", body[: len(body) // 8 * 8]))
            filled = [next(wide, -1) if v == 0xFFFFFFFF else v for v in values]
            return None if -1 in filled else filled
        at += 4 + length
    return None
