//! `image.sh`: a bash file whose functions make a tree.

use std::path::{Component, Path, PathBuf};

use super::shell::{self, ShellError};
use super::values::{END, Values};
use crate::cli::Makeimg;
use crate::config::message::Excerpt;
use crate::config::{
    ConfigError, Context, ImageSh, Origin, Preset, PresetValue, ShellProject, Warning,
};
use crate::scripts::Shell;

const FILE: &str = "image.sh";
/// Where the images go, in the home directory of whoever calls.
const SETTINGS: &str = ".config/makeimg.conf";
const ARRAYS: [&str; 4] = [
    "preinstall_files_src",
    "preinstall_files_dst",
    "postinstall_files_src",
    "postinstall_files_dst",
];
/// What a compressed tar's name ends in.
const TARS: [(&str, &str); 5] = [
    (".tar", "no"),
    (".tar.gz", "gz"),
    (".tar.bz2", "bz2"),
    (".tar.xz", "xz"),
    (".tar.zst", "zstd"),
];

/// Reads the image.sh in the context's directory.
pub(super) fn read(words: &Makeimg, context: &Context) -> Result<Preset, ShellError> {
    let directory = &context.directory;
    let mut preset = Preset::default();
    let (base, origin) = base(words, context, &mut preset);
    if words.format.is_some() {
        preset.errors.push(ConfigError::Conflict(
            "command line (--format): what the name in img_name ends in decides the form of an image.sh's \
             image"
                .to_owned(),
        ));
    }
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let variables = [
        ("src_dir", text(directory)),
        ("_mkosi_base", text(&context.absolute(&base))),
    ];
    let output = shell::run(Shell::Bash, &script(), &variables, FILE, directory)?;
    let values =
        Values::parse(&output, FILE, &directory.join(FILE)).ok_or(ShellError::Ended(FILE))?;
    preset.values.push(PresetValue {
        setting: "OutputDirectory",
        text: text(&base),
        origin,
    });
    translate(&values, directory, &mut preset);
    Ok(preset)
}

/// Reads the file twice: what it says may depend on the paths that follow from the name that it says.
fn script() -> String {
    let mut script = format!(
        "exec 3>&1 1>&2\n\
         _mkosi_name=$(. ./{FILE} >&2; printf '%s' \"${{img_name-}}\")\n\
         export img_path=$_mkosi_base/$_mkosi_name img_dir=/image/${{_mkosi_name%.tar*}}\n\
         . ./{FILE}\n\
         _mkosi_say() {{ printf '%s\\0%s\\0' \"$1\" \"$2\" >&3; }}\n\
         [ -z \"${{img_name+x}}\" ] || _mkosi_say img_name \"$img_name\"\n"
    );
    for name in ARRAYS {
        script.push_str(&format!(
            "for _mkosi_item in \"${{{name}[@]}}\"; do _mkosi_say {name} \"$_mkosi_item\"; done\n"
        ));
    }
    script.push_str(&format!(
        "for _mkosi_item in do_install do_postinstall; do\n\
         if declare -F \"$_mkosi_item\" >/dev/null; then _mkosi_say function \"$_mkosi_item\"; fi\ndone\n\
         _mkosi_text=$(unset -f _mkosi_say; declare -f)\n\
         _mkosi_say functions \"$_mkosi_text\"\n\
         _mkosi_say {END} ''\n"
    ));
    script
}

/// The directory for images: what was said, what the user's file says, or the default.
fn base(words: &Makeimg, context: &Context, preset: &mut Preset) -> (PathBuf, Origin) {
    if let [directory, more @ ..] = &words.directories[..] {
        if let Some(more) = more.first() {
            preset.errors.push(ConfigError::Conflict(format!(
                "{}: an image.sh takes one directory, the one that images go to",
                Excerpt(&more.to_string_lossy())
            )));
        }
        return (
            directory.clone(),
            Origin::CommandLine("img_dir_base".to_owned()),
        );
    }
    let home = context
        .variable("SUDO_HOME")
        .or_else(|| context.variable("HOME"));
    let file = home.map(|home| Path::new(&home).join(SETTINGS));
    if let Some((base, file, line)) = file.and_then(|file| configured(file, preset)) {
        return (base, Origin::File { file, line });
    }
    ("img".into(), Origin::Default)
}

