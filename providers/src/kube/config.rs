//! The kubeconfig: which cluster is meant, as whom, and in clear words why that can't be told.

use std::error::Error;
use std::time::Duration;

use cfrt_engine::driver::DriverError;
use cfrt_engine::facts::Cluster;
use kube::client::AuthError;
use kube::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError, LoadDataError};

use crate::blocking::blocking;

/// How long a login may take: there may be a person in it, with a browser.
pub(crate) const LOGIN: Duration = Duration::from_secs(300);

pub(super) const LOG_IN: &str = "log in as you do for kubectl: `kubectl version` uses the same credentials";
const NONE: &str = "set KUBECONFIG to a kubeconfig file, or run this where `kubectl` works";
/// How much of what a login program says is repeated.
const LONGEST: usize = 300;

/// The configuration and the context that it came from; `None` for the one that every pod finds.
///
/// # Errors
///
/// No kubeconfig, one that can't be used, or one without the context that is asked for.
pub(crate) async fn configuration(cluster: &Cluster) -> Result<(Config, Option<String>), DriverError> {
    let kubeconfig = match Kubeconfig::read() {
        Ok(kubeconfig) => kubeconfig,
        Err(error) => {
            let incluster = Config::incluster().ok().filter(|_| cluster.context.is_none());
            return incluster.map(|config| (config, None)).ok_or_else(|| unreadable(error));
        }
    };
    let context = cluster.context.clone().or_else(|| kubeconfig.current_context.clone()).unwrap_or_default();
    check(&kubeconfig, &context)?;
    let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    config.map(|config| (config, Some(context.clone()))).map_err(|error| unusable(&context, error))
}

/// Names lead from the context to its cluster and user; each of them can be missing.
fn check(kubeconfig: &Kubeconfig, context: &str) -> Result<(), DriverError> {
    let finding = |what: String| DriverError::new("finding the cluster", what);
    let Some(found) = kubeconfig.contexts.iter().find(|known| known.name == context) else {
        let what = if context.is_empty() {
            finding("the kubeconfig has no current context".to_owned())
        } else {
            finding(format!("the kubeconfig has no context `{context}`"))
        };
        let known: Vec<&str> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
        return Err(what.hint(if known.is_empty() {
            "it has no contexts at all; is KUBECONFIG the right file?".to_owned()
        } else {
            format!("its contexts are: {}; name one with `[cluster] context`", known.join(", "))
        }));
    };
    let (cluster, user) =
        found.context.as_ref().map(|found| (found.cluster.as_str(), found.user.as_deref())).unwrap_or_default();
    let missing = if !kubeconfig.clusters.iter().any(|known| known.name == cluster) {
        format!("cluster `{cluster}`")
    } else if let Some(user) = user.filter(|user| !kubeconfig.auth_infos.iter().any(|known| known.name == *user)) {
        format!("user `{user}`")
    } else {
        return Ok(());
    };
    let what = format!("context `{context}` names the {missing}, which the kubeconfig doesn't have");
    Err(finding(what).hint("`kubectl config view` shows what it has"))
}

fn unreadable(error: KubeconfigError) -> DriverError {
    match error {
        KubeconfigError::ReadConfig(source, path) => {
            DriverError::new(format!("reading the kubeconfig {}", path.display()), source).hint(NONE)
        }
        KubeconfigError::Parse(error) => {
            let at = error.location().map_or_else(String::new, |at| format!("line {}: ", at.line()));
            let text = error.without_snippet().to_string();
            let what =
                text.lines().next().unwrap_or_default().rsplit_once(": ").map_or(text.as_str(), |(_, what)| what);
            DriverError::new("reading the kubeconfig", format!("{at}{what}"))
                .hint("`kubectl config view` reads the same file")
        }
        other => DriverError::new("reading the kubeconfig", words(&other)).hint(NONE),
    }
}

fn unusable(context: &str, error: KubeconfigError) -> DriverError {
    let doing = format!("reading the kubeconfig's context {context}");
    match error {
        KubeconfigError::LoadCertificateAuthority(LoadDataError::ReadFile(source, path))
        | KubeconfigError::LoadClientCertificate(LoadDataError::ReadFile(source, path))
        | KubeconfigError::LoadClientKey(LoadDataError::ReadFile(source, path)) => {
            DriverError::new(format!("{doing}: reading {}", path.display()), source)
        }
        other => DriverError::new(doing, words(&other)),
    }
    .hint("`kubectl config view` shows what it has")
}

