//! Every block of YAML in the documentation is a whole, valid file, or is refused as the page says; every link leads to a
//! file that is there.

use super::load::load_text;
use super::pages::{self, Page};
use sppm::config::Style;

/// What is wrong with the YAML of a page. A block after `<!-- refused: TEXT -->` must be refused with that text.
fn complaints(page: &Page) -> Vec<String> {
    let mut found = Vec::new();
    for block in pages::blocks(&page.text).iter().filter(|block| block.language == "yaml") {
        let place = format!("{}:{}", page.name, block.line);
        let wanted = block.before.strip_prefix("<!-- refused: ").and_then(|rest| rest.strip_suffix(" -->"));
        match (load_text(&block.text()), wanted) {
            (Ok(loaded), None) => {
                found.extend(loaded.warnings.iter().map(|warning| format!("{place}: {}", warning.message)));
            }
            (Ok(_), Some(wanted)) => found.push(format!("{place}: is not refused with {wanted:?}")),
            (Err(problems), None) => found.push(format!("{place}: {}", problems.render(Style::Plain))),
            (Err(problems), Some(wanted)) => {
                let said = problems.render(Style::Plain);
                if !said.contains(wanted) {
                    found.push(format!("{place}: does not say {wanted:?}: {said}"));
                }
            }
        }
    }
    found
}

/// Links to files of the project that are not there.
fn dead_links(page: &Page) -> Vec<String> {
    let folder = pages::root().join(&page.name).parent().unwrap().to_owned();
    let targets = page.text.match_indices("](").map(|(at, _)| {
        let rest = &page.text[at + 2..];
        &rest[..rest.find(')').unwrap_or(0)]
    });
    let local = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    let paths = local.map(|target| target.split('#').next().unwrap());
    let dead = paths.filter(|path| !folder.join(path).exists());
    dead.map(|path| format!("{}: there is no {path}", page.name)).collect()
}

#[test]
fn every_file_in_the_documentation_is_valid() {
    let pages = pages::all();
    let found: Vec<String> = pages.iter().flat_map(complaints).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
    let count =
        |page: &Page| pages::blocks(&page.text).iter().filter(|block| block.language == "yaml").count();
    assert!(pages.iter().map(count).sum::<usize>() >= 7, "the blocks are not found any more");
}

#[test]
fn every_link_leads_somewhere() {
    let found: Vec<String> = pages::all().iter().flat_map(dead_links).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn the_configuration_of_the_package_is_valid() {
    let text = std::fs::read_to_string(pages::root().join("packaging/sppm.yaml")).unwrap();
    assert!(load_text(&text).is_ok_and(|loaded| loaded.warnings.is_empty()));
    // The file in its comment too, as people will uncomment it.
    let inside: String =
        text.lines().filter_map(|line| line.strip_prefix("#   ")).flat_map(|line| [line, "\n"]).collect();
    assert!(inside.starts_with("programs:"), "{inside}");
    load_text(&inside).unwrap_or_else(|problems| panic!("{}", problems.render(Style::Plain)));
}

#[test]
fn what_is_wrong_is_found() {
    let page = |text: &str| Page { name: "docs/x.md".into(), text: text.into() };
    let refused = |what: &str| {
        complaints(&page(&format!(
            "<!-- refused: {what} -->\n```yaml\nprograms: {{ a: {{ comand: x }} }}\n```\n"
        )))
    };
    assert_eq!(refused("did you mean"), Vec::<String>::new());
    assert_eq!(refused("something else").len(), 1);
    assert_eq!(complaints(&page("```yaml\nprograms: { a: { comand: x } }\n```\n")).len(), 1);
    assert_eq!(complaints(&page("<!-- refused: x -->\n```yaml\nprograms: {}\n```\n")).len(), 1);
    assert_eq!(dead_links(&page("[a](command.md) [b](nowhere.md#x) [c](https://x.y) [d](#e)")).len(), 1);
}
