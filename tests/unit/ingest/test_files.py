"""Rows out of files, whatever state the files are in: good rows are kept, and each bad one is told with its line."""

import csv
import io
import json
import tracemalloc
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from identity_graph.services.ingest import Rejections
from identity_graph.services.ingest_files import BadRow, Notices, Place, Row, UnreadableFile, open_rows

#: Rows as (line, cells), and bad rows as (line, "bad").
Read = list[tuple[int, Any]]


def rows_of(path: Path) -> tuple[Read, Notices]:
    with open_rows(path) as reader:
        rows = [(row.number, row.cells if isinstance(row, Row) else "bad") for row in reader.rows()]
        return rows, reader.notices


def put(tmp_path: Path, name: str, content: bytes | str) -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- JSON Lines


def test_json_lines(tmp_path: Path) -> None:
    lines = ['{"a": 1}', "", '{"a": ', "[1]", "null", '{"a": "\\ud800"}', '{"a": "\x00"}', '{"a": NaN}', '{"b": "é"}']
    rows, notices = rows_of(put(tmp_path, "x.jsonl", "\n".join(lines)))
    assert rows == [(1, {"a": 1}), *((n, "bad") for n in (3, 4, 5, 6, 7, 8)), (9, {"b": "é"})]
    assert notices.counts == {}


def test_a_reason_says_what_is_wrong_and_the_row_is_shown(tmp_path: Path) -> None:
    with open_rows(put(tmp_path, "x.jsonl", '{"a": 1,}\n')) as reader:
        assert list(reader.rows()) == [BadRow(1, "not JSON: trailing comma is not allowed (character 8)", '{"a": 1,}')]


