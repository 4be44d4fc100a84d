//! The page: one file with everything in it, which loads nothing and runs nothing.

use super::data::{Image, Outcome, Timings};
use super::html::Html;
use super::steps::time;
use super::{caches, contents, steps};
use crate::host::human_size;

/// No address may be asked for anything, and nothing may run, whatever is on the page.
const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
    <title>";

/// The page as HTML.
///
/// # Errors
/// When the data cannot be expressed as JSON.
pub fn page(timings: &Timings) -> serde_json::Result<String> {
    let mut to = Html::default();
    let title = match timings.images.as_slice() {
        [image] => image.name.clone(),
        images => format!("{} images", images.len()),
    };
    to.raw(HEAD)
        .text(&title)
        .raw(": how it was built</title>\n<style>\n");
    to.raw(include_str!("style.css"))
        .raw("</style>\n</head>\n<body>\n<main>\n");
    match timings.images.as_slice() {
        [image] => one(image, timings, &mut to),
        images => several(images, timings, &mut to),
    }
    to.raw("<p class=\"dim\">mkosi ")
        .text(timings.mkosi)
        .raw(", ");
    to.number(timings.processors as u64).raw(" processors. What this page shows is in it as JSON, in the element <code>timings</code>.</p>\n");
    to.raw("</main>\n<script type=\"application/json\" id=\"timings\">");
    to.json(timings)?.raw("</script>\n</body>\n</html>\n");
    Ok(to.into_string())
}

fn one(image: &Image, timings: &Timings, to: &mut Html) {
    to.raw("<h1>").text(&image.name).raw("</h1>\n");
    summary(image, to);
    to.raw("<h2>Time</h2>\n");
    steps::steps(image, to);
    to.raw("<h2>Caches</h2>\n");
    caches::trees(image, to);
    caches::packages(timings, to);
    size(image, to);
}

fn several(images: &[Image], timings: &Timings, to: &mut Html) {
    to.raw("<h1>")
        .number(images.len() as u64)
        .raw(" images</h1>\n<p>In ");
    to.text(&time(timings.seconds))
        .raw(" altogether.</p>\n<h2>Time</h2>\n");
    steps::images(images, timings.seconds, to);
    to.raw("<h2>Downloaded packages</h2>\n");
    caches::packages(timings, to);
    for (number, image) in images.iter().enumerate() {
        to.raw("<section id=\"image-")
            .number(number as u64)
            .raw("\">\n<h2>");
        to.text(&image.name).raw("</h2>\n");
        summary(image, to);
        steps::steps(image, to);
        to.raw("<h3>Caches</h3>\n");
        caches::trees(image, to);
        size(image, to);
        to.raw("</section>\n");
    }
}

fn summary(image: &Image, to: &mut Html) {
    to.raw("<ul class=\"facts\">");
    let outcome = match image.outcome {
        Outcome::Done => "built in",
        Outcome::Failed => "failed after",
        Outcome::Unfinished => "stopped after",
    };
    fact(&time(image.seconds), outcome, to);
    if let Some(contents) = &image.contents {
        fact(&human_size(contents.bytes), "in files", to);
        let count = contents.packages.len().to_string();
        fact(&count, "packages with files", to);
    }
    if let Some(longest) = image
        .steps
        .iter()
        .max_by(|a, b| a.seconds.total_cmp(&b.seconds))
    {
        fact(&time(longest.seconds), "for the longest step", to);
    }
    to.raw("</ul>\n");
    if !image.errors.is_empty() {
        to.raw("<div class=\"errors\"><strong class=\"failed\">Failed</strong><pre>");
        to.text(&image.errors.join("\n")).raw("</pre></div>\n");
    }
    for warning in &image.warnings {
        to.raw("<p><strong>Warning:</strong> ")
            .text(warning)
            .raw("</p>\n");
    }
    if !image.artifacts.is_empty() {
        to.raw("<ul>\n");
        for artifact in &image.artifacts {
            let path = crate::host::printable_path(&artifact.path);
            to.raw("<li><code>")
                .text(&path)
                .raw("</code> <span class=\"dim\">");
            to.text(&human_size(artifact.size)).raw("</span></li>\n");
        }
        to.raw("</ul>\n");
    }
}

fn fact(value: &str, what: &'static str, to: &mut Html) {
    to.raw("<li><b>")
        .text(value)
        .raw("</b>")
        .raw(what)
        .raw("</li>");
}

fn size(image: &Image, to: &mut Html) {
    to.raw("<h2>Size</h2>\n");
    match &image.contents {
        Some(found) => contents::contents(found, to),
        None => {
            to.raw("<p>The build did not come as far as an image that could be measured.</p>\n");
        }
    }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
