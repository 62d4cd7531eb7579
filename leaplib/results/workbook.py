"""Printed tables as one workbook, a sheet a table."""

from collections.abc import Iterable
from math import ceil
from pathlib import Path
from textwrap import wrap

from openpyxl import Workbook
from openpyxl.cell import Cell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

from leaplib.base.errors import InputError
from leaplib.base.files import atomic_path
from leaplib.base.layout import Layout
from leaplib.results.print_tables import SIMULATED, PrintTable

FILE = "supplementary_tables.xlsx"
TITLE_ROW, HEADER_ROW = 1, 2
WIDEST = 60  # characters
LINE = 16  # points, of title and header


def save_workbook(tables: Iterable[PrintTable], profile: str) -> Path:
    """Write printed tables to `figures/<profile>/tables/supplementary_tables.xlsx`, a sheet each.

    The first row of a sheet is its title, the second the header, which stays in view; the best model is bold, and rows
    on simulated data are shaded.

    Raises
    ------
    InputError
        When there is no table.
    """
    book = Workbook()
    book.remove(book.active)
    for table in tables:
        _fill(book.create_sheet(sheet_name(table.name)), table)
    if not book.sheetnames:
        raise InputError("there is no table to write: run notebooks 01 to 06 first")
    path = Layout(profile).tables / FILE
    with atomic_path(path) as temporary:
        book.save(temporary)
    return path


def sheet_name(name: str) -> str:
    """Return "Supplementary table 3" for supplementary_table_3."""
    return name.replace("_", " ").capitalize()


def _fill(sheet: Worksheet, table: PrintTable) -> None:
    """Write title, header and rows."""
    columns = [str(column) for column in table.cells]
    for number, column in enumerate(columns, start=1):
        cell = _write(sheet, HEADER_ROW, number, column[0].upper() + column[1:])
        cell.font, cell.border = Font(bold=True), Border(bottom=Side("thin"))
        cell.alignment = Alignment(wrap_text=True, vertical="bottom")
        sheet.column_dimensions[get_column_letter(number)].width = _width(table, column)
    lines = max(len(wrap(column, int(_width(table, column)) - 2)) for column in columns)
    sheet.row_dimensions[HEADER_ROW].height = LINE * lines  # not every program finds it, and the title stands above
    for row, (values, bold, data) in enumerate(
        zip(table.cells.to_numpy(dtype=object), table.bold.to_numpy(), table.data, strict=True), start=HEADER_ROW + 1
    ):
        for number, (value, strong) in enumerate(zip(values, bold, strict=True), start=1):
            cell = _write(sheet, row, number, value)
            cell.font = Font(bold=bool(strong))
            if data in ("simulated", "mixed"):
                cell.fill = _filled(SIMULATED)
    _colour(sheet, table)
    _title(sheet, table.title, len(columns))
    sheet.freeze_panes = sheet.cell(HEADER_ROW + 1, 1)
    _page(sheet)


def _page(sheet: Worksheet) -> None:
    """Print as wide as a landscape page, title and header on each."""
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", sheet.PAPERSIZE_A4
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.page_setup.fitToHeight = 0  # as many pages as it takes
    sheet.print_title_rows = f"{TITLE_ROW}:{HEADER_ROW}"


def _title(sheet: Worksheet, title: str, n_columns: int) -> None:
    cell = _write(sheet, TITLE_ROW, 1, title)
    cell.font, cell.alignment = Font(bold=True, size=12), Alignment(wrap_text=True, vertical="top")
    sheet.merge_cells(start_row=TITLE_ROW, end_row=TITLE_ROW, start_column=1, end_column=n_columns)
    width = sum(sheet.column_dimensions[get_column_letter(number)].width for number in range(1, n_columns + 1))
    sheet.row_dimensions[TITLE_ROW].height = LINE * ceil(1.3 * len(title) / width)  # a title's letters are larger


def _write(sheet: Worksheet, row: int, column: int, value: object) -> Cell:
    """Write one value; text that begins with "=" stays text, and control characters, which no workbook holds, go."""
    if isinstance(value, str):
        value = ILLEGAL_CHARACTERS_RE.sub("\ufffd", value)
    number = getattr(value, "item", None)
    cell = sheet.cell(row, column, number() if number else value)
    if isinstance(value, str):
        cell.data_type = "s"
    elif value is not None:
        cell.number_format = "#,##0"
        cell.alignment = Alignment(horizontal="right", indent=1)  # clear of the words in the next column
    return cell


def _width(table: PrintTable, column: str) -> float:
    """Return a column's width: that of its longest text, within bounds."""
    longest = max([len(word) for word in column.split()] + [len(str(value)) for value in table.cells[column]])
    return min(max(longest, 6), WIDEST) + 2


def _colour(sheet: Worksheet, table: PrintTable) -> None:
    """Colour the last cell of each row that has a colour."""
    for row, colour in enumerate(table.colours, start=HEADER_ROW + 1):
        sheet.cell(row, table.cells.shape[1]).fill = _filled(colour)


def _filled(colour: str) -> PatternFill:
    return PatternFill("solid", fgColor=colour.lstrip("#"))
