//! Lines for people, broken where a word ends.

/// `text` in lines of at most `width` columns; what follows the first line of a paragraph is indented
/// as that is, and by `further` columns more. Words that are longer than a line stay whole.
#[must_use]
pub fn wrapped(text: &str, width: usize, further: usize) -> String {
    let lines = text.split('\n').map(|line| one(line, width, further));
    lines.collect::<Vec<_>>().join("\n")
}

fn one(line: &str, width: usize, further: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let blanks = line.chars().take_while(|c| *c == ' ').count();
    let (indent, words) = line.split_at(blanks);
    let mut out = indent.to_owned();
    let mut column = blanks;
    let mut begins = true;
    for word in words.split(' ') {
        let length = word.chars().count();
        if !begins && column + 1 + length > width {
            out.push('\n');
            out.push_str(&" ".repeat(blanks + further));
            column = blanks + further;
            begins = true;
        }
        if !begins {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
        begins = false;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn lines_break_between_words() {
        assert_eq!(
            wrapped("mkosi: one two three\n  four five  six\nshort", 12, 2),
            "mkosi: one\n  two three\n  four five \n    six\nshort"
        );
        assert_eq!(wrapped("a/very/long/path b", 6, 2), "a/very/long/path\n  b");
        assert_eq!(wrapped("", 5, 2), "");
    }
}
