//! The example files are good, and the full one has every key.

use super::*;
use crate::config::document::KEYS_BY_PLACE;

#[test]
fn the_minimal_example_is_good() {
    let loaded = load_text(include_str!("../../../examples/minimal/sppm.yaml")).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert!(!loaded.plan.programs.is_empty());
}

#[test]
fn the_full_example_is_good_and_has_every_key() {
    let text = include_str!("../../../examples/full/sppm.yaml");
    let files = [
        (MAIN, text),
        ("/w/app/conf.d/extra.yaml", include_str!("../../../examples/full/conf.d/extra.yaml")),
        ("/w/app/crawler.env", include_str!("../../../examples/full/crawler.env")),
    ];
    let loaded = load_files(&files).unwrap_or_else(|problems| panic!("{}", problems.render(Style::Plain)));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    for (section, _, keys) in KEYS_BY_PLACE {
        for key in *keys {
            assert!(text.contains(&format!("{key}:")), "{section}: {key} is not in the full example");
        }
    }
}
