//! Work that the user can end.

use std::io;
use tokio::signal::unix::{SignalKind, signal};

/// What the work comes to; `None` if a signal was sent to end it.
pub async fn unless_interrupted<T>(work: impl Future<Output = T>) -> io::Result<Option<T>> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    tokio::select! {
        done = work => Ok(Some(done)),
        _ = interrupted.recv() => Ok(None),
        _ = terminated.recv() => Ok(None),
        _ = hung_up.recv() => Ok(None),
    }
}
