//! What the image is called and where it is written.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::error::{Findings, Warning};
use super::origin::Trace;
use super::values::{CompressOutput, Format};
use super::{Config, Context};

/// Names the output and settles in which directory it is.
pub(super) fn settle(config: &mut Config, context: &Context, found: &mut Findings) {
    let asked = config
        .origins
        .trace("Output")
        .and_then(|trace| trace.text.clone());
    let name = match asked {
        Some(text) => {
            let plain = text.trim_end_matches('/');
            let last = Path::new(plain).file_name();
            let says_directory = text.ends_with('/') && !config.format.is_tree();
            if last.is_none() || says_directory || plain.ends_with("/.") {
                let asked = config.origins.quoted("Output");
                found.conflict(format!(
                    "{asked}: expected the name of a file; OutputDirectory says in which directory it is"
                ));
                return;
            }
            if plain.contains('/') {
                if config.origins.is_explicit("OutputDirectory") {
                    let (output, dir) = (
                        config.origins.quoted("Output"),
                        config.origins.quoted("OutputDirectory"),
                    );
                    found.warn(Warning(format!(
                        "{dir} does not count, since {output} has a slash"
                    )));
                }
                config.output_directory = None;
                if let Some(trace) = config.origins.trace_mut("OutputDirectory") {
                    *trace = Trace::default();
                }
                config.output = context.absolute(Path::new(plain));
                misleading_suffix(config, found);
                return;
            }
            PathBuf::from(plain)
        }
        None => PathBuf::from(default_name(config)),
    };
    let dir = config
        .output_directory
        .as_deref()
        .unwrap_or(&context.directory);
    config.output = dir.join(name);
    misleading_suffix(config, found);
}

fn default_name(config: &Config) -> OsString {
    let mut name = config.image_id.clone().unwrap_or_else(|| "image".into());
    if let Some(version) = &config.image_version {
        name.push('_');
        name.push_str(version);
    }
    name.push_str(match config.format {
        Format::Directory | Format::Subvolume | Format::Custom => "",
        Format::Tar => ".tar",
        Format::PlainSquashfs => ".squashfs",
        _ if config.qcow2 => ".qcow2",
        _ => ".raw",
    });
    if let Some(compressor) = config.compress_output {
        name.push_str(compressor.suffix());
    }
    name.into()
}

/// A name that promises another compression than the file will have helps nobody.
fn misleading_suffix(config: &Config, found: &mut Findings) {
    let name = config.output.to_string_lossy();
    let all = [
        CompressOutput::Xz,
        CompressOutput::Zstd,
        CompressOutput::Gz,
        CompressOutput::Bz2,
    ];
    let promised = all
        .into_iter()
        .find(|compressor| name.ends_with(compressor.suffix()));
    if let Some(promised) = promised.filter(|promised| config.compress_output != Some(*promised)) {
        let is = config
            .compress_output
            .map_or("not compressed".into(), |c| format!("compressed with {c}"));
        found.warn(Warning(format!(
            "{}: the image is {is}; CompressOutput={promised} would fit the name",
            config.origins.quoted("Output")
        )));
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::Fixture;

    #[test]
    fn names_follow_the_format() {
        for (args, output) in [
            ("", "$P/image.raw"),
            ("--xz", "$P/image.raw.xz"),
            ("--qcow2", "$P/image.qcow2"),
            ("--qcow2 --xz", "$P/image.qcow2.xz"),
            ("-t tar", "$P/image.tar.xz"),
            ("-t tar --compress-output=zstd", "$P/image.tar.zst"),
            ("-t directory", "$P/image"),
            ("-t subvolume", "$P/image"),
            ("-t plain_squashfs", "$P/image.squashfs"),
            ("--image-id=x --image-version=2", "$P/x_2.raw"),
            ("--image-version=2", "$P/image_2.raw"),
            ("-o a", "$P/a"),
            ("-o ./a", "$P/a"),
            ("-o b//a", "$P/b/a"),
            ("-o ../a", "$P/../a"),
            ("-o /b/a", "/b/a"),
            ("-t directory -o a/", "$P/a"),
            ("-O out", "$P/out/image.raw"),
            ("-O out -o a", "$P/out/a"),
            ("-O /out -o a", "/out/a"),
        ] {
            let fixture = Fixture::new().args(args);
            assert_eq!(fixture.json("Output"), format!("{output:?}"), "{args}");
        }
    }

    #[test]
    fn a_slash_beats_the_directory() {
        let fixture = Fixture::with("[Output]\nOutput=x/a\nOutputDirectory=out\n");
        let expected = "OutputDirectory=out (mkosi.default:3) does not count, since Output=x/a (mkosi.default:2) has a slash";
        assert_eq!(fixture.warnings(), [expected]);
        assert_eq!(fixture.json("OutputDirectory"), "null");
        assert_eq!(fixture.json("Output"), "\"$P/x/a\"");
        let detected = Fixture::with("[Output]\nOutput=x/a\n").directory("p/mkosi.output");
        assert_eq!(detected.warnings(), [""; 0]);
    }

    #[test]
    fn an_output_needs_a_name() {
        for output in ["out/", "/", "..", "a/..", "a/."] {
            let errors = Fixture::new().arg("-o").arg(output).errors();
            assert!(
                errors[0].contains("expected the name of a file"),
                "{errors:?}"
            );
        }
    }

    #[test]
    fn a_misleading_suffix_is_pointed_out() {
        let warnings = Fixture::new().args("-t tar -o a.tar.gz").warnings();
        let expected = "Output=a.tar.gz (command line (--output)): the image is compressed with xz; CompressOutput=gz would fit the name";
        assert_eq!(warnings, [expected]);
    }
}
