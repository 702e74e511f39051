//! The desired state as a pod needs it: every file that it names, under a path of its own, and where its token is.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use cfrt_engine::desired::{DesiredState, parse};
use cfrt_engine::driver::{DriverError, Fault};
use cfrt_engine::facts::Facts;
use cfrt_engine::source::{Mistake, Mistakes, Sources, Span, gather};
use cfrt_providers::platform::{TokenSecret, platform};
use cfrt_providers::secrets::Source;
use toml::Spanned;
use toml::de::DeValue;

use crate::trouble::Trouble;

/// The most that a ConfigMap holds, with room for its own names.
const LARGEST: usize = 1_000_000;

/// What a pod gets of a desired state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Package {
    /// The path of the file that the user named, from the folder that holds them all.
    pub(crate) main: String,
    /// The texts of all files, by such paths.
    pub(crate) files: BTreeMap<String, String>,
    /// The token, where the file takes it from outside the cluster.
    pub(crate) token: Option<Token>,
    /// Namespace and name of the Secret that has the token, where that is copied from another namespace.
    pub(crate) copied: Option<(String, String)>,
}

/// A token that is a Secret in the runtime's namespace by now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// The Secret.
    pub(crate) secret: String,
    /// The key in it.
    pub(crate) key: String,
    /// Where the file looks for it.
    pub(crate) place: Place,
}

/// Where a file looks for its token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this variable.
    Variable(String),
    /// In this file, by its path from the folder that holds them all.
    File(String),
}

/// Packs a desired state, which can be parsed, and what it names.
///
/// # Errors
///
/// What can't be had in a pod: a chart in a folder, a context, an absolute path; a file that can't be read; too much text.
pub(crate) fn package(sources: &Sources, facts: &Facts) -> Result<Package, Trouble> {
    let mistaken = |mistakes| Trouble::Mistaken { sources: sources.clone(), mistakes };
    let desired = parse(sources).map_err(mistaken)?;
    possible(&desired).map_err(mistaken)?;
    let token = token(&desired, facts).map_err(mistaken)?;
    let mut texts: BTreeMap<PathBuf, String> = BTreeMap::new();
    for (_, source) in sources.iter() {
        texts.insert(whole(&source.path).map_err(|error| unreadable(&source.path, error))?, source.text.clone());
    }
    for path in values(&desired) {
        let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
        texts.insert(whole(&path).map_err(|error| unreadable(&path, error))?, text);
    }
    let main = sources.iter().last().map(|(_, source)| source.path.clone()).unwrap_or_default();
    let token_file = token.as_ref().and_then(|(_, source)| file_of(source));
    let copied = token.as_ref().and_then(|(_, source)| secret_of(source));
    let root = root(texts.keys().chain(&token_file.iter().filter_map(|path| whole(path).ok()).collect::<Vec<_>>()));
    let within = |path: &Path| whole(path).ok().map(|path| relative(&root, &path)).unwrap_or_default();
    let package = Package {
        main: within(&main),
        copied,
        token: token.and_then(|(secret, source)| to_be_mounted(secret, &source, within)),
        files: texts.into_iter().map(|(path, text)| (relative(&root, &path), text)).collect(),
    };
    small_enough(package)
}

fn unreadable(path: &Path, error: io::Error) -> Trouble {
    Trouble::World(DriverError::new(format!("reading {}", path.display()), error).fault(Fault::Input))
}

fn small_enough(package: Package) -> Result<Package, Trouble> {
    let size: usize = package.files.values().map(String::len).sum();
    if size <= LARGEST {
        return Ok(package);
    }
    let error = DriverError::new("packing the files into a ConfigMap", format!("they have {size} bytes"));
    Err(Trouble::World(error.fault(Fault::Input).hint("a ConfigMap holds no more than a million")))
}

/// What a pod can't have.
fn possible(desired: &DesiredState<'_>) -> Result<(), Mistakes> {
    let refused = |at: Span, what: &str, label: &str| Err::<(), Mistakes>(Mistake::new(at, what).label(label).into());
    let chart = text(desired, &["chart", "source"]).filter(|(source, _)| !source.contains("://"));
    let context = text(desired, &["cluster", "context"]);
    let token = text(desired, &["platform", "token", "file"]);
    let named = listed(desired, &["chart", "values"]).into_iter().chain(token);
    let absolute = named.filter(|(path, _)| Path::new(path).is_absolute()).map(|(_, at)| at);
    let folder = chart.map(|(_, at)| {
        refused(at, "a chart in a folder can't be scheduled", "push it to a registry: a ConfigMap holds no chart")
    });
    let context = context.map(|(_, at)| {
        refused(at, "a pod has no kubeconfig, and so no context", "pin the cluster by `uid` instead, or by nothing")
    });
    let absolute =
        absolute.map(|at| refused(at, "an absolute path leads nowhere in a pod", "name it from this file's folder"));
    gather(folder.into_iter().chain(context).chain(absolute)).map(drop)
}

fn text(desired: &DesiredState<'_>, path: &[&str]) -> Option<(String, Span)> {
    said(desired.value(path)?)
}

fn listed(desired: &DesiredState<'_>, path: &[&str]) -> Vec<(String, Span)> {
    let items = desired.value(path).and_then(|value| value.get_ref().as_array());
    items.into_iter().flat_map(|items| items.iter().filter_map(said)).collect()
}

fn said(value: &Spanned<DeValue<'_>>) -> Option<(String, Span)> {
    Some((value.get_ref().as_str()?.to_owned(), value.span()))
}

/// The values files, seen from where we are.
fn values(desired: &DesiredState<'_>) -> Vec<PathBuf> {
    let files = listed(desired, &["chart", "values"]);
    files.into_iter().map(|(path, at)| desired.sources().folder_of(&at).join(path)).collect()
}