/// Makes what takes credentials: a login program that the kubeconfig names is run then, and waited for.
///
/// # Errors
///
/// A login that fails, or has not ended within the limit; a configuration that nothing can be made from.
pub(crate) async fn logged_in<T: Send + 'static>(
    config: &Config,
    limit: Duration,
    make: impl FnOnce(&Config) -> Result<T, kube::Error> + Send + 'static,
) -> Result<T, DriverError> {
    let own = config.clone();
    // What waits beyond the limit ends with the process.
    match tokio::time::timeout(limit, blocking(move || make(&own))).await {
        Ok(made) => made.map_err(|error| unprepared(config, &error)),
        Err(_) => {
            let slow = format!("it did not end within {} s", limit.as_secs());
            Err(DriverError::new(logging_in(config), slow).hint(LOG_IN))
        }
    }
}

fn logging_in(config: &Config) -> String {
    match config.auth_info.exec.as_ref().and_then(|exec| exec.command.as_deref()) {
        Some(program) => format!("logging in with `{program}`, as the kubeconfig says"),
        None => "logging in as the kubeconfig says".to_owned(),
    }
}

/// Why no client can be made; what a login program wrote to its output may be a token, and is not repeated.
fn unprepared(config: &Config, error: &kube::Error) -> DriverError {
    let doing = logging_in(config);
    match error {
        kube::Error::Auth(AuthError::AuthExecStart(source)) => {
            DriverError::new(doing, source.to_string()).hint("install it, or change the kubeconfig")
        }
        kube::Error::Auth(AuthError::AuthExecRun { out, .. }) => {
            let said: String = String::from_utf8_lossy(&out.stderr).trim().chars().take(LONGEST).collect();
            let said = if said.is_empty() { format!("it gave no reason ({})", out.status) } else { said };
            DriverError::new(doing, said).hint(LOG_IN)
        }
        kube::Error::Auth(AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed) => {
            DriverError::new(doing, "its answer is no credential").hint(LOG_IN)
        }
        kube::Error::Auth(error) => {
            DriverError::new("logging in as the kubeconfig says", login_words(error)).hint(LOG_IN)
        }
        other => DriverError::new("preparing the connection", words(other)),
    }
}

/// Why a login failed, without what its program wrote: that may be a token.
pub(super) fn login_words(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { out, .. } => format!("the login that the kubeconfig names failed ({})", out.status),
        AuthError::AuthExecParse(_) => "the login that the kubeconfig names gave no credential".to_owned(),
        other => words(other),
    }
}

/// An error's own words and those of its causes, in one sentence.
fn words(error: &(dyn Error + 'static)) -> String {
    let mut words = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        if !words.iter().any(|word| word.contains(&error.to_string())) {
            words.push(error.to_string());
        }
        cause = error.source();
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use kube::config::ExecConfig;

    use super::*;
    use crate::kube::client::Kube;
    use crate::world::Access;

    /// A configuration whose login is a shell script.
    fn login(script: &str) -> Config {
        let exec = serde_json::json!({
            "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
            "interactiveMode": "Never",
        });
        let exec: Option<ExecConfig> = serde_json::from_value(exec).unwrap();
        let mut config = Config::new("http://127.0.0.1:1/".parse().unwrap());
        config.auth_info.exec = exec;
        config
    }

    #[tokio::test]
    async fn a_login_program_that_does_not_end_is_given_up_and_named() {
        let home = tempfile::tempdir().unwrap();
        let pipe = home.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let config = login(&format!("cat {}", pipe.display()));
        let made = logged_in(&config, Duration::ZERO, |config| Kube::new(config, Access::ReadOnly)).await;
        let expected = ["logging in with `sh`, as the kubeconfig says", "it did not end within 0 s"];
        assert_eq!(made.unwrap_err().chain(), expected);
        // Lets the program go, for which the test's own end would wait.
        fs::write(&pipe, "").unwrap();
    }

    #[tokio::test]
    async fn a_login_program_that_gives_a_token_runs_once() {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("log");
        let answer =
            r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t"}}"#;
        let config = login(&format!("echo run >> {}; echo '{answer}'", log.display()));
        logged_in(&config, LOGIN, |config| Kube::new(config, Access::ReadOnly)).await.unwrap();
        assert_eq!(fs::read_to_string(log).unwrap(), "run\n");
    }
}
