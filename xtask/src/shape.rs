//! Prints how large files and functions are and how much is documented, for each crate beside its bounds.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::source::{self, Contents, TextFile};

/// What is measured of one crate.
#[derive(Default)]
struct Shape {
    file_lines: Vec<usize>,
    function_lines: Vec<usize>,
    code_lines: usize,
    test_lines: usize,
    documentation_lines: usize,
    comment_lines: usize,
    public: usize,
    documented: usize,
    panics: usize,
}

/// Prints a row for each crate, one for all, and one with the bounds.
pub(crate) fn run() -> Result<()> {
    let mut crates: BTreeMap<String, Shape> = BTreeMap::new();
    for file in source::text_files(&source::root()?)?.iter().filter(|file| file.is("rs")) {
        let contents = source::contents(file)?;
        let name = file.path.iter().next().unwrap_or_default().to_string_lossy().into_owned();
        for row in [name, "all".to_owned()] {
            crates.entry(row).or_default().add(file, &contents);
        }
    }
    // Median, the longest of nine in ten, and the longest.
    println!(
        "{:10} {:>6} {:>15} {:>13} {:>8}  {:>5} {:>8} {:>7} {:>6}",
        "crate", "lines", "file 50/90/max", "fn 50/90/max", "pub doc", "doc", "comment", "panics", "tests"
    );
    let all = crates.remove("all");
    for (name, shape) in
        crates.iter().map(|(name, shape)| (name.as_str(), shape)).chain(all.as_ref().map(|all| ("all", all)))
    {
        println!("{name:10} {shape}");
    }
    println!(
        "{:10} {:>6} {:>15} {:>13} {:>8}  {:>5} {:>8} {:>7} {:>6}",
        "bounds", "", "150/350/500", "12/35/60", "100%", "", "3-8%", "2.0", "1-2"
    );
    println!(
        "doc and comment: share of code lines; panics: unwrap and expect for each 1000 lines; tests: lines for each line of code"
    );
    Ok(())
}

impl Shape {
    fn add(&mut self, file: &TextFile, contents: &Contents) {
        let lines = file.text.lines().count();
        let tests = if file.is_test() { lines } else { contents.test_lines };
        self.file_lines.push(lines);
        self.function_lines
            .extend(contents.functions.iter().filter(|function| !function.is_test).map(|function| function.lines));
        self.test_lines += tests;
        self.code_lines += lines - tests;
        for line in file.text.lines().take(lines - tests).map(str::trim_start) {
            let is_documentation = line.starts_with("///") || line.starts_with("//!");
            self.documentation_lines += usize::from(is_documentation);
            self.comment_lines += usize::from(line.starts_with("//") && !is_documentation);
        }
        self.public += contents.public;
        self.documented += contents.documented;
        self.panics += contents.panics;
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.code_lines.max(1);
        write!(
            formatter,
            "{:>6} {:>15} {:>13} {:>7}%  {:>4}% {:>6.1}% {:>7.1} {:>6.1}",
            self.code_lines,
            spread(&self.file_lines),
            spread(&self.function_lines),
            100 * self.documented / self.public.max(1),
            100 * self.documentation_lines / code,
            100.0 * self.comment_lines as f64 / code as f64,
            1000.0 * self.panics as f64 / code as f64,
            self.test_lines as f64 / code as f64,
        )
    }
}

/// The median, the ninth tenth and the greatest of some numbers.
fn spread(numbers: &[usize]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let at = |tenths: usize| {
        sorted.get((sorted.len() * tenths / 10).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
    };
    format!("{}/{}/{}", at(5), at(9), at(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_median_ninth_tenth_and_greatest() {
        assert_eq!(spread(&(1..=100).rev().collect::<Vec<_>>()), "51/91/100");
        assert_eq!(spread(&[7]), "7/7/7");
        assert_eq!(spread(&[]), "0/0/0");
    }

    #[test]
    fn tests_inside_a_file_are_no_code() {
        let text = "//! Doc.\n// Why.\nfn f() {}\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\n";
        let file = TextFile { path: "a.rs".into(), text: text.to_owned() };
        let mut shape = Shape::default();
        shape.add(&file, &source::contents(&file).expect("the text is Rust"));
        assert_eq!((shape.code_lines, shape.test_lines), (3, 4));
        assert_eq!((shape.documentation_lines, shape.comment_lines, shape.function_lines.len()), (1, 1, 1));
    }
}
