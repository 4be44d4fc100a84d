//! What compresses the finished image, and what compresses within its file system.

use super::Config;
use super::error::{Findings, Warning};
use super::origin::Origin;
use super::values::{CompressOutput, Compression, Format};

/// Of two settings that say the same thing, the one that counts: the only one that is set, or the
/// command line's. None when both are set in the same kind of place.
fn stronger(config: &Config, a: &'static str, b: &'static str) -> Option<&'static str> {
    let on_command_line = |setting: &str| {
        matches!(
            config.origins.of(setting).first(),
            Some(Origin::CommandLine(_))
        )
    };
    match (config.origins.is_explicit(a), config.origins.is_explicit(b)) {
        (true, false) => Some(a),
        (false, true) => Some(b),
        (true, true) if on_command_line(a) && !on_command_line(b) => Some(a),
        (true, true) if on_command_line(b) && !on_command_line(a) => Some(b),
        _ => None,
    }
}

fn contradiction(config: &Config, a: &str, b: &str, found: &mut Findings) {
    let (a, b) = (config.origins.quoted(a), config.origins.quoted(b));
    found.conflict(format!(
        "{a} and {b} contradict each other; keep one of them"
    ));
}

/// XZ and CompressOutput are two ways to say what compresses the finished image.
pub(super) fn of_output(config: &mut Config, found: &mut Findings) {
    const XZ: &str = "XZ";
    const OUTPUT: &str = "CompressOutput";
    let by_xz = config.xz.then_some(CompressOutput::Xz);
    let (chosen, by) = match stronger(config, XZ, OUTPUT) {
        Some(XZ) => (by_xz, XZ),
        Some(_) => (config.compress_output, OUTPUT),
        None if config.origins.is_explicit(XZ) => {
            if config.xz != (config.compress_output == Some(CompressOutput::Xz)) {
                contradiction(config, XZ, OUTPUT, found);
            }
            return;
        }
        None if config.format == Format::Tar => (Some(CompressOutput::Xz), "Format=tar"),
        None => return,
    };
    let chosen = if config.format.is_tree() && chosen.is_some() {
        let (by, format) = (config.origins.quoted(by), config.format);
        found.warn(Warning(format!("{by} has no effect with Format={format}")));
        None
    } else {
        chosen
    };
    for other in [XZ, OUTPUT].into_iter().filter(|other| *other != by) {
        config.origins.imply(other, by);
    }
    config.xz = chosen == Some(CompressOutput::Xz);
    config.compress_output = chosen;
}

/// Compress and CompressFs are two names of one setting.
pub(super) fn within(config: &mut Config, found: &mut Findings) {
    const COMPRESS: &str = "Compress";
    const FS: &str = "CompressFs";
    match stronger(config, COMPRESS, FS) {
        Some(COMPRESS) => {
            config.compress_fs = config.compress;
            config.origins.imply(FS, COMPRESS);
        }
        Some(_) => {
            config.compress = config.compress_fs;
            config.origins.imply(COMPRESS, FS);
        }
        None if config.compress != config.compress_fs => contradiction(config, COMPRESS, FS, found),
        None => {}
    }
    if !config.format.is_btrfs() {
        return;
    }
    let known = [Compression::Zlib, Compression::Lzo, Compression::Zstd];
    let algorithm = !matches!(config.compress, Compression::Off | Compression::On);
    if algorithm && !known.contains(&config.compress) {
        let by = if config.origins.is_explicit(COMPRESS) {
            COMPRESS
        } else {
            FS
        };
        let names: Vec<_> = known.iter().map(|algorithm| algorithm.as_str()).collect();
        found.conflict(format!(
            "{}: btrfs cannot compress with it; it knows {}",
            config.origins.quoted(by),
            names.join(", ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::Fixture;

    #[test]
    fn two_settings_say_what_compresses_the_image() {
        for (args, xz, compress_output) in [
            ("", "false", "null"),
            ("--xz", "true", "\"xz\""),
            ("--compress-output", "true", "\"xz\""),
            ("--compress-output=zstd", "false", "\"zstd\""),
            ("--xz=no --compress-output=gz", "false", "\"gz\""),
            ("-t tar", "true", "\"xz\""),
            ("-t tar --xz=no", "false", "null"),
            ("-t tar --compress-output=no", "false", "null"),
            ("-t tar --compress-output=zstd", "false", "\"zstd\""),
            ("-t directory", "false", "null"),
        ] {
            let fixture = Fixture::new().args(args);
            assert_eq!(fixture.json("XZ"), xz, "{args}");
            assert_eq!(fixture.json("CompressOutput"), compress_output, "{args}");
        }
    }

    #[test]
    fn the_command_line_settles_a_contradiction() {
        let settings = "[Output]\nXZ=yes\nCompressOutput=zstd\n";
        let errors = Fixture::with(settings).errors();
        let expected = "XZ=yes (mkosi.default:2) and CompressOutput=zstd (mkosi.default:3) contradict each other; keep one of them";
        assert_eq!(errors, [expected]);
        assert_eq!(
            Fixture::with(settings).args("--xz").json("CompressOutput"),
            "\"xz\""
        );
    }

    #[test]
    fn compression_within_file_systems() {
        for (args, compress) in [
            ("-t gpt_squashfs", "true"),
            ("-t gpt_squashfs --compress=lz4", "\"lz4\""),
            ("-t gpt_squashfs --compress-fs=xz", "\"xz\""),
            ("-t gpt_btrfs", "false"),
            ("-t gpt_btrfs --compress", "true"),
        ] {
            let fixture = Fixture::new().args(args);
            assert_eq!(fixture.json("Compress"), compress, "{args}");
            assert_eq!(fixture.json("CompressFs"), compress, "{args}");
        }
        let errors = Fixture::new().args("-t gpt_btrfs --compress=lz4").errors();
        let expected = "Compress=lz4 (command line (--compress)): btrfs cannot compress with it; it knows zlib, lzo, zstd";
        assert_eq!(errors, [expected]);
    }
}
