//! `ingress-agent unload`.

use std::io::{self, Write};

use super::stop::Stop;
use crate::config::UnloadArgs;
use crate::xdp::unload::{UnloadError, unload};

/// Why it did not do all that it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum UnloadingError {
    /// Not everything was taken down.
    #[error(transparent)]
    Unload(#[from] UnloadError),
    /// It cannot be told to end.
    #[error("signals: {0}")]
    Signals(io::Error),
    /// Nobody takes what it says.
    #[error("standard output: {0}")]
    Write(#[from] io::Error),
}

/// Takes down what an ended agent left, and with `--stay` waits for SIGTERM then. Nothing left is an error only
/// without it: a DaemonSet's Pod may be started again.
pub async fn take_down(args: &UnloadArgs, out: &mut impl Write) -> Result<(), UnloadingError> {
    let mut stop = Stop::listen().map_err(UnloadingError::Signals)?;
    match unload(&args.places.run_dir, &args.places.pins.pin_dir).await {
        Ok(unloaded) => write!(out, "{unloaded}")?,
        Err(nothing @ UnloadError::Nothing { .. }) if args.stay => writeln!(out, "{nothing}")?,
        Err(error) => return Err(error.into()),
    }
    if args.stay {
        writeln!(out, "stays until SIGTERM")?;
        stop.asked().await;
    }
    Ok(())
}