/// The token's Secret, and where the file looks for it instead.
fn token(desired: &DesiredState<'_>, facts: &Facts) -> Result<Option<(TokenSecret, Source)>, Mistakes> {
    let Some(platform) = platform(desired)? else { return Ok(None) };
    let secret = platform.token_secret(desired, facts)?;
    Ok(secret.and_then(|secret| Some((secret.clone(), secret.copied_from?))))
}

fn file_of(source: &Source) -> Option<PathBuf> {
    match source {
        Source::File(path) => Some(path.clone()),
        Source::Env(_) | Source::Secret { .. } => None,
    }
}

fn secret_of(source: &Source) -> Option<(String, String)> {
    match source {
        Source::Secret { namespace, name, key: _ } => Some((namespace.clone(), name.clone())),
        Source::Env(_) | Source::File(_) => None,
    }
}

fn to_be_mounted(secret: TokenSecret, source: &Source, within: impl Fn(&Path) -> String) -> Option<Token> {
    let place = match source {
        Source::Env(name) => Place::Variable(name.clone()),
        Source::File(path) => Place::File(within(path)),
        // It is read in the cluster, as ever.
        Source::Secret { .. } => return None,
    };
    Some(Token { secret: secret.name, key: secret.key, place })
}

/// A path from the root of the file system, without steps back.
fn whole(path: &Path) -> io::Result<PathBuf> {
    let mut whole = PathBuf::new();
    for part in std::path::absolute(path)?.components() {
        match part {
            Component::ParentDir => drop(whole.pop()),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => whole.push(part),
        }
    }
    Ok(whole)
}

/// The folder that holds all of these files.
fn root<'a>(files: impl Iterator<Item = &'a PathBuf>) -> PathBuf {
    let folders = files.map(|file| file.parent().unwrap_or(Path::new("/")).to_owned());
    folders.reduce(common).unwrap_or_default()
}

fn common(one: PathBuf, other: PathBuf) -> PathBuf {
    one.components().zip(other.components()).take_while(|(one, other)| one == other).map(|(one, _)| one).collect()
}

fn relative(root: &Path, file: &Path) -> String {
    file.strip_prefix(root).unwrap_or(file).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use cfrt_engine::facts::facts;

    use super::*;
    use crate::load::load;

    const RUNTIME: &str = "[runtime]\nname = 'rt'\nnamespace = 'ns'\nrelease = 'rt'\n";

    /// The package of files in a folder, of which the last one is the desired state; mistakes as one line each.
    fn packed(files: &[(&str, &str)]) -> Result<Package, Vec<String>> {
        let folder = tempfile::tempdir().expect("there is room");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("it lies in the folder")).expect("it can be made");
            fs::write(path, text).expect("it can be written");
        }
        let (name, _) = files.last().expect("there is one");
        let sources = load(&folder.path().join(name)).expect("it can be read");
        let facts = facts(&parse(&sources).expect("it is right")).expect("it is right");
        package(&sources, &facts).map_err(|trouble| match trouble {
            Trouble::Mistaken { mistakes, .. } => mistakes.0.into_iter().map(|mistake| mistake.what).collect(),
            other => vec![other.to_string()],
        })
    }

    #[test]
    fn files_keep_their_places_to_each_other() {
        let chart = "[chart]\nsource = 'oci://a/b'\nversion = '1.0.0'\nvalues = ['../values/a.yaml', 'b.yaml']\n";
        let token = "[platform]\ntoken = { file = '../secret/token' }\n";
        let main = format!("schema = 1\nextends = ['../base.toml']\n{chart}{token}");
        let base = format!("schema = 1\n{RUNTIME}");
        let files = [
            ("base.toml", base.as_str()),
            ("values/a.yaml", "a: 1"),
            ("plans/b.yaml", "b: 1"),
            ("plans/prod.toml", &main),
        ];
        let package = packed(&files).expect("all of it can be had");
        let names: Vec<&str> = package.files.keys().map(String::as_str).collect();
        assert_eq!(names, ["base.toml", "plans/b.yaml", "plans/prod.toml", "values/a.yaml"]);
        assert_eq!((package.main.as_str(), package.files["values/a.yaml"].as_str()), ("plans/prod.toml", "a: 1"));
        let place = Place::File("secret/token".to_owned());
        let token = Token { secret: "cfrt-platform-token".to_owned(), key: "token".to_owned(), place };
        assert_eq!(package.token, Some(token));
    }

    #[test]
    fn what_a_pod_can_not_have_is_refused() {
        let refused =
            |more: &str| packed(&[("prod.toml", &format!("schema = 1\n{RUNTIME}{more}"))]).expect_err("refused");
        let chart = |source: &str, values: &str| {
            format!("[chart]\nsource = '{source}'\nversion = '1.0.0'\nvalues = [{values}]\n")
        };
        assert_eq!(refused(&chart("../chart", "")), ["a chart in a folder can't be scheduled"]);
        assert_eq!(refused(&chart("oci://a/b", "'/a.yaml'")), ["an absolute path leads nowhere in a pod"]);
        assert_eq!(refused("[cluster]\ncontext = 'a'\n"), ["a pod has no kubeconfig, and so no context"]);
        assert_eq!(refused("[platform]\ntoken = { file = '/token' }\n"), ["an absolute path leads nowhere in a pod"]);
    }

    #[test]
    fn a_token_in_the_cluster_needs_no_copy() {
        let token = "[platform]\ntoken = { secret = 'other/name' }\n";
        let package = packed(&[("prod.toml", &format!("schema = 1\n{RUNTIME}{token}"))]).expect("it can be had");
        assert_eq!((package.token, package.copied), (None, Some(("other".to_owned(), "name".to_owned()))));
    }
}
