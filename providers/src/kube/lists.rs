//! The lists of a run: those that are asked for before it is known what of them is wanted, and how new each one was.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

use super::call::Call;
use super::client::{ApiError, Kube, Reply};

/// Answers on their way, each given away once: what is read a second time is read anew. The server needs longer for them
/// than we do for the rest.
#[derive(Debug, Default)]
pub struct Lists {
    asked: Mutex<HashMap<String, JoinHandle<Result<Reply, ApiError>>>>,
    revisions: Mutex<BTreeMap<String, String>>,
}

impl Lists {
    /// Asks for what will be read in any case.
    pub fn ask(&self, kube: &Kube, call: Call) {
        let (kube, key) = (kube.clone(), call.key());
        lock(&self.asked).entry(key).or_insert_with(|| tokio::spawn(async move { kube.send(&call).await }));
    }

    /// Takes the answer that is on its way, or asks now.
    ///
    /// # Errors
    ///
    /// Any answer but a success, or none.
    pub async fn read(&self, kube: &Kube, call: Call) -> Result<Reply, ApiError> {
        let asked = lock(&self.asked).remove(&call.key());
        match asked {
            Some(asked) => asked.await.unwrap_or_else(|error| Err(ApiError::Transport(error.to_string()))),
            None => kube.send(&call).await,
        }
    }

    /// Notes how new the list at a path was.
    pub fn note(&self, path: &str, revision: String) {
        lock(&self.revisions).insert(path.to_owned(), revision);
    }

    /// How new each list was, by its path.
    pub fn revisions(&self) -> BTreeMap<String, String> {
        lock(&self.revisions).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves the map whole: each change is one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl Lists {
    pub(crate) fn count(&self) -> usize {
        lock(&self.asked).len()
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
        let lists = Lists::default();
        lists.ask(&kube, Call::get("/a"));
        lists.ask(&kube, Call::get("/a"));
        let mut answers = Vec::new();
        for call in [Call::get("/a"), Call::get("/a"), Call::get("/b")] {
            answers.push(lists.read(&kube, call).await.unwrap().json::<u32>().unwrap());
        }
        assert_eq!(answers, [1, 2, 3]);
        assert_eq!(*asked.lock().unwrap(), ["/a", "/a", "/b"]);
    }

    #[tokio::test]
    async fn another_form_of_an_answer_is_another_answer() {
        let kube = Kube::played(|_| "1".to_owned());
        let lists = Lists::default();
        lists.ask(&kube, Call::get("/a"));
        lists.read(&kube, Call::get("/a").metadata_of_all()).await.unwrap();
        assert_eq!(lists.count(), 1);
    }
}
