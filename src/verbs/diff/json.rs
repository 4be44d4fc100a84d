//! The findings for programs.

use serde_json::{Map, Value as Json, json};

use super::Findings;
use crate::host::printable_path;
use crate::output::Package;
use crate::tree::compare::{Aspect, Difference, Node};
use crate::tree::{Kind, shown_path};

/// All findings. Names that are no text are escaped as they are for people.
pub(super) fn of(findings: &Findings) -> Json {
    let image = |nth: usize| {
        let (path, system) = &findings.images[nth];
        let totals = [findings.files.before, findings.files.after][nth];
        json!({
            "path": printable_path(path),
            "system": system,
            "packages": findings.packages.counts[nth],
            "entries": totals.entries,
            "bytes": totals.bytes,
        })
    };
    let packages = &findings.packages;
    let changed = packages.changed.iter().map(|(old, new)| {
        json!({
            "type": new.kind,
            "name": new.name,
            "architecture": new.architecture,
            "before": old.version,
            "after": new.version,
        })
    });
    json!({
        "same": findings.same(),
        "before": image(0),
        "after": image(1),
        "packages": {
            "added": list(&packages.added),
            "removed": list(&packages.removed),
            "changed": changed.collect::<Vec<_>>(),
        },
        "files": findings.files.differences.iter().map(file).collect::<Vec<_>>(),
    })
}

fn list(packages: &[Package]) -> Vec<Json> {
    packages.iter().map(|package| json!(package)).collect()
}

fn file(difference: &Difference) -> Json {
    let mut object = Map::new();
    object.insert("path".into(), json!(shown_path(&difference.path)));
    let change = match (&difference.before, &difference.after) {
        (Some(_), Some(_)) => "changed",
        (Some(_), None) => "removed",
        _ => "added",
    };
    object.insert("change".into(), change.into());
    if !difference.aspects.is_empty() {
        let names: Vec<&str> = difference.aspects.iter().map(name).collect();
        object.insert("aspects".into(), json!(names));
    }
    let attributes = difference.aspects.iter().find_map(|aspect| match aspect {
        Aspect::Attributes(names) => Some(names),
        _ => None,
    });
    if let Some(names) = attributes {
        object.insert("attributes".into(), json!(names));
    }
    for (key, side) in [("before", &difference.before), ("after", &difference.after)] {
        if let Some(found) = side {
            object.insert(key.into(), node(found));
        }
    }
    object.into()
}

const fn name(aspect: &Aspect) -> &'static str {
    match aspect {
        Aspect::Kind => "type",
        Aspect::Content => "content",
        Aspect::Mode => "mode",
        Aspect::Owner => "owner",
        Aspect::Target => "target",
        Aspect::Device => "device",
        Aspect::Attributes(_) => "attributes",
    }
}

fn node(node: &Node) -> Json {
    let kind = match node.kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Symlink => "link",
        Kind::Fifo => "pipe",
        Kind::Socket => "socket",
        Kind::Device => "device",
    };
    let mut object = Map::new();
    object.insert("type".into(), kind.into());
    object.insert("mode".into(), json!(format!("{:04o}", node.mode)));
    object.insert("uid".into(), node.uid.into());
    object.insert("gid".into(), node.gid.into());
    if let Some(size) = node.size {
        object.insert("size".into(), size.into());
    }
    if let Some(target) = &node.target {
        object.insert("target".into(), json!(shown_path(target)));
    }
    if let Some((is_block, major, minor)) = node.device {
        let kind = if is_block { "block" } else { "character" };
        object.insert("device".into(), json!(format!("{kind} {major}:{minor}")));
    }
    object.into()
}
