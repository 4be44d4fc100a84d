//! Small packages for tests.

/// An ar archive.
pub fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let header = format!(
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
            0,
            0,
            0,
            100_644,
            content.len()
        );
        bytes.extend(header.into_bytes());
        bytes.extend(*content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// A package of two plain tar archives.
pub fn deb(control: &[u8], data: &[u8]) -> Vec<u8> {
    ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", control),
        ("data.tar", data),
    ])
}

/// A tar archive of files; a name that ends in a slash is a directory, ` -> ` makes a symbolic link,
/// ` => ` a hard link.
pub fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(0);
        header.set_mtime(1_000_000_000);
        header.set_uid(0);
        header.set_gid(0);
        let mut data: &[u8] = b"";
        let (name, link) = match (name.split_once(" -> "), name.split_once(" => ")) {
            (Some((name, target)), _) => {
                header.set_entry_type(tar::EntryType::Symlink);
                (name, Some(target))
            }
            (_, Some((name, target))) => {
                header.set_entry_type(tar::EntryType::Link);
                (name, Some(target))
            }
            _ if name.ends_with('/') => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o755);
                (*name, None)
            }
            _ => {
                data = content.as_bytes();
                header.set_size(data.len() as u64);
                (*name, None)
            }
        };
        // The setters of the crate refuse names that hostile archives have.
        let set =
            |field: &mut [u8], value: &str| field[..value.len()].copy_from_slice(value.as_bytes());
        let old = header.as_old_mut();
        set(&mut old.name, name);
        if let Some(target) = link {
            set(&mut old.linkname, target);
        }
        header.set_cksum();
        builder.append(&header, data).unwrap();
    }
    builder.into_inner().unwrap()
}
