//! Whose fault it is when a build cannot be planned: exit status 1 where this host lacks something that is
//! then named, 2 where the project is wrong. Projects here have the shapes of ones that are in use.

#![allow(clippy::expect_used, clippy::panic)]

mod support;

use support::{Project, Run};

/// Plans a project's build.
fn plan(project: &Project) -> Run {
    project.run(&["plan", "--json"])
}

/// What is missing, by the plan's own list.
fn missing(run: &Run) -> Vec<String> {
    let plan: serde_json::Value = serde_json::from_str(&run.stdout).expect("a plan");
    let missing = plan["Missing"].as_array().expect("a list").iter();
    missing
        .map(|line| line.as_str().expect("text").to_owned())
        .collect()
}

fn project(settings: &str) -> Project {
    let project = Project::new();
    project.file("mkosi.default", settings);
    project
}

const CENTOS: &str = "[Distribution]\nDistribution=centos\nRelease=9\n";
const DEBIAN: &str =
    "[Distribution]\nDistribution=debian\nRelease=bookworm\n[Output]\nFormat=tar\n";

#[test]
fn what_the_host_lacks_is_named_in_the_plan() {
    for (settings, expected) in [
        (
            // Of whatever host this runs on.
            format!("{CENTOS}UseHostRepositories=yes\nRepositories=of-no-host-at-all\n"),
            "*.repo file",
        ),
        (
            format!("{CENTOS}RepositoryDirectories=gone\nRepositories=in-gone\n"),
            "RepositoryDirectories: gone does not exist",
        ),
        (
            format!("{CENTOS}Repositories=in-gone\n[Packages]\nSkeletonTrees=gone\n"),
            "SkeletonTrees: gone does not exist",
        ),
        (
            format!("{DEBIAN}BaseImage=/nonexistent/base\n"),
            "BaseImage: /nonexistent/base does not exist",
        ),
        (
            format!("{DEBIAN}[Packages]\nBuildSources=gone\nBuildScript=gone.build\n"),
            "BuildSources: gone does not exist",
        ),
    ] {
        let project = project(&settings);
        let run = plan(&project);
        run.exits(1).says(expected);
        let missing = missing(&run);
        let named = missing.iter().filter(|line| line.contains(expected));
        assert_eq!(named.count(), 1, "{missing:?}");
    }
}

#[test]
fn what_is_wrong_with_the_project_is_not_the_hosts_fault() {
    for (settings, expected) in [
        (
            format!("{CENTOS}Repositories=nosuch\n"),
            "has no repository",
        ),
        (
            "[Output]\nFormat=disk\n".to_owned(),
            "mkosi.default:2: Format=disk: expected",
        ),
        (
            "[Distribution]\nDistribution=openmandriva\n".to_owned(),
            "Distribution=openmandriva: expected",
        ),
        // A link that was stored as the name that it leads to.
        (
            "fedora.mkosi".to_owned(),
            "mkosi.default:1: expected Key=Value",
        ),
        (
            format!("{DEBIAN}UseHostRepositories=yes\n"),
            "UseHostRepositories: Debian has no repository files",
        ),
    ] {
        let project = project(&settings);
        plan(&project).exits(2).says(expected);
    }
}

/// Archives that keep no modes make these of projects in order.
#[test]
fn modes_that_were_lost_are_the_projects() {
    for (name, content, lost, kept, expected) in [
        ("mkosi.postinst", "#!/bin/sh\n", 0o644, 0o755, "chmod +x"),
        ("mkosi.finalize", "#!/bin/sh\n", 0o444, 0o555, "chmod +x"),
        ("mkosi.rootpw", "secret\n", 0o444, 0o400, "chmod 600"),
    ] {
        let project = project(DEBIAN);
        project.file(name, content).mode(name, lost);
        plan(&project).exits(2).says(expected);
        project.mode(name, kept);
        let run = plan(&project);
        assert!(missing(&run).iter().all(|line| !line.contains(name)));
        assert_ne!(run.code, Some(2), "{}", run.stderr);
    }
}
