//! The page of `--timings`, from real builds.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::Value;
use support::{Project, assert_no_leaks, package_cache, root};

/// The page's data.
fn data(page: &Path) -> Value {
    let page = fs::read_to_string(page).expect("a page");
    assert!(page.starts_with("<!DOCTYPE html>"));
    let (_, rest) = page.split_once("id=\"timings\">").expect("data");
    let (json, _) = rest.split_once("</script>").expect("an end");
    serde_json::from_str(json).expect("JSON")
}

/// The bytes of all files, each counted once.
fn bytes(tree: &Path) -> u64 {
    let mut seen = std::collections::HashSet::new();
    let files = walkdir::WalkDir::new(tree).into_iter();
    let files = files.map(|entry| entry.expect("an entry").metadata().expect("metadata"));
    let files = files.filter(|meta| meta.is_file() && seen.insert(meta.ino()));
    files.map(|meta| meta.len()).sum()
}

fn titles(image: &Value) -> Vec<&str> {
    let steps = image["steps"].as_array().unwrap();
    steps
        .iter()
        .map(|step| step["title"].as_str().unwrap())
        .collect()
}

#[test]
fn root_a_page_says_where_time_and_space_went() {
    root();
    let settings = format!(
        "[Distribution]\nDistribution=debian\nRelease=bookworm\n\n[Packages]\nCache={}\n\n\
         [Output]\nFormat=directory\nIncremental=yes\n",
        package_cache().display()
    );
    let project = Project::new();
    project.file("mkosi.default", &settings);
    project.file("mkosi.extra/srv/<b>&\"x\"\n/big", vec![b'x'; 3_000_000]);
    project.script("mkosi.finalize", "#!/bin/sh\nexit 3\n");
    let page = project.path().join("image.timings.html");

    // A build that fails has a page, too.
    project
        .run(&["--timings"])
        .exits(1)
        .says("image.timings.html");
    let failed = data(&page);
    let image = &failed["images"][0];
    assert_eq!(image["outcome"], "failed");
    assert_eq!(image["layers"][0]["outcome"], "new");
    assert_eq!(image["contents"], Value::Null);
    let steps = image["steps"].as_array().unwrap();
    assert_eq!(steps.last().unwrap()["outcome"], "failed");
    let install = steps
        .iter()
        .find(|step| step["note"] == "with apt")
        .unwrap();
    assert_eq!(install["phase"], "base");
    assert!(install["tasks"].as_array().unwrap().len() > 50, "{install}");
    assert!(
        install["commands"].as_array().unwrap().len() > 2,
        "{install}"
    );
    assert!(install["seconds"].as_f64().unwrap() > 0.1, "{install}");

    // One that begins from the packages that are there now.
    fs::remove_file(project.path().join("mkosi.finalize")).unwrap();
    project.run(&["--timings"]).succeeds();
    let built = data(&page);
    let image = &built["images"][0];
    assert_eq!(image["outcome"], "done");
    assert_eq!(image["layers"][0]["outcome"], "reused");
    assert!(
        titles(image).contains(&"Opening the cached base tree"),
        "{image}"
    );
    let contents = &image["contents"];
    assert_eq!(contents["bytes"], bytes(&project.path().join("image")));
    let packages = contents["packages"].as_array().unwrap();
    let size = |name: &str| {
        let package = packages.iter().find(|package| package["name"] == name);
        package.map_or(0, |package| package["bytes"].as_u64().unwrap())
    };
    // /bin/bash is listed where a link leads to /usr/bin.
    for (name, least) in [
        ("bash", 1_000_000),
        ("coreutils", 5_000_000),
        ("libc6", 5_000_000),
    ] {
        assert!(size(name) > least, "{name}: {}", size(name));
    }
    let sum = |of: &Value| -> u64 {
        let shares = of.as_array().unwrap().iter();
        shares.map(|share| share["bytes"].as_u64().unwrap()).sum()
    };
    assert_eq!(
        sum(&contents["packages"]) + sum(&contents["others"]),
        contents["bytes"].as_u64().unwrap()
    );
    let others = contents["others"].as_array().unwrap();
    let srv = others.iter().find(|share| share["bytes"] == 3_000_000);
    assert_eq!(srv.expect("the file")["name"], "/srv/<b>&\"x\"\\n");
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.contains("/srv/&lt;b&gt;&amp;&quot;x&quot;\\n") && !html.contains("<b>&"));

    // Two images of the same packages, on one page.
    fs::remove_dir_all(project.path().join("mkosi.extra")).unwrap();
    project.file("mkosi.files/mkosi.one", format!("{settings}Output=one\n"));
    project.file("mkosi.files/mkosi.two", format!("{settings}Output=two\n"));
    project
        .run(&["--all", "--timings=all.html"])
        .succeeds()
        .says("all.html");
    let all = data(&project.path().join("all.html"));
    let images = all["images"].as_array().unwrap();
    assert_eq!(images.len(), 2);
    for image in images {
        assert_eq!(image["outcome"], "done");
        assert_eq!(image["layers"][0]["outcome"], "reused");
        assert!(
            image["contents"]["bytes"].as_u64().unwrap() > 50_000_000,
            "{image}"
        );
    }

    // The next build without it leaves no page that is not its own.
    project.run(&["-f"]).succeeds();
    assert!(!page.exists());
    project
        .run(&["-f", "--timings=nowhere/page.html"])
        .exits(2)
        .says("name a file in a directory that is there");
    project.run(&["-f", "--timings"]).succeeds();
    project.run(&["clean", "-f"]).succeeds();
    assert!(!page.exists());
    assert_no_leaks(project.path());
}
