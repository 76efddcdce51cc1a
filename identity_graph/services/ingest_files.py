"""Rows out of files: JSON Lines, CSV and Parquet, one after the other, however large or broken the file is.

A file that cannot be read at all raises :class:`UnreadableFile`. A row that cannot be read comes out as a
:class:`BadRow` in its place, and the rows around it are kept. Memory stays bounded: a line longer than
:data:`MAX_LINE` is passed over unread.
"""

import codecs
import csv
import io
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import orjson

#: Longest line in bytes. An observation with the most identifiers and traits that are taken stays below 64 KB.
MAX_LINE = 1 << 20
#: Longest cell of CSV in characters: what an unclosed quote may swallow before it is given up.
MAX_CELL = 1 << 17
#: Rows of Parquet decoded at once.
PARQUET_ROWS = 1000
#: Bytes read ahead of each column of Parquet. Without it a whole group of rows is: a file of 290 MB, one group of
#: a million rows, took 360 MB, and takes 100, as a small one does. A page is read at once; writers make them of 1 MB.
PARQUET_AHEAD = 1 << 18
_CHUNK = 1 << 16
_DELIMITERS = ",;\t|"


class UnreadableFile(Exception):
    """A sentence that says what is wrong with the file and what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it begins (lines count from 1; in Parquet its number) and its cells that are not empty."""

    number: int
    cells: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be read, why, and its beginning."""

    number: int
    reason: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file was read: lines (rows in Parquet), a digest of all up to there, and bytes for the progress."""

    lines: int = 0
    digest: str = ""
    bytes: int = 0


@dataclass(slots=True)
class Notices:
    """What a user should know of a file that was read nevertheless: sentences, and how often each applied."""

    counts: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, sentence: str) -> None:
        self.counts[sentence] = self.counts.get(sentence, 0) + 1


class Reader(Protocol):
    """An open file, read once from beginning to end."""

    notices: Notices
    columns: list[str] | None
    """All columns there are, or None where each row has its own."""

    def skip(self, to: Place) -> bool:
        """Go to where an earlier run came; or, if the file is another up to there, to its beginning: False."""
        ...

    def rows(self) -> Iterator[Row | BadRow]: ...

    def place(self) -> Place:
        """Where the last row ended."""
        ...


@contextmanager
def open_rows(path: Path) -> Generator[Reader]:
    """Open a file in whichever of the three formats it has. Raises :class:`UnreadableFile`."""
    with _open(path) as file:
        head = file.read(_CHUNK)
        match _format(path, head):
            case "parquet":
                yield _ParquetReader(path, file)
            case "json":
                yield _JsonReader(_lines(file, head))
            case _:
                yield _CsvReader(path, _lines(file, head))


def _open(path: Path) -> BinaryIO:
    try:
        if path.is_dir():
            raise UnreadableFile(f"{path} is a folder; name the files in it")
        return path.open("rb", buffering=1 << 18)
    except FileNotFoundError:
        raise UnreadableFile(f"{path} does not exist") from None
    except OSError as e:
        raise UnreadableFile(f"{path} cannot be read ({e.strerror})") from None


def _format(path: Path, head: bytes) -> str:
    """By what the file holds first, by its name second. Raises :class:`UnreadableFile` for none of the three."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise UnreadableFile(f"{path} is an archive or a spreadsheet; export it as CSV")
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
        raise UnreadableFile(f"{path} is compressed; decompress it first")
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq") and head:
        raise UnreadableFile(f"{path} is no Parquet file: it does not begin as one")
    if b"\r" in head and b"\n" not in head:
        raise UnreadableFile(f"{path} ends its lines with carriage returns alone; convert them to line feeds")
    encoding, mark = _encoding(head)
    begin = head[len(mark) :].decode(encoding, "replace").lstrip()[:1]
    if begin == "[" and suffix != ".csv":
        raise UnreadableFile(f"{path} is one JSON array; write one object a line, such as with jq -c '.[]'")
    if suffix in (".csv", ".tsv"):
        return "csv"
    return "json" if begin == "{" or suffix in (".json", ".jsonl", ".ndjson") else "csv"


# ------------------------------------------------------------------------------------------------ lines


class LineTooLong(Exception):
    """The next line is longer than :data:`MAX_LINE`; pass over it."""

    reason = f"the line is longer than {MAX_LINE >> 20} MB, which no record is"


class Lines:
    """The lines of a file as UTF-8 bytes with their ends. A line counts once it is settled.

    Iterating raises :class:`LineTooLong` before a line that is too long; after ``pass_over`` it goes on behind it.
    """

    def __init__(self, restart: Callable[[], BinaryIO], notices: Notices) -> None:
        self.notices = notices
        self._restart = restart
        self.restart()

    def restart(self) -> None:
        """Go to the beginning."""
        self._file = self._restart()
        self._ahead = deque[bytes]()
        self._long = b""
        self._hash, self._lines, self._bytes = blake2b(digest_size=16), 0, 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._ahead:
            return self._ahead.popleft()
        if self._long:
            raise LineTooLong
        line = self._file.readline(MAX_LINE + 1)
        if not line:
            raise StopIteration
        if len(line) > MAX_LINE:
            self._long = line
            raise LineTooLong
        return line

    def pass_over(self) -> None:
        """Settle the line that is too long, bit by bit."""
        part = self._long
        while part:
            self._hash.update(part)
            self._bytes += len(part)
            part = b"" if part.endswith(b"\n") else self._file.readline(MAX_LINE)
        self._long = b""
        self._lines += 1

    def settle(self, *lines: bytes) -> None:
        """These lines are done with."""
        for line in lines:
            self._hash.update(line)
            self._bytes += len(line)
        self._lines += len(lines)

    def back(self, lines: list[bytes]) -> None:
        """These lines, not settled, come once more."""
        self._ahead.extendleft(reversed(lines))

    def text(self, line: bytes) -> str:
        """The line's text. What is not UTF-8 is read as Windows-1252, the commonest other encoding."""
        try:
            return line.decode()
        except UnicodeDecodeError:
            self.notices.add("lines were not UTF-8 and were read as Windows-1252")
            return line.decode("cp1252", "replace")

    @property
    def number(self) -> int:
        """Of the line after the settled ones, counted from 1."""
        return self._lines + 1

    def place(self) -> Place:
        return Place(self._lines, self._hash.hexdigest(), self._bytes)

    def skip(self, to: Place) -> bool:
        """Settle lines up to a place; if they are not what it says, go to the beginning and return False."""
        while self._lines < to.lines:
            try:
                self.settle(next(self))
            except LineTooLong:
                self.pass_over()
            except StopIteration:
                break
        if self._lines == to.lines and self._hash.hexdigest() == to.digest:
            return True
        self.restart()
        return False


