//! Settings mean the same however they are spread over files, and what they mean together follows from
//! their order alone.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::testing::Fixture;

/// One line of a settings file, or one flag: a setting and its text.
type Said = (Setting, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Setting {
    name: &'static str,
    section: &'static str,
    flag: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// An empty text makes it null, also over what files say.
    Optional,
    /// An empty text takes back what the same place said before.
    Plain(&'static str),
    List,
    /// Names, of which `!name` takes one out.
    Names,
    /// `NAME=VALUE`.
    Pairs,
}

const fn setting(
    name: &'static str,
    section: &'static str,
    flag: &'static str,
    kind: Kind,
) -> Setting {
    Setting {
        name,
        section,
        flag,
        kind,
    }
}

const SETTINGS: [Setting; 7] = [
    setting("Hostname", "Output", "--hostname", Kind::Optional),
    setting("ImageVersion", "Output", "--image-version", Kind::Optional),
    setting("Format", "Output", "--format", Kind::Plain("gpt_ext4")),
    setting("RemoveFiles", "Packages", "--remove-files", Kind::List),
    setting("Packages", "Packages", "--package", Kind::Names),
    setting("BuildPackages", "Packages", "--build-package", Kind::Names),
    setting("Environment", "Packages", "--environment", Kind::Pairs),
];

fn said() -> impl Strategy<Value = Said> {
    prop::sample::select(&SETTINGS[..]).prop_flat_map(|setting| {
        let text = match setting.kind {
            Kind::Optional => "|[a-z][a-z0-9]{0,3}",
            Kind::Plain(_) => "|tar|directory|gpt_btrfs",
            Kind::List => "|/[a-c](, ?/[a-c]){0,2}",
            Kind::Names => "|!?[a-d]( !?[a-d]){0,3}",
            Kind::Pairs => "|[A-C]=[0-9]( [A-C]=[0-9]){0,2}",
        };
        (Just(setting), text)
    })
}

/// A project with these lines, of which as many as each number says are in one file.
fn project(lines: &[Said], sizes: &[usize]) -> Fixture {
    let mut fixture = Fixture::new();
    let mut rest = lines;
    for (number, size) in sizes.iter().chain([&lines.len()]).enumerate() {
        let (here, after) = rest.split_at((*size).min(rest.len()));
        rest = after;
        let mut text = String::new();
        for (setting, value) in here {
            text += &format!("[{}]\n{}={value}\n", setting.section, setting.name);
        }
        let name = match number {
            0 => "mkosi.default".to_owned(),
            _ => format!("mkosi.default.d/{number:02}"),
        };
        fixture = fixture.project_file(&name, &text, 0o644);
    }
    fixture
}

fn flags(fixture: Fixture, flags: &[Said]) -> Fixture {
    let word = |(setting, value): &Said| format!("{}={value}", setting.flag);
    flags.iter().map(word).fold(fixture, |f, word| f.arg(&word))
}

/// Everything that is set, without where it was.
fn settled(fixture: &Fixture) -> Vec<(&'static str, String)> {
    let names = SETTINGS.iter().map(|setting| setting.name);
    names.map(|name| (name, fixture.json(name))).collect()
}

fn of(setting: Setting, all: &[Said]) -> Vec<&str> {
    let texts = all.iter().filter(|said| said.0 == setting);
    texts.map(|(_, text)| text.as_str()).collect()
}

fn words<'a>(texts: &[&'a str]) -> Vec<&'a str> {
    let split = |text: &&'a str| text.split([' ', ',']).filter(|word| !word.is_empty());
    texts.iter().flat_map(split).collect()
}

/// What the manual says that a setting becomes.
fn expected(setting: Setting, lines: &[Said], flags: &[Said]) -> Json {
    let (lines, flags) = (of(setting, lines), of(setting, flags));
    match setting.kind {
        Kind::Optional => {
            let last = flags.last().or(lines.last());
            last.filter(|text| !text.is_empty())
                .map_or(Json::Null, |text| json!(text))
        }
        Kind::Plain(fallback) => {
            let last = |texts: &[&str]| {
                let last = texts.last().filter(|text| !text.is_empty());
                last.map(|text| (*text).to_owned())
            };
            json!(last(&flags).or(last(&lines)).unwrap_or(fallback.to_owned()))
        }
        Kind::List => json!([words(&flags), words(&lines)].concat()),
        Kind::Names => {
            let name = |word: &str| word.trim_start_matches('!').to_owned();
            let all = last_words(&words(&flags), &words(&lines), name);
            let (out, mut list): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|word| word.starts_with('!'));
            list.extend(out);
            json!(list)
        }
        Kind::Pairs => {
            let name = |word: &str| word[..1].to_owned();
            json!(last_words(&words(&flags), &words(&lines), name))
        }
    }
}

/// The last word about each name, where the name first came: flags come first, and count last.
fn last_words<'a>(
    flags: &[&'a str],
    lines: &[&'a str],
    name: impl Fn(&str) -> String,
) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for word in [flags, lines, flags].concat() {
        match all.iter_mut().find(|other| name(other) == name(word)) {
            Some(other) => *other = word,
            None => all.push(word),
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn it_does_not_matter_which_file_says_it(
        lines in prop::collection::vec(said(), 0..12),
        sizes in prop::collection::vec(0_usize..5, 0..5),
        given in prop::collection::vec(said(), 0..4),
    ) {
        let whole = flags(project(&lines, &[]), &given);
        let spread = flags(project(&lines, &sizes), &given);
        prop_assert_eq!(settled(&whole), settled(&spread));
    }

    #[test]
    fn order_decides_and_the_command_line_is_above_files(
        lines in prop::collection::vec(said(), 0..12),
        sizes in prop::collection::vec(0_usize..5, 0..3),
        given in prop::collection::vec(said(), 0..6),
    ) {
        let fixture = flags(project(&lines, &sizes), &given);
        for setting in SETTINGS {
            let expected = expected(setting, &lines, &given).to_string();
            prop_assert_eq!(fixture.json(setting.name), expected, "{:?}", setting);
        }
    }
}

/// Looking each name up in all that came before would take minutes for these.
#[test]
fn two_thousand_drop_ins_are_merged_in_order() {
    const COUNT: usize = 2000;
    let mut fixture =
        Fixture::with("[Distribution]\nDistribution=debian\n[Packages]\nPackages=first\n");
    for number in (0..COUNT).rev() {
        let text = format!("[Output]\nHostname=h{number}\n[Packages]\nPackages=p{number}\n");
        fixture = fixture.project_file(&format!("mkosi.default.d/{number:04}.conf"), &text, 0o644);
    }
    let config = fixture.config();
    assert_eq!(config.hostname.as_deref(), Some("h1999"));
    let packages = config.packages.install();
    assert_eq!(packages.len(), COUNT + 1);
    let at = |index: usize| packages[index].as_str();
    assert_eq!([at(0), at(1), at(COUNT)], ["first", "p0", "p1999"]);
}
