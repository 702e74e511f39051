//! Lists that are asked for before it is known what of them is wanted: the server needs longer for them than we do for the rest.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::task::JoinHandle;

use super::call::Call;
use super::client::{ApiError, Kube, Reply};

/// Answers on their way, by path. Each is given away once: what is read a second time is read anew.
#[derive(Debug, Default)]
pub struct Ahead(Mutex<HashMap<String, JoinHandle<Result<Reply, ApiError>>>>);

impl Ahead {
    /// Asks for a path that will be read in any case.
    pub fn ask(&self, kube: &Kube, path: String) {
        let (kube, call) = (kube.clone(), Call::get(path.clone()));
        self.known().entry(path).or_insert_with(|| tokio::spawn(async move { kube.send(&call).await }));
    }

    /// Reads a path: takes the answer that is on its way, or asks now.
    ///
    /// # Errors
    ///
    /// Any answer but a success, or none.
    pub async fn read(&self, kube: &Kube, path: String) -> Result<Reply, ApiError> {
        let asked = self.known().remove(&path);
        match asked {
            Some(asked) => asked.await.unwrap_or_else(|error| Err(ApiError::Transport(error.to_string()))),
            None => kube.send(&Call::get(path)).await,
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, JoinHandle<Result<Reply, ApiError>>>> {
        // A panic elsewhere leaves the map whole: each change is one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Ahead {
    pub(crate) fn count(&self) -> usize {
        self.known().len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_was_asked_for_ahead_is_given_away_once() {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        let kube = Kube::played(move |path| {
            log.lock().unwrap().push(path.to_owned());
            log.lock().unwrap().len().to_string()
        });
        let ahead = Ahead::default();
        ahead.ask(&kube, "/a".to_owned());
        ahead.ask(&kube, "/a".to_owned());
        let mut answers = Vec::new();
        for path in ["/a", "/a", "/b"] {
            answers.push(ahead.read(&kube, path.to_owned()).await.unwrap().json::<u32>().unwrap());
        }
        assert_eq!(answers, [1, 2, 3]);
        assert_eq!(*asked.lock().unwrap(), ["/a", "/a", "/b"]);
    }
}
