"""Where the pages of a file lie, as the catalog keeps it: a reader then needs no byte that no checksum covers.

Each page has the CRC-32 that Parquet writes into its header; one more covers everything between the pages (headers and
footer). So any byte of a file is checked when it is read, once.
"""

from __future__ import annotations

import json
import zlib
from typing import Any, NamedTuple


class Page(NamedTuple):
    """One page of a column: where its values begin, how many bytes they take, and their CRC-32."""

    start: int
    length: int
    crc: int


class Group(NamedTuple):
    """A row group: how many rows, which columns are stored in 32 bits, and the page of each column."""

    rows: int
    narrow: list[str]
    pages: dict[str, Page]


class Layout(NamedTuple):
    """What a reader must know of a file; `rest` is the CRC-32 of all bytes outside of pages."""

    price_factor: int
    amount_factor: int
    groups: list[Group]
    rest: int

    def dumps(self) -> str:
        """As text for the catalog."""
        return json.dumps(self, separators=(",", ":"))

    @classmethod
    def loads(cls, text: str) -> Layout:
        """The layout that `dumps` wrote."""
        price_factor, amount_factor, groups, rest = json.loads(text)
        found = [
            Group(n, narrow, {k: Page(*page) for k, page in pages.items()}) for n, narrow, pages in groups
        ]
        return cls(price_factor, amount_factor, found, rest)


def find_layout(data: bytes, price_factor: int, amount_factor: int) -> Layout:
    """The layout of a file that `codec.encode` wrote: one page for each column of a row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    footer = pq.ParquetFile(pa.BufferReader(pa.py_buffer(data))).metadata
    groups = []
    for at in range(footer.num_row_groups):
        group = footer.row_group(at)
        narrow, pages = [], {}
        for column in (group.column(k) for k in range(group.num_columns)):
            header, start = _struct(data, column.data_page_offset)
            assert header[5][1] == group.num_rows, "a column of a row group is one page"
            pages[column.path_in_schema] = Page(start, header[3], header[4] & 0xFFFFFFFF)
            if column.physical_type == "INT32":
                narrow.append(column.path_in_schema)
        groups.append(Group(group.num_rows, narrow, pages))
    layout = Layout(price_factor, amount_factor, groups, 0)
    bad, rest = _sums(data, layout)
    assert bad is None, "the checksum of a page is not the one in its header"
    return layout._replace(rest=rest)


def damage(data: bytes, layout: Layout) -> str | None:
    """What is wrong with the bytes of a file; None when every one of them is what was written."""
    bad, rest = _sums(data, layout)
    if bad is not None:
        return f"the page of {bad} is not what was written"
    return None if rest == layout.rest else "what lies between its pages is not what was written"


def _sums(data: bytes, layout: Layout) -> tuple[str | None, int]:
    """The first column with a bad page, and the checksum of everything between pages."""
    view, at, rest = memoryview(data), 0, 0
    for group in layout.groups:
        for name, page in group.pages.items():
            rest = zlib.crc32(view[at : page.start], rest)
            at = page.start + page.length
            if zlib.crc32(view[page.start : at]) != page.crc:
                return name, 0
    return None, zlib.crc32(view[at:], rest)


def _struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    """A struct of whole numbers, flags and structs in Thrift's compact protocol, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _zigzag(data, at)
        kind = head & 15
        if kind == 12:
            fields[number], at = _struct(data, at)
        elif kind in (1, 2):
            fields[number] = kind == 1
        else:
            fields[number], at = _zigzag(data, at)
    return fields, at + 1


def _zigzag(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return (value >> 1) ^ -(value & 1), at
