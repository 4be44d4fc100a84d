"""Makes an SVG of terminal lines with colours, from standard input to standard output."""

import re
import sys
from html import escape

CELL = (8.4, 18)
EDGE = 16
BAR = 28
COLOURS = {31: "#ff8a80", 32: "#7ddc9c", 33: "#ffd479"}


def pieces(line):
    """The parts of a line, each with its column and its style."""
    style, column = {}, 0
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        code = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if code:
            for number in (int(n or 0) for n in code[1].split(";")):
                if number == 0:
                    style = {}
                elif number == 1:
                    style = {**style, "bold": True}
                elif number == 2:
                    style = {**style, "dim": True}
                elif number == 39:
                    style.pop("colour", None)
                elif number in COLOURS:
                    style = {**style, "colour": COLOURS[number]}
        else:
            for word in re.finditer(r"\S+(?: \S+)*", part):
                yield column + word.start(), word[0], style
            column += len(part)


def text(row, column, words, style):
    """One piece, as wide as its columns whatever the font."""
    x, y = EDGE + column * CELL[0], BAR + EDGE + row * CELL[1]
    extra = ' font-weight="bold"' if style.get("bold") else ""
    fill = style.get("colour", "#9aa4b0" if style.get("dim") else "#e6e8eb")
    return (
        f'<text x="{x:.1f}" y="{y}" fill="{fill}"{extra} textLength="{len(words) * CELL[0]:.1f}" '
        f'lengthAdjust="spacingAndGlyphs">{escape(words)}</text>'
    )


def main():
    lines = [line.rstrip() for line in sys.stdin.read().split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    width = 2 * EDGE + max(80, *map(len, plain)) * CELL[0]
    height = BAR + EDGE + len(lines) * CELL[1]
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img" '
        f'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace" '
        f'font-size="14">\n<title>A build, as a terminal shows it</title>\n'
        f'<rect width="100%" height="100%" rx="8" fill="#16181c"/>'
    )
    for index, colour in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        print(f'<circle cx="{20 + index * 20}" cy="18" r="6" fill="{colour}"/>')
    for row, line in enumerate(lines):
        for piece in pieces(line):
            print(text(row, *piece))
    print("</svg>")


main()
