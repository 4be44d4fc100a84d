//! The steps that make something of a finished image, or write what stands beside it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::site::Site;
use super::{EngineError, StepError};
use crate::distro::provenance::Provenance;
use crate::host::{Host, Quiet, fail_point, human_size};
use crate::output::{self, Digest, OutputError, Wanted};
use crate::plan::{LayerKind, Manifest, Reading};

/// Announces an artifact and returns where it has to be made.
pub(super) fn stage(site: &mut Site<'_>, artifact: &Path) -> Result<PathBuf, StepError> {
    let name = artifact.file_name().unwrap_or(artifact.as_os_str());
    Ok(site.staging.add(name)?)
}

/// Where the image has to be written: as an artifact, or as a draft of one.
pub(super) fn image_target(site: &mut Site<'_>) -> Result<PathBuf, StepError> {
    if site.build.plan.image_is_draft() {
        Ok(site.scratch.join("image"))
    } else {
        stage(site, site.build.names.image())
    }
}

/// Keeps the checksum of an artifact for the file of all checksums.
pub(super) fn remember(digest: Option<Digest>, artifact: &Path, site: &mut Site<'_>) {
    if let (Some(digest), Some(name)) = (digest, artifact.file_name()) {
        site.digests.insert(name.to_owned(), digest);
    }
}

pub(super) fn manifest(
    manifest: &Manifest,
    site: &mut Site<'_>,
    host: &Host,
) -> Result<String, StepError> {
    let project = &site.build.context.directory;
    let materials = site.materials.iter().flatten();
    let inputs = materials.map(|one| one.named(project)).collect();
    let list = list(manifest, site, host)?.made_from(inputs);
    let path = stage(site, &site.build.names.manifest())?;
    write(&path, |file| list.write(file))?;
    Ok(format!("{} packages", list.packages().len()))
}

pub(super) fn packages(
    manifest: &Manifest,
    site: &mut Site<'_>,
    host: &Host,
) -> Result<String, StepError> {
    let list = list(manifest, site, host)?;
    let path = stage(site, &site.build.names.packages())?;
    write(&path, |file| list.write_lines(file))?;
    Ok(String::new())
}

pub(super) fn changelog(
    manifest: &Manifest,
    site: &mut Site<'_>,
    host: &Host,
) -> Result<String, StepError> {
    let log = output::Changelog::read(&list(manifest, site, host)?, &site.tree, host)?;
    let path = stage(site, &site.build.names.changelog())?;
    write(&path, |file| log.write(file))?;
    Ok(format!("{} sources", log.sources()))
}

fn list(manifest: &Manifest, site: &Site<'_>, host: &Host) -> Result<output::Manifest, StepError> {
    let subject = output::Subject {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        distribution: manifest.distribution.clone(),
        release: manifest.release.clone(),
        architecture: manifest.architecture.clone(),
    };
    let mut list = output::Manifest::read(subject.clone(), &site.tree, host)?;
    if let Some(base) = &site.base {
        // The image holds only what the base image does not.
        list = list.without(&output::Manifest::read(subject, base, host)?);
    }
    let of_image = site
        .provenance
        .iter()
        .filter(|(kind, _)| *kind == LayerKind::Base);
    let mut provenance = Provenance::default();
    for (_, known) in of_image {
        provenance.add(known.as_ref().unwrap_or(&Provenance::default()));
    }
    Ok(list.from(&provenance))
}

/// Makes a new file.
fn write(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), EngineError> {
    File::create_new(path)
        .and_then(|file| {
            fail_point::reach("artifact-created", path.display())?;
            let mut file = BufWriter::new(file);
            content(&mut file)?;
            file.flush()
        })
        .map_err(EngineError::path("write", path))
}

pub(super) fn nspawn(settings: &Path, site: &mut Site<'_>) -> Result<(), StepError> {
    let target = stage(site, &site.build.names.nspawn())?;
    // Its mode is no more the user's than its owner.
    fs::read(settings)
        .map_err(EngineError::path("read", settings))
        .and_then(|text| write(&target, |file| file.write_all(&text)))?;
    Ok(())
}

