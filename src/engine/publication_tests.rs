use std::fs;

use super::*;

struct Fixture {
    dir: tempfile::TempDir,
}

const ARTIFACTS: [&str; 4] = ["added", "exchanged", "moved", "untouched"];

impl Fixture {
    /// Artifacts that are new, and ones of before, all but `added` and `retired` with the same names.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["out", "scratch/new", "scratch/old"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let fixture = Self { dir };
        for name in ARTIFACTS {
            fixture.write("scratch/new", name, "new");
        }
        for name in ["exchanged", "moved", "untouched", "retired"] {
            fixture.write("out", name, "old");
        }
        fixture
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, directory: &str, name: &str, text: &str) {
        fs::write(self.path(directory).join(name), text).unwrap();
    }

    fn note(&self) {
        let artifacts = ARTIFACTS.map(OsString::from);
        let retired = [OsString::from("retired"), OsString::from("never-there")];
        let (scratch, output) = (self.path("scratch"), self.path("out"));
        let publication = Publication::of(&artifacts, &retired, &scratch, &output);
        publication.note(&scratch, true).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn undo(&self) -> Result<bool, String> {
        undo(&self.path("scratch"), &self.path("out"))
    }

    fn output(&self) -> Vec<(String, String)> {
        let entries = fs::read_dir(self.path("out")).unwrap().flatten();
        let mut files: Vec<_> = entries
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }
}

#[test]
fn every_way_is_taken_back_from_wherever_it_stopped() {
    // After each of these the build may have been killed.
    let moves: [&dyn Fn(&Fixture); 5] = [
        &|f| f.rename("scratch/new/added", "out/added"),
        &|f| {
            let (new, out) = (f.path("scratch/new/exchanged"), f.path("out/exchanged"));
            renameat_with(CWD, new, CWD, out, RenameFlags::EXCHANGE).unwrap();
        },
        &|f| f.rename("out/moved", "scratch/old/moved"),
        &|f| f.rename("scratch/new/moved", "out/moved"),
        &|f| f.rename("out/retired", "scratch/old/retired"),
    ];
    for done in 0..=moves.len() {
        let fixture = Fixture::new();
        let before = fixture.output();
        fixture.note();
        moves[..done].iter().for_each(|go| go(&fixture));
        assert_eq!(fixture.output() == before, done == 0, "{done}");
        assert_eq!(fixture.undo(), Ok(true), "{done}");
        assert_eq!(fixture.output(), before, "{done}");
        assert_eq!(fixture.undo(), Ok(false), "{done}");
    }
}

#[test]
fn what_others_put_there_since_stays() {
    let fixture = Fixture::new();
    fixture.note();
    fixture.rename("scratch/new/added", "out/added");
    fixture.rename("out/retired", "scratch/old/retired");
    // Another file, not one that gets the same inode within one tick of the clock.
    fixture.write("out", "other", "somebody's");
    fixture.rename("out/other", "out/added");
    fixture.write("out", "retired", "somebody's");
    fixture.undo().unwrap();
    let output = fixture.output();
    for name in ["added", "retired"] {
        assert!(output.contains(&(name.to_owned(), "somebody's".to_owned())));
    }
}

#[test]
fn a_note_that_cannot_be_read_keeps_everything() {
    let fixture = Fixture::new();
    fixture.write("scratch", NOTE, "half a no");
    let error = fixture.undo().unwrap_err();
    assert!(error.ends_with("/scratch"), "{error}");
    let escape = r#"{"names":[{"name":{"Unix":[46,46]},"new":null,"old":null,"read_only":false}]}"#;
    fixture.write("scratch", NOTE, escape);
    fixture.undo().unwrap_err();
}