def _lines(file: BinaryIO, head: bytes) -> Lines:
    """The lines of a file in the encoding that its beginning shows, from after its byte order mark."""
    encoding, mark = _encoding(head)
    notices = Notices()

    def restart() -> BinaryIO:
        file.seek(len(mark))
        return file if encoding == "utf-8" else io.BufferedReader(_Transcoder(file, encoding), _CHUNK)

    if encoding != "utf-8":
        notices.add(f"read as {encoding.upper()}")
    return Lines(restart, notices)


def _encoding(head: bytes) -> tuple[str, bytes]:
    """The encoding that the first bytes show, and the byte order mark that says so."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if head.startswith(mark):
            return encoding, mark
    # Without a mark: Latin letters have a zero in one of the two bytes of UTF-16, and never in the other.
    pairs = len(head) // 2
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd * 2 > pairs and even == 0:
        return "utf-16-le", b""
    if even * 2 > pairs and odd == 0:
        return "utf-16-be", b""
    return "utf-8", b""


class _Transcoder(io.RawIOBase):
    """Text in another encoding as UTF-8. What is broken in it becomes U+FFFD."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._left = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._left and not self._ended:
            part = self._file.read(_CHUNK)
            self._ended = not part
            self._left = self._decoder.decode(part, self._ended).encode()
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


# ------------------------------------------------------------------------------------------------ JSON Lines


class _JsonReader:
    def __init__(self, lines: Lines) -> None:
        self._lines, self.notices = lines, lines.notices
        self.columns: list[str] | None = None
        self.skip, self.place = lines.skip, lines.place

    def rows(self) -> Iterator[Row | BadRow]:
        lines = self._lines
        while True:
            number = lines.number
            try:
                line = next(lines)
            except LineTooLong as e:
                lines.pass_over()
                yield BadRow(number, e.reason)
                continue
            except StopIteration:
                return
            lines.settle(line)
            if not line.isspace():
                yield self._row(number, line)

    def _row(self, number: int, line: bytes) -> Row | BadRow:
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            text = self._lines.text(line)
            try:
                value = orjson.loads(text)
            except orjson.JSONDecodeError:
                return BadRow(number, f"not JSON: {error.msg} (character {error.colno})", text[:1000].strip())
        if not isinstance(value, dict):
            return BadRow(number, "a row must be a JSON object", self._lines.text(line)[:1000].strip())
        return Row(number, cast(dict[str, Any], value))


# ------------------------------------------------------------------------------------------------ CSV


