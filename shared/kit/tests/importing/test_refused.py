"""The CSV of refused rows."""

import pytest

from crm_kit.importing.refused import _csv_line


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=cmd()", "'=cmd()"),
        ("x;=HYPERLINK(1)", "x;'=HYPERLINK(1)"),
        ('x;"=cmd()', '"x;\'""=cmd()"'),
        ("x\t+cmd()|@cmd()", "x\t'+cmd()|'@cmd()"),
        ("x\r\n-cmd()", '"x\r\n\'-cmd()"'),
        ("a;;=b", "a;;'=b"),
        ("-5.00", "-5.00"),
        ("-5.00;+7 %", "'-5.00;'+7 %"),
        ("1;-5.00;-7%", "1;-5.00;-7%"),
        ("a=b;c-d", "a=b;c-d"),
    ],
)
def test_no_cell_becomes_a_formula_wherever_a_spreadsheet_splits_it(cell: str, written: str) -> None:
    assert _csv_line([cell]) == written + "\r\n"
