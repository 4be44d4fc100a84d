use std::process::Command;

use proptest::prelude::*;

use super::*;

fn patched(patch: &str, old: &str) -> Result<String, String> {
    let patch = parse(patch.as_bytes()).map_err(|e| e.to_string())?;
    let new = apply(&patch, old.as_bytes()).map_err(|e| e.to_string())?;
    Ok(String::from_utf8(new).unwrap())
}

const PATCH: &str = "Enable German.\n\ndiff --git a/x b/y\nindex 1..2 100644\n--- a/some/name\n+++ b/other\n\
    @@ -2,3 +2,3 @@ section\n b\n-#c\n+c\n d\n";

#[test]
fn applies_where_the_lines_are() {
    for (old, new) in [
        ("a\nb\n#c\nd\ne\n", "a\nb\nc\nd\ne\n"),
        // Lines came or went above.
        ("b\n#c\nd\n", "b\nc\nd\n"),
        ("1\n2\n3\n4\nb\n#c\nd\n", "1\n2\n3\n4\nb\nc\nd\n"),
        // The nearest of several places.
        ("b\n#c\nd\nb\n#c\nd\n", "b\nc\nd\nb\n#c\nd\n"),
    ] {
        assert_eq!(patched(PATCH, old).as_deref(), Ok(new), "{old:?}");
    }
}

#[test]
fn never_guesses() {
    for (old, why) in [
        (
            "a\nb\n#c \nd\n",
            "it expects \"#c\" around line 3, which is \"#c \"",
        ),
        ("a\nb\n#c", "expects \"#c\" around line 3, which is \"#c\""),
        (
            "a\nb\n",
            "expects \"#c\" around line 3, where the file has ended",
        ),
        ("", "expects \"b\" around line 2, where the file has ended"),
        ("a\nb\nc\nd\n", "has been changed like this already"),
        ("a\nb\n\u{1b}[2J\nd\n", "which is \"\\u{1b}[2J\""),
    ] {
        let error = patched(PATCH, old).unwrap_err();
        assert!(
            error.starts_with("the change at line 7 of the patch does not fit"),
            "{error}"
        );
        assert!(error.contains(why), "{old:?}: {error}");
    }
}

#[test]
fn ends_of_files_count() {
    let add = "--- a\n+++ b\n@@ -1 +1,2 @@\n-a\n\\ No newline at end of file\n+a\n+b\n";
    assert_eq!(patched(add, "a").as_deref(), Ok("a\nb\n"));
    assert!(patched(add, "a\n").is_err());
    let drop = "--- a\n+++ b\n@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n";
    assert_eq!(patched(drop, "a\n").as_deref(), Ok("a"));
    let fill = "--- /dev/null\n+++ b\n@@ -0,0 +1,2 @@\n+a\n+b\n";
    assert_eq!(patched(fill, "").as_deref(), Ok("a\nb\n"));
    // An editor took the blanks at the ends of lines away, and the last newline.
    let edited = "@@ -1,3 +1,3 @@\n\n-a\n+b\n c";
    assert_eq!(patched(edited, "\na\nc\n").as_deref(), Ok("\nb\nc\n"));
    let mail = "--- a\n+++ b\n@@ -1 +1 @@\n-a\n+b\n-- \n2.39.5\n";
    assert_eq!(patched(mail, "a\n").as_deref(), Ok("b\n"));
}

#[test]
fn what_is_no_patch_is_refused_with_its_line() {
    for (patch, why) in [
        ("", "line 1: there is no change in it"),
        ("hello\nthere\n", "line 2: there is no change in it"),
        (
            "--- a\n+++ b\n@@ -1 +1 @@\n-a\n",
            "line 5: the patch ends within a change",
        ),
        ("--- a\n+++ b\n@@ what @@\n", "line 3: expected a header"),
        (
            "@@ -1,2 +1 @@\n-a\nx\n",
            "line 3: expected a line that begins with",
        ),
        ("@@ -1 +1 @@\n-a\n+b\n+c\n", "line 4: more lines follow"),
        ("@@ -1 +1,2 @@\n-a\n-b\n", "line 3: more lines follow"),
        (
            "*** a\n--- b\n***************\n",
            "line 1: this is a context diff",
        ),
        ("GIT binary patch\nliteral 1\n", "line 1: a binary file"),
        (
            "--- a\n+++ /dev/null\t1970\n@@ -1 +0,0 @@\n-a\n",
            "line 1: it removes the file",
        ),
        (
            "--- a\n+++ b\n@@ -1 +1 @@\n-a\n+b\n--- c\n+++ d\n@@ -1 +1 @@\n-a\n+b\n",
            "line 6: a second file",
        ),
    ] {
        let error = parse(patch.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(why), "{patch:?}: {error}");
    }
}

fn text() -> impl Strategy<Value = String> {
    let line = prop_oneof![4 => "[a-c]{0,1}", 1 => "[+-]{1,3} ?[a-c]", 1 => "@@ -1 \\+1 @@"];
    (proptest::collection::vec(line, 0..30), any::<bool>()).prop_map(|(lines, end)| {
        let mut text = lines.join("\n");
        if end && !text.is_empty() {
            text.push('\n');
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// What diff says, whatever the texts, brings one to the other.
    #[test]
    fn agrees_with_diff(old in text(), new in text(), context in 0..4_u8) {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&a, &old).unwrap();
        std::fs::write(&b, &new).unwrap();
        let diff = Command::new("diff").arg(format!("-U{context}")).args([&a, &b]).output().unwrap();
        if old != new {
            let patch = parse(&diff.stdout).unwrap();
            prop_assert_eq!(apply(&patch, old.as_bytes()).unwrap(), new.into_bytes());
        }
    }

    #[test]
    fn nothing_makes_it_fail_otherwise_than_with_an_error(
        patch in "(--- a\n|\\+\\+\\+ b\n|@@ -[0-9]{1,20}(,[0-9])? \\+[0-9](,[0-9])? @@\n|[ +-]a\n|\\\\\n|\n){0,9}",
        old in text(),
    ) {
        if let Ok(patch) = parse(patch.as_bytes()) {
            let _ = apply(&patch, old.as_bytes());
        }
    }
}
