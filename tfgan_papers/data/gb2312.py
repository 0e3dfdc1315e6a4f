"""The Chinese characters of the data sets `hwdb`, `glyphs` and `strokes`."""

# The 3,755 characters of level 1, rows 16 to 55 of the standard, in the order of codes.
LEVEL_1 = "".join(
    bytes([0xA0 + row, 0xA0 + cell]).decode("gb2312", "ignore")  # row 55 ends early
    for row in range(16, 56)
    for cell in range(1, 95)
)