/// `img_dir_base` of the user's file: the last line that sets it.
fn configured(file: PathBuf, preset: &mut Preset) -> Option<(PathBuf, PathBuf, u32)> {
    let text = std::fs::read_to_string(&file).ok()?;
    let mut found = None;
    for (line, number) in text.lines().zip(1_u32..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';', '[']) {
            continue;
        }
        match line.split_once('=') {
            Some((name, value)) if name.trim() == "img_dir_base" => {
                let value = value.trim().trim_matches(['"', '\'']);
                found = (!value.is_empty()).then(|| (PathBuf::from(value), number));
            }
            _ => preset.warnings.push(Warning(format!(
                "{}:{number}: unknown setting; only img_dir_base=DIRECTORY is known",
                crate::host::printable_path(&file)
            ))),
        }
    }
    found.map(|(base, line)| (base, file, line))
}

fn translate(values: &Values, directory: &Path, preset: &mut Preset) {
    let name = values.get("img_name").unwrap_or_default().to_owned();
    if name.is_empty() {
        let why = "img_name is not set; it is the name of the image's file";
        preset.errors.push(values.wrong("img_name", why));
    } else if name.contains(|c: char| c == '/' || c.is_control()) || name.starts_with('.') {
        let why = format!(
            "img_name={}: expected the name of a file; img_dir_base says in which directory it is",
            Excerpt(&name)
        );
        preset.errors.push(values.wrong("img_name", why));
    }
    if !values.has_function("do_install") {
        preset.errors.push(values.wrong(
            "do_install",
            "there is no function do_install, which makes the image",
        ));
    }
    let mut set =
        |setting, text: &str| preset.values.push(values.preset(setting, text, "img_name"));
    set("Output", &name);
    match TARS.iter().rev().find(|(suffix, _)| name.ends_with(suffix)) {
        Some((_, compression)) => {
            set("Format", "tar");
            set("CompressOutput", compression);
        }
        None => set("Format", "directory"),
    }
    preset.values.push(PresetValue {
        setting: "WithNetwork",
        text: "yes".to_owned(),
        origin: Origin::Project(FILE.into()),
    });
    let preinstall = files(values, ARRAYS[0], ARRAYS[1], preset);
    let postinstall = files(values, ARRAYS[2], ARRAYS[3], preset);
    let stem = name.find(".tar").map_or(name.as_str(), |at| &name[..at]);
    let functions = values.all("functions").next().unwrap_or_default();
    preset.shell = Some(ShellProject::ImageSh(ImageSh {
        file: directory.join(FILE),
        name: if stem.is_empty() { "image" } else { stem }.to_owned(),
        preinstall,
        postinstall,
        functions: values
            .has_function("do_postinstall")
            .then(|| functions.to_owned()),
    }));
}

