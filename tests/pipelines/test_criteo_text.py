import re

import numpy as np
import pytest
from criteo_lines import GOOD, random_lines, replaced

from pipelines import criteo_text

BAD = [
    ("", "1 columns, expected 40"),
    (GOOD + "\t", "41 columns, expected 40"),
    (GOOD.rsplit("\t", 1)[0], "39 columns, expected 40"),
    (replaced(GOOD, 0, "2"), "label '2' is not 0 or 1"),
    (replaced(GOOD, 0, ""), "label '' is not 0 or 1"),
    (replaced(GOOD, 0, "10"), "label '10' is not 0 or 1"),
    (replaced(GOOD, 5, "1.5"), r"I5 '1\.5' is no whole number"),
    (replaced(GOOD, 5, "-"), "I5 '-' is no whole number"),
    (replaced(GOOD, 5, "1-2"), "I5 '1-2' is no whole number"),
    (replaced(GOOD, 13, "--2"), "I13 '--2' is no whole number"),
    (replaced(GOOD, 13, "1" * 19), "I13 '1{19}' is no whole number"),
    (replaced(GOOD, 14, "05db916g"), "C1 '05db916g' is not 8 lowercase hex"),
    (replaced(GOOD, 14, "05DB9164"), "C1 '05DB9164' is not 8 lowercase hex"),
    (replaced(GOOD, 39, "5db9164"), "C26 '5db9164' is not 8 lowercase hex"),
    (replaced(GOOD, 39, "05db91640"), "C26 '05db91640' is not 8 lowercase hex"),
    (replaced(GOOD, 20, "05db\x009164"), "C7 .* is not 8 lowercase hex"),
    (GOOD.replace("\t", "\x01", 1), "39 columns, expected 40"),
    (GOOD.replace("\t", "\x01", 1) + "\t", "label '[01].*' is not 0 or 1"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_a_bad_line_is_left_out_and_named(bad, reason):
    lines = random_lines(5)
    text = "\n".join([*lines[:2], bad, *lines[2:], bad, ""])
    parsed = criteo_text.parse(text.encode("latin-1"))
    assert [line for line, _ in parsed.bad] == [2, 6]
    for _, found in parsed.bad:
        assert re.match(reason, found)
    assert parsed.lines.tolist() == [0, 1, 3, 4, 5]
    expected = criteo_text.parse("\n".join([*lines, ""]).encode())
    for one, other in zip(parsed[:4], expected[:4], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("column", "field", "allowed"),
    [(0, "{}", "01"), (1, "1{}5", "0123456789"), (14, "0{}db9164", "0123456789abcdef")],
)
def test_no_character_is_mistaken_for_a_digit(column, field, allowed):
    for character in map(chr, range(256)):
        line = replaced(GOOD, column, field.format(character))
        parsed = criteo_text.parse(line.encode("latin-1") + b"\n")
        assert len(parsed.lines) == (character in allowed)
        assert bool(parsed.bad) == (character not in allowed)
