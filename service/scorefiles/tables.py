"""Reading CSV files (读取表格): UTF-8, a header line, and rows that know their line."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from service.scorefiles.faults import FileFault, quoted
from service.scoring.text import Text

_PROSE: Final = frozenset({"name", "matter"})
"""Columns in which any character may stand."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record: the line it begins on, and its cells by column; an optional column that is not there is empty."""

    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


class Table:
    """A CSV file as far as it can be read; what is wrong with it is noted in `faults`."""

    def __init__(
        self, name: str, data: bytes, columns: Sequence[str], optional: Sequence[str], faults: list[FileFault]
    ) -> None:
        self.name = name
        self.faults = faults
        self.rows: list[Row] = []
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.fault(
                data[: error.start].count(b"\n") + 1,
                Text("不是UTF-8编码", "not UTF-8"),
                Text("另存为“CSV UTF-8”格式", 'save it as "CSV UTF-8"'),
            )
            return
        self._read(text, columns, optional)

    def fault(self, line: int | None, text: Text, hint: Text | None = None) -> None:
        """Note a fault of one line; None means the whole file."""
        self.faults.append(FileFault(self.name, "" if line is None else str(line), text, hint))

    def _read(self, text: str, columns: Sequence[str], optional: Sequence[str]) -> None:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header: list[str] | None = None
        start = 1
        try:
            for cells in reader:
                line, start = start, reader.line_num + 1
                if not any(cells):
                    continue
                if header is None:
                    header = cells
                    if not self._header(line, header, columns, optional):
                        return
                elif len(cells) != len(header):
                    self.fault(
                        line,
                        Text(
                            f"有{len(cells)}列，表头有{len(header)}列",
                            f"{len(cells)} cells under {len(header)} columns",
                        ),
                    )
                else:
                    self._row(Row(line, dict(zip(header, cells, strict=True))))
        except csv.Error as error:
            self.fault(
                start,
                Text(f"不是有效的CSV（{error}），其后未检查", f"not CSV ({error}); what follows was not checked"),
            )
        if header is None:
            self.fault(None, Text("文件是空的，缺少表头", "the file is empty, without a header line"))

    def _header(self, line: int, header: list[str], columns: Sequence[str], optional: Sequence[str]) -> bool:
        sound = True
        known = [*columns, *optional]
        hint = Text("列名：" + "、".join(known), "columns: " + ", ".join(known))
        for column in columns:
            if column not in header:
                sound = False
                self.fault(line, Text(f"缺少列“{column}”", f'the column "{column}" is missing'), hint)
        for column in dict.fromkeys(header):
            if column not in known:
                sound = False
                self.fault(line, Text(f"不认识列“{quoted(column)}”", f'unknown column "{quoted(column)}"'), hint)
            elif header.count(column) > 1:
                sound = False
                self.fault(line, Text(f"列“{column}”重复", f'the column "{column}" is repeated'))
        return sound

    def _row(self, row: Row) -> None:
        sound = True
        for column, cell in row.cells.items():
            if cell != cell.strip():
                sound = False
                self.fault(
                    row.line,
                    Text(f"“{column}”列首尾有空白：“{quoted(cell)}”", f'blanks around "{quoted(cell)}" in {column}'),
                )
            elif column not in _PROSE and not cell.isprintable():
                sound = False
                self.fault(
                    row.line,
                    Text(
                        f"“{column}”列有不可见字符：“{quoted(cell)}”",
                        f'invisible characters in {column}: "{quoted(cell)}"',
                    ),
                )
        if sound:
            self.rows.append(row)
