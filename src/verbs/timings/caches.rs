//! What a run had from caches, and why not the rest.

use super::data::{Image, Timings};
use super::html::Html;
use crate::engine::layers::why::Outcome;
use crate::host::human_size;
use crate::verbs::why;

/// What was decided about the image's cached trees.
pub fn trees(image: &Image, to: &mut Html) {
    let Some(verdicts) = &image.layers else {
        to.raw("<p>No tree with packages was kept or used: that takes <code>Incremental=yes</code> (<code>-i</code>).</p>\n");
        return;
    };
    to.raw("<ul>\n");
    for verdict in verdicts {
        let text = why::text(verdict);
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        to.raw("<li>").text(first);
        // With -ff the tree that is there is as good as none.
        let made = image.steps.iter().any(|step| {
            let kind = verdict.layer.name();
            step.title == format!("Keeping the {kind} tree")
        });
        if made && matches!(verdict.outcome, Outcome::Reused { .. }) {
            to.raw(" <strong>and yet made again, as the steps say</strong>");
        }
        if !rest.trim().is_empty() {
            to.raw("<pre>").text(rest.trim_end()).raw("</pre>");
        }
        to.raw("</li>\n");
    }
    to.raw("</ul>\n");
}

/// What was downloaded.
pub fn packages(timings: &Timings, to: &mut Html) {
    if timings.package_caches.is_empty() {
        to.raw("<p>Downloaded packages are not kept: <code>Cache=</code> or a directory <code>mkosi.cache</code> does that.</p>\n");
        return;
    }
    to.raw("<ul>\n");
    for cache in &timings.package_caches {
        let more = cache.after.saturating_sub(cache.before);
        to.raw("<li><code>")
            .text(&cache.directory)
            .raw("</code> held ");
        to.text(&human_size(cache.before)).raw(" before; ");
        if more > 0 {
            to.text(&human_size(more)).raw(" came in");
        } else {
            to.raw("nothing came in");
        }
        to.raw(".</li>\n");
    }
    to.raw("</ul>\n");
}
