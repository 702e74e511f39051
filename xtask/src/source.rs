//! Reads the project's files, and measures what Rust sources hold.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context as _, Result};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Lit, Meta, Visibility};

/// Folders that hold nothing of the project's own making.
const FOREIGN: [&str; 3] = ["target", ".git", "node_modules"];

/// A file of the project, with its path from the project's root.
#[derive(Debug)]
pub(crate) struct TextFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl TextFile {
    /// Whether the file has this extension.
    pub(crate) fn is(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|own| own == extension)
    }

    /// Whether all that the file holds is tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path
            .components()
            .any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs" | "benches" | "testdata")))
    }
}

/// A function and where it begins.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
    pub(crate) is_test: bool,
}

/// A test that runs only when it is asked for.
#[derive(Debug)]
pub(crate) struct IgnoredTest {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) reason: Option<String>,
}

/// What one Rust source holds.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) functions: Vec<Function>,
    pub(crate) ignored_tests: Vec<IgnoredTest>,
    /// Public items, and how many of them have a documentation comment.
    pub(crate) public: usize,
    pub(crate) documented: usize,
    /// Calls of `unwrap` and `expect` outside of tests.
    pub(crate) panics: usize,
    /// Lines inside of `#[cfg(test)]` modules.
    pub(crate) test_lines: usize,
    /// Names of enum variants, as they stand.
    pub(crate) variants: Vec<String>,
    depth_of_tests: usize,
}

/// The project's root.
pub(crate) fn root() -> Result<PathBuf> {
    let member = env::var_os("CARGO_MANIFEST_DIR").context("CARGO_MANIFEST_DIR is not set: run `cargo xtask`")?;
    Ok(Path::new(&member).parent().context("xtask is a folder of the project")?.to_owned())
}

/// Every text file below a folder, in the order of their paths; what is no UTF-8 is left out.
pub(crate) fn text_files(root: &Path) -> Result<Vec<TextFile>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            if FOREIGN.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file()
                && let Ok(text) = fs::read_to_string(entry.path())
            {
                let path = entry.path();
                files.push(TextFile { path: path.strip_prefix(root).unwrap_or(&path).to_owned(), text });
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// Measures a Rust source.
pub(crate) fn contents(file: &TextFile) -> Result<Contents> {
    let syntax = syn::parse_file(&file.text).with_context(|| format!("cannot parse {}", file.path.display()))?;
    let mut contents = Contents { depth_of_tests: usize::from(file.is_test()), ..Contents::default() };
    contents.visit_file(&syntax);
    Ok(contents)
}

impl Contents {
    fn function(&mut self, signature: &syn::Signature, block: &syn::Block, attributes: &[Attribute]) {
        let line = signature.span().start().line;
        self.functions.push(Function {
            name: signature.ident.to_string(),
            line,
            lines: block.span().end().line - line + 1,
            is_test: self.depth_of_tests > 0,
        });
        for ignore in attributes.iter().filter(|attribute| attribute.path().is_ident("ignore")) {
            let reason = string_value(&ignore.meta);
            self.ignored_tests.push(IgnoredTest { name: signature.ident.to_string(), line, reason });
        }
    }

    fn public_item(&mut self, visibility: &Visibility, attributes: &[Attribute]) {
        if matches!(visibility, Visibility::Public(_)) && self.depth_of_tests == 0 {
            self.public += 1;
            self.documented += usize::from(attributes.iter().any(|attribute| attribute.path().is_ident("doc")));
        }
    }
}

impl<'ast> Visit<'ast> for Contents {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.public_item(&item.vis, &item.attrs);
        self.function(&item.sig, &item.block, &item.attrs);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.public_item(&item.vis, &item.attrs);
        self.function(&item.sig, &item.block, &item.attrs);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block, &item.attrs);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_test = item.attrs.iter().any(is_for_tests);
        if is_test && self.depth_of_tests == 0 {
            self.test_lines += item.span().end().line - item.span().start().line + 1;
        }
        self.depth_of_tests += usize::from(is_test);
        visit::visit_item_mod(self, item);
        self.depth_of_tests -= usize::from(is_test);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let may_panic = call.method == "unwrap" || call.method == "expect";
        self.panics += usize::from(may_panic && self.depth_of_tests == 0);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.public_item(&item.vis, &item.attrs);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.public_item(&item.vis, &item.attrs);
        for variant in &item.variants {
            self.variants.push(variant.ident.to_string());
            self.public_item(&item.vis, &variant.attrs);
        }
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.public_item(&item.vis, &item.attrs);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.public_item(&item.vis, &item.attrs);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.public_item(&item.vis, &item.attrs);
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        // A tuple's fields are told by the item that they are part of.
        if field.ident.is_some() {
            self.public_item(&field.vis, &field.attrs);
        }
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
}

fn string_value(meta: &Meta) -> Option<String> {
    let Meta::NameValue(pair) = meta else { return None };
    let Expr::Lit(literal) = &pair.value else { return None };
    let Lit::Str(text) = &literal.lit else { return None };
    Some(text.value())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(path: &str, text: &str) -> Contents {
        contents(&TextFile { path: path.into(), text: text.to_owned() }).expect("the text is Rust")
    }

    #[test]
    fn functions_are_measured_from_their_signature_to_their_last_brace() {
        let text = "/// Doc.\n#[must_use]\npub fn one() {\n    \"}\";\n}\nstruct S;\nimpl S {\n    fn two() { }\n}\n";
        let functions: Vec<_> =
            measure("a.rs", text).functions.into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(functions, [("one".to_owned(), 3, 3), ("two".to_owned(), 8, 1)]);
    }

    #[test]
    fn what_tests_unwrap_does_not_count() {
        let text =
            "fn f() { a.unwrap(); b.expect(\"c\"); }\n#[cfg(test)]\nmod tests {\n    fn g() { a.unwrap(); }\n}\n";
        let inside = measure("src/a.rs", text);
        assert_eq!((inside.panics, inside.test_lines), (2, 4));
        assert_eq!(measure("tests/a.rs", text).panics, 0);
    }

    #[test]
    fn ignored_tests_are_found_with_their_reasons() {
        let text =
            "mod m {\n    #[test]\n    #[ignore = \"needs helm\"]\n    fn a() {}\n    #[ignore]\n    fn b() {}\n}\n";
        let found: Vec<_> =
            measure("a.rs", text).ignored_tests.into_iter().map(|test| (test.name, test.reason)).collect();
        assert_eq!(found, [("a".to_owned(), Some("needs helm".to_owned())), ("b".to_owned(), None)]);
    }

    #[test]
    fn documented_public_items_are_counted_apart_from_private_ones() {
        let text = "/// Doc.\npub struct A {\n    /// Doc.\n    pub a: u8,\n    pub b: u8,\n    c: u8,\n}\npub(crate) fn d() {}\n";
        let contents = measure("a.rs", text);
        assert_eq!((contents.documented, contents.public), (2, 3));
    }
}