/// Makes a QCOW2 image of the raw one, which goes.
pub(super) fn convert(site: &mut Site<'_>, host: &Host) -> Result<(), StepError> {
    let target = if site.build.plan.compresses_image() {
        site.scratch.join("image.qcow2")
    } else {
        stage(site, site.build.names.image())?
    };
    output::qcow2::convert(&site.image, &target, host)?;
    fail_point::reach("image-converted", target.display())
        .map_err(EngineError::path("write", &target))?;
    drop_draft(site)?;
    site.image = target;
    Ok(())
}

/// Compresses and maps the image, and computes its checksum on the way.
pub(super) fn read(
    reading: Reading,
    site: &mut Site<'_>,
    host: &Host,
) -> Result<String, StepError> {
    let target = match reading.compression {
        None => None,
        Some(compression) => Some((stage(site, site.build.names.image())?, compression)),
    };
    let wanted = Wanted {
        compressed: target
            .as_ref()
            .map(|(path, compression)| (path.as_path(), *compression)),
        map: reading.map.then_some(&[]),
        digest: site.build.plan.has_checksums(),
    };
    let made = output::read_image(&site.image, wanted, host)?;
    if let Some((path, _)) = target {
        drop_draft(site)?;
        site.image = path;
    }
    remember(made.digest, &site.image.clone(), site);
    let mut note = String::new();
    if let Some(map) = made.map {
        let path = stage(site, &site.build.names.bmap())?;
        write(&path, |file| file.write_all(map.to_xml().as_bytes()))?;
        note = format!("{} mapped", human_size(map.mapped() * output::bmap::BLOCK));
    }
    Ok(note)
}

/// Removes the image that something else was made of: its space may be needed.
fn drop_draft(site: &Site<'_>) -> Result<(), EngineError> {
    fs::remove_file(&site.image).map_err(EngineError::path("remove", &site.image))
}

/// Writes the checksums of all artifacts: those that came about on the way, and the others now,
/// several at a time.
pub(super) fn checksums(site: &mut Site<'_>, host: &Host) -> Result<String, StepError> {
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    let keys = [
        site.build.names.ssh_key(),
        site.build.names.ssh_public_key(),
    ];
    let is_key = |name: &OsString| keys.iter().any(|key| key.file_name() == Some(name));
    // A key stays where it is: who gets the image does not get it.
    for name in site.staging.names().iter().filter(|name| !is_key(name)) {
        let path = site.staging.path(name);
        match (site.digests.get(name), path.is_dir()) {
            (Some(digest), _) => known.push((name.clone(), *digest)),
            (None, false) => unknown.push((name.clone(), path)),
            (None, true) => host
                .report
                .warn("SHA256SUMS has no line for the image: a directory has no checksum"),
        }
    }
    // Progress is that of the largest file: it is what takes time.
    let size = |path: &PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
    let largest = unknown.iter().map(|(_, path)| size(path)).max();
    let quiet = host.clone().with_report(Arc::new(Quiet));
    let computed: Vec<_> = unknown
        .into_par_iter()
        .map(|(name, path)| {
            let wanted = Wanted {
                digest: true,
                ..Wanted::default()
            };
            let host = if Some(size(&path)) == largest {
                host
            } else {
                &quiet
            };
            output::read_image(&path, wanted, host).map(|made| (name, made.digest))
        })
        .collect::<Result<_, OutputError>>()?;
    for (name, digest) in computed {
        known.extend(digest.map(|digest| (name, digest)));
    }
    let path = stage(site, &site.build.names.checksums())?;
    write(&path, |file| {
        file.write_all(&output::checksums::text(&known))
    })?;
    Ok(match known.len() {
        1 => "of 1 file".to_owned(),
        files => format!("of {files} files"),
    })
}

pub(super) fn sign(site: &mut Site<'_>, host: &Host) -> Result<(), StepError> {
    let Some(signer) = site.build.signer else {
        return Ok(());
    };
    let name = site.build.names.checksums();
    let path = site
        .staging
        .path(name.file_name().unwrap_or(name.as_os_str()));
    let file = File::open(&path).map_err(EngineError::path("read", &path))?;
    let signature = signer.sign(file, host)?;
    let target = stage(site, &site.build.names.signature())?;
    write(&target, |file| file.write_all(&signature))?;
    Ok(())
}