/// The pairs of two arrays.
fn files(values: &Values, from: &str, to: &str, preset: &mut Preset) -> Vec<(PathBuf, PathBuf)> {
    let (sources, targets): (Vec<&str>, Vec<&str>) =
        (values.all(from).collect(), values.all(to).collect());
    if sources.len() != targets.len() {
        let why = format!(
            "{from} has {} elements and {to} {}: each file needs the path that it goes to",
            sources.len(),
            targets.len()
        );
        preset.errors.push(values.wrong(to, why));
        return Vec::new();
    }
    for source in &sources {
        let path = Path::new(source);
        let inside = path
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside || source.is_empty() {
            let why = format!(
                "{from}: {}: expected a path in the directory of image.sh",
                Excerpt(source)
            );
            preset.errors.push(values.wrong(from, why));
        }
    }
    let pairs = sources.iter().zip(&targets);
    pairs.map(|(from, to)| (from.into(), to.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(pairs: &[(&str, &str)]) -> Preset {
        let mut output = Vec::new();
        for (name, value) in pairs.iter().chain(&[(END, "")]) {
            output.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
        }
        let values = Values::parse(&output, FILE, Path::new("/nowhere")).unwrap();
        let mut preset = Preset::default();
        translate(&values, Path::new("/src"), &mut preset);
        preset
    }

    const INSTALL: (&str, &str) = ("function", "do_install");

    #[test]
    fn names_say_the_format() {
        for (name, format, compression, stem) in [
            ("x.tar", "tar", "no", "x"),
            ("x-1.2.tar.gz", "tar", "gz", "x-1.2"),
            ("x.tar.bz2", "tar", "bz2", "x"),
            ("x.tar.xz", "tar", "xz", "x"),
            ("fedora-30", "directory", "", "fedora-30"),
        ] {
            let preset = translated(&[("img_name", name), INSTALL]);
            assert!(preset.errors.is_empty(), "{:?}", preset.errors);
            let value = |setting| {
                let found = preset.values.iter().find(|v| v.setting == setting);
                found.map(|v| v.text.as_str()).unwrap_or_default()
            };
            assert_eq!(
                (value("Format"), value("CompressOutput")),
                (format, compression),
                "{name}"
            );
            let Some(ShellProject::ImageSh(image)) = &preset.shell else {
                panic!()
            };
            assert_eq!(image.name, stem);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let src = ("preinstall_files_src", "a");
        let dst = ("preinstall_files_dst", "b");
        let name = ("img_name", "x");
        for (pairs, why) in [
            (vec![INSTALL], "img_name is not set"),
            (vec![name], "there is no function do_install"),
            (
                vec![("img_name", "a/b"), INSTALL],
                "expected the name of a file",
            ),
            (
                vec![name, INSTALL, src],
                "has 1 elements and preinstall_files_dst 0",
            ),
            (
                vec![name, INSTALL, ("preinstall_files_src", "../a"), dst],
                "in the directory of image.sh",
            ),
            (
                vec![name, INSTALL, ("preinstall_files_src", "/a"), dst],
                "in the directory of image.sh",
            ),
        ] {
            let errors: Vec<_> = translated(&pairs)
                .errors
                .iter()
                .map(ToString::to_string)
                .collect();
            assert!(errors.len() == 1 && errors[0].contains(why), "{errors:?}");
        }
        let preset = translated(&[name, INSTALL, src, dst]);
        let Some(ShellProject::ImageSh(image)) = &preset.shell else {
            panic!()
        };
        assert_eq!(image.preinstall, [("a".into(), "b".into())]);
    }

    #[test]
    fn the_directory_comes_from_the_nearest() {
        let home = tempfile::tempdir().unwrap();
        let variables = [("HOME".to_owned(), home.path().display().to_string())];
        let context = Context::new("/src", variables.into(), "/nowhere");
        let mut preset = Preset::default();
        let mut words = Makeimg::default();
        let mut found = |words: &Makeimg| base(words, &context, &mut preset).0;
        assert_eq!(found(&words), Path::new("img"));
        std::fs::create_dir(home.path().join(".config")).unwrap();
        let text = "# mine\nimg_dir_base = \"/var/lib/machines\"\nother=1\n";
        std::fs::write(home.path().join(SETTINGS), text).unwrap();
        assert_eq!(found(&words), Path::new("/var/lib/machines"));
        words.directories = vec!["out".into()];
        assert_eq!(found(&words), Path::new("out"));
        assert!(
            preset.warnings[0]
                .0
                .contains("makeimg.conf:3: unknown setting"),
            "{:?}",
            preset.warnings
        );
    }
}
