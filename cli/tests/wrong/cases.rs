//! The case folders of `testdata/cli`.

use crate::transcript::check;

#[test]
fn every_mistake_that_the_file_alone_shows_has_its_text() {
    check("alone", &[], &[]);
}