def test_a_line_of_any_length_takes_no_memory(tmp_path: Path) -> None:
    """A gigabyte without a line end, as a hole in the file, which takes no room on the disk either."""
    path = tmp_path / "x.jsonl"
    with path.open("wb") as file:
        file.write(b'{"a": 1}\n')
        file.seek(1 << 30)
        file.write(b'\n{"b": 2}\n')
    tracemalloc.start()
    rows, _ = rows_of(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == [(1, {"a": 1}), (2, "bad"), (3, {"b": 2})]
    assert most < 8 << 20


# --- CSV


def test_ragged_and_badly_quoted_csv(tmp_path: Path) -> None:
    lines = [
        "id;name;mail",
        '1;"Ann ""A"" Bee";a@x.example',
        '2;"two\nlines";b@x.example',
        "3;too few",
        '4;"never closed;c@x.example',
        "5;Eve;d@x.example",
        "",
        '6;Ann "A" Bee;e@x.example',
        "7;one too many;f@x.example;",
        "8;one too many;g@x.example;really",
        "9;last;h@x.example",
    ]
    rows, _ = rows_of(put(tmp_path, "x.csv", "\n".join(lines)))
    assert rows == [
        (2, {"id": "1", "name": 'Ann "A" Bee', "mail": "a@x.example"}),
        (3, {"id": "2", "name": "two\nlines", "mail": "b@x.example"}),
        (5, "bad"),
        (6, "bad"),
        (7, {"id": "5", "name": "Eve", "mail": "d@x.example"}),
        (9, {"id": "6", "name": 'Ann "A" Bee', "mail": "e@x.example"}),
        (10, {"id": "7", "name": "one too many", "mail": "f@x.example"}),
        (11, "bad"),
        (12, {"id": "9", "name": "last", "mail": "h@x.example"}),
    ]


def test_a_quote_that_is_never_closed_costs_one_row(tmp_path: Path) -> None:
    """Read naively, it swallows all rows behind it."""
    good = [f"{n},name{n}" for n in range(5000)]
    path = put(tmp_path, "x.csv", "\n".join(["id,name", *good[:10], '"10,open', *good[10:]]))
    rows, _ = rows_of(path)
    assert [line for line, cells in rows if cells == "bad"] == [12]
    assert [cells["name"] for _, cells in rows if cells != "bad"] == [f"name{n}" for n in range(5000)]
    with path.open(newline="") as file:
        assert len(list(csv.reader(file))) < 20


def test_a_quote_that_is_not_closed_before_a_line_without_end_costs_one_row_too(tmp_path: Path) -> None:
    lines = ["id,name", "1,a", '2,"open', "3,c", "4,d", f"5,{'e' * (2 << 20)}", "6,f"]
    rows, _ = rows_of(put(tmp_path, "x.csv", "\n".join(lines)))
    assert rows == [
        (2, {"id": "1", "name": "a"}),
        (3, {"id": "2", "name": "open"}),
        (4, {"id": "3", "name": "c"}),
        (5, {"id": "4", "name": "d"}),
        (6, "bad"),
        (7, {"id": "6", "name": "f"}),
    ]


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"), max_size=6)


@given(
    st.sampled_from(",;\t|"),
    st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=8),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
def test_any_proper_csv_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, delimiter: str, rows: list[tuple[str, ...]], encoding: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(("one", "two", "three"))
    writer.writerows(rows)
    path = put(tmp_path_factory.mktemp("csv"), "x.csv", text.getvalue().encode(encoding))
    expected = [dict(zip(("one", "two", "three"), row, strict=True)) for row in rows]
    filled = [{name: cell for name, cell in row.items() if cell and not cell.isspace()} for row in expected]
    found = [cells for _, cells in rows_of(path)[0]]
    assert found == [row for row in filled if row]


def test_columns_get_names_of_their_own(tmp_path: Path) -> None:
    rows, _ = rows_of(put(tmp_path, "x.csv", "id,name,name,\n1,a,b,c\n"))
    assert rows == [(2, {"id": "1", "name": "a", "name_2": "b", "column_4": "c"})]


# --- Encodings


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_encodings(tmp_path: Path, name: str, encoding: str) -> None:
    csv_text = "id,name\n1,Zoë\n2,plain text of letters\n"
    json_text = '{"id": "1", "name": "Zoë"}\n{"id": "2", "name": "plain text of letters"}\n'
    text = csv_text if name == "x.csv" else json_text
    rows, notices = rows_of(put(tmp_path, name, text.encode(encoding)))
    assert [cells for _, cells in rows] == [{"id": "1", "name": "Zoë"}, {"id": "2", "name": "plain text of letters"}]
    told = {"utf-8": 0, "utf-8-sig": 0}
    assert len(notices.counts) == told.get(encoding, 1)


def test_a_broken_end_of_utf_16_is_no_more_than_a_broken_letter(tmp_path: Path) -> None:
    rows, _ = rows_of(put(tmp_path, "x.csv", "id,name\n1,Zoë".encode("utf-16") + b"\x00"))
    assert rows == [(2, {"id": "1", "name": "Zoë�"})]


# --- Parquet


def parquet_file(path: Path, rows: int = 2500, group: int = 1000) -> Path:
    table = pa.table({"id": list(range(rows)), "name": [f"name{n}" * 20 if n % 3 else None for n in range(rows)]})
    parquet.write_table(table, path, row_group_size=group, compression="none", use_dictionary=False)
    return path


def test_parquet(tmp_path: Path) -> None:
    rows, _ = rows_of(parquet_file(tmp_path / "x.parquet"))
    assert len(rows) == 2500
    assert rows[:2] == [(1, {"id": 0}), (2, {"id": 1, "name": "name1" * 20})]


def test_a_damaged_part_of_parquet_costs_its_own_rows(tmp_path: Path) -> None:
    path = parquet_file(tmp_path / "x.parquet")
    content = bytearray(path.read_bytes())
    middle = content.index(b"name1501name1501")
    content[middle - 64 : middle] = bytes(64)
    begin = parquet.ParquetFile(io.BytesIO(path.read_bytes())).metadata.row_group(1).column(1).data_page_offset
    content[begin : begin + 40] = b"\xff" * 40
    path.write_bytes(content)
    rows, _ = rows_of(path)
    assert [number for number, cells in rows if cells == "bad"] == [1001]
    assert [cells["id"] for _, cells in rows if cells != "bad"] == [*range(1000), *range(2000, 2500)]


def test_a_large_group_of_rows_is_not_read_as_a_whole(tmp_path: Path) -> None:
    path = parquet_file(tmp_path / "x.parquet", rows=120_000, group=120_000)
    size = path.stat().st_size
    tracemalloc.start()
    try:
        with open_rows(path) as reader:
            assert len(list(islice(reader.rows(), 2000))) == 2000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size / 3


@pytest.mark.parametrize("name", ["x.parquet", "x"])
def test_parquet_that_was_cut_off(tmp_path: Path, name: str) -> None:
    whole = parquet_file(tmp_path / "whole.parquet").read_bytes()
    with pytest.raises(UnreadableFile, match="is cut off or damaged"):
        rows_of(put(tmp_path, name, whole[: len(whole) // 2]))


# --- What is no such file


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.xlsx", b"PK\x03\x04 and so on", "a spreadsheet; export it as CSV"),
        ("x.csv.gz", b"\x1f\x8b and so on", "compressed; decompress it first"),
        ("x.parquet", b"id,name\n1,a\n", "no Parquet file"),
        ("x.json", b'[{"id": 1}]', "one JSON array; write one object a line"),
        ("x.csv", b"1,a@x.example\n2,b@x.example\n", "the first line must name the columns"),
        ("x.csv", b"id,name\r1,a\r", "convert them to line feeds"),
        ("x.csv", b"a" * (2 << 20), "longer than 1 MB"),
        ("x.csv", b"id," + b"a" * (200 << 10) + b"\n1,2\n", "its first line cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_says_what_to_do(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(UnreadableFile, match=message):
        rows_of(put(tmp_path, name, content))


def test_missing_files_folders_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="does not exist"):
        rows_of(tmp_path / "none.csv")
    with pytest.raises(UnreadableFile, match="is a folder"):
        rows_of(tmp_path)
    for name in ("x.csv", "x.jsonl", "x.parquet", "x"):
        rows, _ = rows_of(put(tmp_path, name, b""))
        assert rows == []


# --- Going on


def files_to_resume(tmp_path: Path) -> list[Path]:
    text = "".join(f'{n},"name\n{n}",\n' if n % 3 else f'{n},"open,\n' for n in range(40))
    objects = "".join(json.dumps({"n": n}) + "\n" if n % 3 else "{\n" for n in range(40))
    long = "x" * (1 << 20)
    return [
        put(tmp_path, "x.csv", "id,name,rest\n" + text),
        put(tmp_path, "y.csv", ("id,name,rest\n" + text).encode("utf-16")),
        put(tmp_path, "x.jsonl", objects + long + "\n" + objects),
        parquet_file(tmp_path / "x.parquet"),
    ]


def test_reading_goes_on_at_any_place(tmp_path: Path) -> None:
    for path in files_to_resume(tmp_path):
        places: list[Place] = []
        with open_rows(path) as reader:
            whole: list[Row | BadRow] = []
            for row in reader.rows():
                whole.append(row)
                places.append(reader.place())
        for at in (0, len(whole) // 3, len(whole) // 2, len(whole) - 1):
            with open_rows(path) as reader:
                assert reader.skip(places[at])
                assert list(reader.rows()) == whole[at + 1 :]
                assert reader.place() == places[-1]


def test_another_file_is_read_from_its_beginning(tmp_path: Path) -> None:
    for path in files_to_resume(tmp_path):
        with open_rows(path) as reader:
            whole = list(reader.rows())
            end = reader.place()
        for other in (Place(end.lines, "another", end.bytes), Place(end.lines + 1, end.digest, end.bytes)):
            with open_rows(path) as reader:
                if reader.skip(other):
                    assert path.suffix == ".parquet", "its digest is of all of it, so the rows are right"
                else:
                    assert list(reader.rows()) == whole


def test_a_file_whose_rejected_rows_cannot_be_kept_says_where_they_go(tmp_path: Path) -> None:
    (tmp_path / "x.csv.rejected.jsonl").mkdir()
    kept = Rejections(tmp_path / "x.csv")
    with pytest.raises(UnreadableFile, match="which cannot be written"):
        kept.keep(0)
    with pytest.raises(UnreadableFile, match="which cannot be written"):
        kept.write(0, [{"line": 2}])
