//! Checks rules of the project that the compiler does not know; `cargo test` runs them too.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};
use clap::CommandFactory as _;

use crate::source::{self, Contents, TextFile};
use crate::{Arguments, needs};

const LONGEST_FILE: usize = 500;
const LONGEST_FUNCTION: usize = 60;

/// Extensions of what people write here; `testdata` and lock files are written by programs.
const WRITTEN: [&str; 5] = ["rs", "md", "toml", "yaml", "json"];

/// Beginnings of paths that hold on one machine only, put together so that this file does not hold them itself.
const PRIVATE_PATHS: [&str; 5] = [
    concat!("/", "home/"),
    concat!("/", "Users/"),
    concat!("/", "root/"),
    concat!("/", "work/"),
    concat!("/tmp", "/w"),
];

/// Prints each problem and fails when there are any.
pub(crate) fn run() -> Result<()> {
    let problems = problems(&source::root()?)?;
    for problem in &problems {
        println!("{problem}");
    }
    if !problems.is_empty() {
        bail!("{} problems", problems.len());
    }
    Ok(())
}

/// Every problem below a folder, each with its file and line.
fn problems(root: &Path) -> Result<Vec<String>> {
    let files = source::text_files(root)?;
    let mut found = Vec::new();
    let mut variants = BTreeSet::new();
    for file in &files {
        found.extend(line_problems(file));
        if file.is("rs") {
            let contents = source::contents(file)?;
            found.extend(rust_problems(file, &contents));
            if file.path.starts_with("cli/src") {
                variants.extend(contents.variants.iter().map(|name| kebab_case(name)));
            }
        }
    }
    found.extend(kind_problems(&files));
    for file in files.iter().filter(|file| file.path == Path::new("README.md")) {
        found.extend(readme_problems(file, &variants));
    }
    Ok(found)
}

fn line_problems(file: &TextFile) -> Vec<String> {
    let is_written = WRITTEN.iter().any(|extension| file.is(extension)) || file.path.starts_with(".ci");
    let mut found = Vec::new();
    for (line, number) in file.text.lines().zip(1..) {
        let mut report = |what: &str| found.push(format!("{}:{number}: {what}", file.path.display()));
        if is_written && !file.is_test() && line.ends_with([' ', '\r']) {
            report("white space at the end of the line");
        }
        if is_written && !file.is_test() && line.contains('\t') {
            report("a tab");
        }
        // A path in a chart is a container's.
        if !file.path.starts_with("testdata/charts") && names_private_path(line) {
            report("a path that holds on one machine only");
        }
    }
    found
}

/// Whether a path begins here that does not go on from something before it, as `charts/work/` does.
fn names_private_path(line: &str) -> bool {
    let goes_on = |before: char| before.is_alphanumeric() || "._-~*}])".contains(before);
    PRIVATE_PATHS.iter().any(|path| line.match_indices(path).any(|(start, _)| !line[..start].ends_with(goes_on)))
}

fn rust_problems(file: &TextFile, contents: &Contents) -> Vec<String> {
    let mut found = Vec::new();
    let mut report = |line: usize, what: String| found.push(format!("{}:{line}: {what}", file.path.display()));
    if !file.text.starts_with("//! ") {
        report(1, "does not open with a `//!` sentence".to_owned());
    }
    let lines = file.text.lines().count();
    if lines > LONGEST_FILE {
        report(LONGEST_FILE + 1, format!("{lines} lines; {LONGEST_FILE} are the most"));
    }
    for function in contents.functions.iter().filter(|function| function.lines > LONGEST_FUNCTION) {
        let what = format!("`{}` has {} lines; {LONGEST_FUNCTION} are the most", function.name, function.lines);
        report(function.line, what);
    }
    for test in &contents.ignored_tests {
        match test.reason.as_deref().map(needs::parse) {
            None => report(test.line, format!("`{}` is ignored without a reason", test.name)),
            Some(Err(problem)) => report(test.line, format!("`{}`: {problem}", test.name)),
            Some(Ok(_)) => {}
        }
    }
    found
}

/// A kind is a file, a name in the registry and a folder of cases.
fn kind_problems(files: &[TextFile]) -> Vec<String> {
    let registry = files.iter().find(|file| file.path == Path::new("providers/src/lib.rs"));
    let registry = registry.map_or("", |file| file.text.as_str());
    let cases: BTreeSet<&str> = files.iter().filter_map(case).collect();
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.path.parent() == Some(Path::new("providers/src/kinds"))) {
        let Some(module) = file.path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| *stem != "mod") else {
            continue;
        };
        let is_registered = registry.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
            line.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == module)
        });
        if !is_registered {
            found.push(format!("{}: `{module}` is not in providers/src/lib.rs", file.path.display()));
        }
        let kind = module.replace('_', "-");
        if !cases.is_empty() && !cases.iter().any(|case| *case == kind || case.starts_with(&format!("{kind}-"))) {
            found.push(format!("{}: testdata/cases has no folder `{kind}` or `{kind}-…`", file.path.display()));
        }
    }
    found
}

/// The name of the case that a file belongs to.
fn case(file: &TextFile) -> Option<&str> {
    file.path.strip_prefix("testdata/cases").ok()?.components().next()?.as_os_str().to_str()
}

