//! Chart archives, and what charts say of themselves.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use cfrt_providers::helm::chart::Chart;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use crate::mutation::{cases, damaged};
use crate::size::small;

const CHART: &str = "apiVersion: v2\nname: app\nversion: 1.2.3\ndependencies:\n- name: sub\n  version: '*'\n";

const WORDS: &[&str] = &[
    "ustar\0",
    "app/",
    "../",
    "/etc/passwd",
    "\0",
    "77777777777\0",
    "\x7f",
    "Chart.yaml",
    "5",
    "x",
    "g",
    "L",
    "K",
    "2",
    "1",
    "S",
    "30 size=18446744073709551615\n",
    "20 path=a/../b\n",
    "9 size=-1\n",
    "name: ",
    "version: ",
    "type: library\n",
    "&a",
    "- ",
    "\n",
];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).expect("writing to memory does not fail");
    packer.finish().expect("writing to memory does not fail")
}

/// One member of an archive.
fn member(name: &str, sort: u8, bytes: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
    block[156] = sort;
    block.extend(bytes);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

fn tars() -> Vec<Vec<u8>> {
    let chart = member("app/Chart.yaml", b'0', CHART.as_bytes());
    let values = member("app/values.yaml", b'0', b"a: 1\n");
    let extended = member("x", b'x', b"23 path=app/Chart.yaml\n11 size=5\n");
    vec![
        [values.clone(), chart.clone()].concat(),
        [extended, values.clone(), chart.clone()].concat(),
        [member("app/", b'5', b""), member("app/link", b'2', b""), member("l", b'L', b"app/long\0"), values, chart]
            .concat(),
    ]
}

fn open(folder: &Path, archive: &[u8]) -> bool {
    let path = folder.join("app.tgz");
    fs::write(&path, archive).expect("there is room for it");
    Chart::open(&path).is_ok()
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_damaged_archive_is_read_or_refused(tar in damaged(tars(), WORDS), packed in damaged(tars().iter().map(|tar| gzip(tar)).collect(), WORDS)) {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        open(folder.path(), &gzip(&tar));
        open(folder.path(), &packed);
    }

    #[test]
    fn a_chart_that_says_something_strange_of_itself_is_read_or_refused(text in damaged(vec![CHART.into()], WORDS)) {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        fs::write(folder.path().join("Chart.yaml"), text).expect("there is room for it");
        drop(Chart::open(folder.path()));
    }
}

#[test]
fn an_archive_that_unpacks_without_end_is_given_up_at_its_bound() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let mut header = member("app/large", b'0', b"");
    header[124..135].copy_from_slice(b"77777777777");
    let endless = [gzip(&header), gzip(&vec![0; 16 << 20]).repeat(512)].concat();
    assert!(!small("one large file", || open(folder.path(), &endless)));
    let many = [member("app/", b'5', b"").repeat(30_000), member("app/Chart.yaml", b'0', CHART.as_bytes())].concat();
    assert!(!small("folders and nothing else", || open(folder.path(), &gzip(&many))));
    header[156] = b'5';
    let skipped = [gzip(&header), gzip(&vec![0; 16 << 20]).repeat(512)].concat();
    assert!(!small("one large folder", || open(folder.path(), &skipped)));
}

#[test]
fn an_entry_that_says_it_is_as_large_as_can_be_is_refused() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let chart = member("app/Chart.yaml", b'0', CHART.as_bytes());
    for sort in *b"05xL2g" {
        let size = member("pax", b'x', format!("29 size={}\n", u64::MAX).as_bytes());
        let archive = [size, member("app/a", sort, b""), chart.clone()].concat();
        assert!(!open(folder.path(), &gzip(&archive)), "{}", char::from(sort));
    }
}
