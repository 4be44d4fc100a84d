//! What takes how much of an image: a map, and tables that say the same.

use super::html::Html;
use super::treemap::{Rect, squarify};
use crate::host::human_size;
use crate::output::{Contents, Share};

/// The map's sides, as its style has them.
const MAP: Rect = Rect {
    x: 0.0,
    y: 0.0,
    width: 16.0,
    height: 9.0,
};
/// What is smaller than this part of the image is put together with others: nobody could point at it.
const SMALLEST: f64 = 1.0 / 3000.0;

/// Shows `contents`.
pub fn contents(contents: &Contents, to: &mut Html) {
    let others: u64 = contents.others.iter().map(|share| share.bytes).sum();
    to.raw("<p>")
        .text(&human_size(contents.bytes))
        .raw(" in ")
        .number(contents.files);
    to.raw(" files; ")
        .text(&human_size(others))
        .raw(" of that are of no package.</p>\n");
    to.raw("<p class=\"legend\" aria-hidden=\"true\"><i></i>packages <i class=\"other\"></i>files of no package, by directory</p>\n");
    map(contents, others, to);
    table(
        "Packages",
        "Package",
        &contents.packages,
        contents.bytes,
        to,
    );
    table(
        "Files of no package",
        "Directory",
        &contents.others,
        contents.bytes,
        to,
    );
    largest(contents, to);
}

fn map(contents: &Contents, others: u64, to: &mut Html) {
    let mut groups: Vec<Tile<'_>> = tiles(&contents.packages, contents.bytes, "packages");
    if others > 0 {
        let text = "of no package".to_owned();
        groups.push(Tile::new(text, others, None));
    }
    groups.sort_by_key(|tile| std::cmp::Reverse(tile.bytes));
    to.raw("<div class=\"map\" role=\"img\" aria-label=\"A map of the image's size; the tables below say the same\">");
    for (tile, rect) in groups.iter().zip(squarify(&sizes(&groups), MAP)) {
        if tile.files.is_some() {
            draw(tile, rect, "", contents.bytes, to);
        } else {
            let parts = tiles(&contents.others, contents.bytes, "directories");
            for (part, rect) in parts.iter().zip(squarify(&sizes(&parts), rect)) {
                draw(part, rect, "other", contents.bytes, to);
            }
        }
    }
    to.raw("</div>\n");
}

/// One rectangle of the map.
struct Tile<'a> {
    name: std::borrow::Cow<'a, str>,
    bytes: u64,
    /// None for the group of all files without a package.
    files: Option<u64>,
}

impl<'a> Tile<'a> {
    fn new(name: impl Into<std::borrow::Cow<'a, str>>, bytes: u64, files: Option<u64>) -> Self {
        Self {
            name: name.into(),
            bytes,
            files,
        }
    }
}

/// The largest first, and all that are too small together in the last.
fn tiles<'a>(shares: &'a [Share], total: u64, what: &str) -> Vec<Tile<'a>> {
    let small = |share: &&Share| part(share.bytes, total) < SMALLEST;
    let mut tiles: Vec<Tile<'_>> = shares
        .iter()
        .filter(|share| !small(share))
        .map(|share| Tile::new(&share.name, share.bytes, Some(share.files)))
        .collect();
    let rest = || shares.iter().filter(small);
    let bytes = rest().map(|share| share.bytes).sum();
    if bytes > 0 {
        let name = format!("{} smaller {what}", rest().count());
        let files = rest().map(|share| share.files).sum();
        tiles.push(Tile::new(name, bytes, Some(files)));
    }
    tiles.sort_by_key(|tile| std::cmp::Reverse(tile.bytes));
    tiles
}

fn sizes(tiles: &[Tile<'_>]) -> Vec<f64> {
    tiles.iter().map(|tile| tile.bytes as f64).collect()
}

fn part(bytes: u64, total: u64) -> f64 {
    if total == 0 {
        0.0
    } else {
        bytes as f64 / total as f64
    }
}

fn percent(bytes: u64, total: u64) -> String {
    format!("{:.1} %", part(bytes, total) * 100.0)
}

fn draw(tile: &Tile<'_>, rect: Rect, class: &'static str, total: u64, to: &mut Html) {
    let size = human_size(tile.bytes);
    let title = format!(
        "{}: {size}, {}, {} files",
        tile.name,
        percent(tile.bytes, total),
        tile.files.unwrap_or(0)
    );
    to.raw("<div class=\"tile ")
        .raw(class)
        .raw("\" style=\"left:");
    to.percent(rect.x / MAP.width)
        .raw(";top:")
        .percent(rect.y / MAP.height);
    to.raw(";width:")
        .percent(rect.width / MAP.width)
        .raw(";height:");
    to.percent(rect.height / MAP.height)
        .raw("\" title=\"")
        .text(&title);
    to.raw("\"><span>").text(&tile.name).raw("</span><span>");
    to.text(&size).raw("</span></div>\n");
}

fn table(caption: &'static str, of: &'static str, shares: &[Share], total: u64, to: &mut Html) {
    if shares.is_empty() {
        return;
    }
    to.raw("<details><summary>")
        .raw(caption)
        .raw(" as a table (");
    to.number(shares.len() as u64)
        .raw(")</summary><div class=\"scroll\" tabindex=\"0\"><table><caption>");
    to.raw(caption)
        .raw(", the largest first</caption>\n<thead><tr><th scope=\"col\">")
        .raw(of);
    to.raw("</th><th scope=\"col\" class=\"n\">Size</th><th scope=\"col\" class=\"n\">Part</th>");
    to.raw("<th scope=\"col\" class=\"n\">Files</th></tr></thead><tbody>\n");
    for share in shares {
        to.raw("<tr><th scope=\"row\">")
            .text(&share.name)
            .raw("</th><td class=\"n\">");
        to.text(&human_size(share.bytes))
            .raw("</td><td class=\"n\">");
        to.text(&percent(share.bytes, total))
            .raw("</td><td class=\"n\">");
        to.number(share.files).raw("</td></tr>\n");
    }
    to.raw("</tbody></table></div></details>\n");
}

fn largest(contents: &Contents, to: &mut Html) {
    to.raw(
        "<details><summary>The largest files</summary><div class=\"scroll\" tabindex=\"0\"><table>",
    );
    to.raw("<caption>The largest files</caption><thead><tr><th scope=\"col\">File</th>");
    to.raw("<th scope=\"col\" class=\"n\">Size</th><th scope=\"col\">Package</th></tr></thead><tbody>\n");
    for file in &contents.largest {
        to.raw("<tr><th scope=\"row\">")
            .text(&file.path)
            .raw("</th><td class=\"n\">");
        to.text(&human_size(file.bytes)).raw("</td><td>");
        to.text(file.package.as_deref().unwrap_or("none"))
            .raw("</td></tr>\n");
    }
    to.raw("</tbody></table></div></details>\n");
}