/// Every command that the README shows has to be there: `cargo xtask X` in this crate, `cfrt X` among the variants of
/// the command line's enums.
fn readme_problems(readme: &TextFile, variants: &BTreeSet<String>) -> Vec<String> {
    let own = Arguments::command();
    let is_own = |name: &str| own.get_subcommands().any(|command| command.get_name() == name);
    let is_cfrt = |name: &str| name == "help" || variants.contains(name);
    let mut found = Vec::new();
    for (line, number) in code_lines(&readme.text) {
        for (program, exists) in [("cargo xtask ", &is_own as &dyn Fn(&str) -> bool), ("cfrt ", &is_cfrt)] {
            for name in commands(line, program).filter(|name| !exists(name)) {
                found.push(format!("README.md:{number}: there is no command `{program}{name}`"));
            }
        }
    }
    found
}

/// The lines of fenced blocks, and other lines cut down to what stands in backticks.
fn code_lines(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut in_fence = false;
    text.lines().zip(1..).flat_map(move |(line, number)| {
        let is_fence = line.trim_start().starts_with("```");
        in_fence ^= is_fence;
        let parts: Vec<&str> = match (is_fence, in_fence) {
            (true, _) => Vec::new(),
            (false, true) => vec![line],
            (false, false) => line.split('`').skip(1).step_by(2).collect(),
        };
        parts.into_iter().map(move |part| (part, number))
    })
}

/// The words that follow a program where it begins a command: at the start, or after a prompt, `;`, `|` or `&&`.
fn commands<'line>(line: &'line str, program: &str) -> impl Iterator<Item = &'line str> {
    line.split([';', '|', '&'])
        .filter_map(move |part| {
            let command = part.trim_start().trim_start_matches("$ ").trim_start().strip_prefix(program)?;
            let word = command.split_whitespace().next()?;
            word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-').then_some(word)
        })
        .filter(|word| !word.starts_with('-'))
}

fn kebab_case(variant: &str) -> String {
    let mut name = String::new();
    for letter in variant.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile { path: path.into(), text: text.to_owned() }
    }

    fn problems_of_rust(text: &str) -> Vec<String> {
        let file = file("a.rs", text);
        rust_problems(&file, &source::contents(&file).expect("the text is Rust"))
    }

    #[test]
    fn the_project_is_tidy() {
        let root = source::root().expect("cargo names our folder");
        let problems = problems(&root).expect("the project can be read");
        assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    }

    #[test]
    fn a_file_opens_with_a_sentence() {
        assert_eq!(problems_of_rust("fn f() {}\n"), ["a.rs:1: does not open with a `//!` sentence"]);
        assert!(problems_of_rust("//! Does this.\nfn f() {}\n").is_empty());
    }

    #[test]
    fn long_files_and_functions_are_told() {
        let function = format!("//! Long.\nfn f() {{\n{}}}\n", "    g();\n".repeat(59));
        assert_eq!(problems_of_rust(&function), ["a.rs:2: `f` has 61 lines; 60 are the most"]);
        let file = format!("//! Long.\n{}", "const A: u8 = 1;\n".repeat(500));
        assert_eq!(problems_of_rust(&file), ["a.rs:501: 501 lines; 500 are the most"]);
    }

    #[test]
    fn an_ignored_test_says_what_it_needs() {
        let text =
            "//! T.\n#[ignore]\nfn a() {}\n#[ignore = \"slow\"]\nfn b() {}\n#[ignore = \"needs helm\"]\nfn c() {}\n";
        assert_eq!(
            problems_of_rust(text),
            ["a.rs:3: `a` is ignored without a reason", "a.rs:5: `b`: `slow` does not start with `needs `"]
        );
    }

    #[test]
    fn lines_are_clean() {
        let [home, .., work, _] = PRIVATE_PATHS;
        let dirty = format!("a \nb\tc\nsee {home}somebody\nimages{work}x\n");
        let expected = [
            "a.md:1: white space at the end of the line",
            "a.md:2: a tab",
            "a.md:3: a path that holds on one machine only",
        ];
        let found = line_problems(&file("a.md", &dirty));
        assert_eq!(found, expected);
        assert!(line_problems(&file("testdata/a.md", "a \n")).is_empty());
    }

    #[test]
    fn a_kind_is_registered_and_has_a_case() {
        let kind = || file("providers/src/kinds/git_source.rs", "");
        let unregistered = kind_problems(&[
            kind(),
            file("providers/src/lib.rs", "// git_source\ngit_source_of"),
            file("testdata/cases/chart/a", ""),
        ]);
        assert_eq!(unregistered.len(), 2, "{unregistered:?}");
        let registry = || file("providers/src/lib.rs", "&[&kinds::git_source::KIND]");
        assert!(kind_problems(&[kind(), registry(), file("testdata/cases/git-source-twice/a", "")]).is_empty());
    }

    #[test]
    fn the_readme_shows_commands_that_exist() {
        let text = "Run `cargo xtask test`, or cfrt whatever.\n```sh\n$ cfrt plan a.toml && cfrt aply a.toml\ncargo xtask demmo\n```\n";
        let variants = BTreeSet::from(["plan".to_owned(), "apply".to_owned()]);
        assert_eq!(
            readme_problems(&file("README.md", text), &variants),
            ["README.md:3: there is no command `cfrt aply`", "README.md:4: there is no command `cargo xtask demmo`"]
        );
    }
}
