//! The threads that run requests, how a caller waits for one, and how long before another try.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::error::{Error, Result};

/// So many threads run all requests. One decrypts more than most networks deliver.
const THREADS: usize = 2;

/// So many requests run at once; others wait. Small objects are requested by the thousand.
const AT_ONCE: usize = 64;

/// How often an answer that breaks off is asked for. The store's client tries each request several times
/// before it fails.
pub(super) const TRIES: u32 = 4;

/// How long the first wait before another try is; each is twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// Waits before try `number`, of which the first is 0.
pub(super) async fn wait_before(number: u32) {
    tokio::time::sleep(FIRST_WAIT * 2_u32.pow(number - 1)).await;
}

/// The threads that run requests.
#[derive(Debug)]
pub(super) struct Requests {
    /// `None` while it is dropped.
    runtime: Option<Runtime>,
    permits: Arc<Semaphore>,
}

impl Requests {
    /// `shown` is for messages.
    pub(super) fn new(shown: &str) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("remote")
            .enable_all()
            .build();
        let runtime = runtime.map_err(Error::io(shown, "cannot start threads to read it"))?;
        Ok(Self {
            runtime: Some(runtime),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Starts a request.
    pub(super) fn start<T: Send + 'static>(
        &self,
        request: impl Future<Output = T> + Send + 'static,
    ) -> Answer<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let permits = Arc::clone(&self.permits);
        let task = self.runtime.as_ref().map(|runtime| {
            let task = runtime.spawn(async move {
                // It is never closed.
                let _permit = permits.acquire().await;
                let _ = sender.send(request.await);
            });
            task.abort_handle()
        });
        Answer { receiver, task }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        // To wait for requests that nobody needs is of no use, and not allowed in an async context.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What will be answered. Once it is dropped, nothing is received any more.
#[derive(Debug)]
pub(super) struct Answer<T> {
    receiver: mpsc::Receiver<T>,
    task: Option<AbortHandle>,
}

impl<T> Answer<T> {
    /// Waits for it; to be called once. Panics only if the request did.
    pub(super) fn wait(&self) -> T {
        self.receiver.recv().expect("a request answers, or panics")
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