class _CsvReader:
    """CSV with a header line, separated by comma, semicolon, tab or bar.

    A record may go over several lines within quotes. A quote that nobody closes would swallow what follows, so then
    only its own line is given up, and the others are read again.
    """

    def __init__(self, path: Path, lines: Lines) -> None:
        self._path, self._lines, self.notices = path, lines, lines.notices
        self._taken: list[bytes] = []
        csv.field_size_limit(MAX_CELL)
        self.columns: list[str] | None = self._read_header()

    def place(self) -> Place:
        return self._lines.place()

    def skip(self, to: Place) -> bool:
        if self._lines.skip(to):
            return True
        self._read_header()
        return False

    def rows(self) -> Iterator[Row | BadRow]:
        columns, lines = self.columns or [], self._lines
        records = csv.reader(self, strict=True, **self._dialect)
        while columns:
            number = lines.number
            self._taken = []
            try:
                cells = next(records)
                if len(self._taken) > 1 and len(cells) != len(columns):
                    cells = self._alone()
                else:
                    lines.settle(*self._taken)
            except csv.Error as e:
                cells = self._alone()
                if len(cells) != len(columns):
                    yield BadRow(number, f"not CSV: {e}", self._beginning())
                    continue
            except LineTooLong as e:
                if not self._taken:
                    lines.pass_over()
                    yield BadRow(number, e.reason)
                    continue
                # A quote that nothing closed reached it; what lies between are rows.
                cells = self._alone()
            except StopIteration:
                return
            if not any(cell and not cell.isspace() for cell in cells):
                continue
            if len(cells) > len(columns) and not any(cells[len(columns) :]):
                cells = cells[: len(columns)]
            if len(cells) == len(columns):
                yield Row(number, {name: c for name, c in zip(columns, cells, strict=True) if c and not c.isspace()})
            else:
                reason = f"{len(cells)} cells, but the header names {len(columns)} columns"
                yield BadRow(number, reason, self._beginning())

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next line for the CSV parser, which asks for as many as its record has."""
        line = next(self._lines)
        self._taken.append(line)
        return self._lines.text(line)

    def _beginning(self) -> str:
        return self._lines.text(self._taken[0])[:1000].strip()

    def _alone(self) -> list[str]:
        """The cells of the first line taken, whatever its quotes; the others come once more."""
        first, *others = self._taken
        self._lines.back(others)
        self._lines.settle(first)
        text = self._lines.text(first).rstrip("\r\n")
        try:
            return next(csv.reader([text], **self._dialect), [])
        except csv.Error:
            return []

    def _read_header(self) -> list[str]:
        lines = self._lines
        self._dialect: dict[str, Any] = {"delimiter": ",", "skipinitialspace": True}
        self._taken = []
        try:
            first = next(line for line in lines if lines.settle(line) is None and not line.isspace())
        except StopIteration:
            self.notices.add("the file is empty")
            return []
        except LineTooLong:
            raise UnreadableFile(f"{self._path} is no CSV: {LineTooLong.reason}") from None
        text = lines.text(first)
        self._dialect["delimiter"] = max(_DELIMITERS, key=text.count)
        try:
            cells = [cell.strip() for cell in next(csv.reader([text.rstrip("\r\n")], **self._dialect))]
        except csv.Error as e:
            raise UnreadableFile(f"{self._path} is no CSV: its first line cannot be read ({e})") from None
        if any("@" in cell or cell.isdigit() for cell in cells):
            raise UnreadableFile(f"{self._path}: the first line must name the columns, but it looks like a row")
        columns: list[str] = []
        for at, cell in enumerate(cells, 1):
            name = cell or f"column_{at}"
            while name in columns:
                name += "_2"
            columns.append(name)
        return columns


# ------------------------------------------------------------------------------------------------ Parquet


class _ParquetReader:
    def __init__(self, path: Path, file: BinaryIO) -> None:
        # Imported here, as it takes longer to load than a small file to read.
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile

        self._errors = (ArrowException, OSError)
        self.notices = Notices()
        file.seek(0)
        digest = blake2b(digest_size=16)
        while part := file.read(MAX_LINE):
            digest.update(part)
        self._digest, self._bytes = digest.hexdigest(), file.tell()
        file.seek(0)
        try:
            self._file = ParquetFile(file, buffer_size=PARQUET_AHEAD, pre_buffer=False)
        except self._errors:
            raise UnreadableFile(
                f"{path} is cut off or damaged: its end does not say what it holds; copy it again"
            ) from None
        self._total = self._file.metadata.num_rows
        self.columns: list[str] | None = self._file.schema_arrow.names
        self._done = 0

    def place(self) -> Place:
        return Place(self._done, self._digest, self._bytes * self._done // max(1, self._total))

    def skip(self, to: Place) -> bool:
        if to.digest == self._digest:
            self._done = to.lines
        return to.digest == self._digest

    def rows(self) -> Iterator[Row | BadRow]:
        end = 0
        for group in range(self._file.num_row_groups):
            begin, end = end, end + self._file.metadata.row_group(group).num_rows
            if end > self._done:
                yield from self._group(group, begin, end)

    def _group(self, group: int, begin: int, end: int) -> Iterator[Row | BadRow]:
        try:
            for batch in self._file.iter_batches(PARQUET_ROWS, row_groups=[group]):
                done, begin = begin, begin + batch.num_rows
                for cells in batch.slice(max(0, self._done - done)).to_pylist() if begin > self._done else ():
                    self._done += 1
                    yield Row(self._done, {name: cell for name, cell in cells.items() if cell is not None})
        except self._errors as e:
            begin, self._done = self._done + 1, end
            reason = f"the rows up to {end} cannot be decoded ({type(e).__name__}); copy the file again"
            yield BadRow(begin, reason)
