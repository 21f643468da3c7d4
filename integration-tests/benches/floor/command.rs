//! `ottla-bench floor`: each floor by hand.

use std::io;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::sink::Sink;
use super::source::By;
use super::{gzip, null, serve, source};
use crate::load::command::ShapeArguments;

/// Run what any broker must pay at least; the servers print 127.0.0.1:PORT and serve until they are killed
#[derive(Debug, Subcommand)]
pub(crate) enum Floor {
    /// Socket, CRC-32C, page cache: for load raw-send
    Produce {
        /// Files are named FILE.0, FILE.1 and so on, one for each connection at one time
        file: PathBuf,
    },
    /// Page cache, socket: for load raw-receive
    Consume {
        /// What to send, again and again
        file: PathBuf,
        /// By which calls
        #[arg(long, value_enum, default_value = "sendfile")]
        by: By,
    },
    /// Answer produce requests and keep nothing: for load produce and load rate
    Null,
    /// Bare inflate and deflate, in seconds of processor for each GB; the result is a line of JSON
    Gzip {
        #[command(flatten)]
        shape: ShapeArguments,
        /// How long each, at least
        #[arg(long, default_value_t = 2.0)]
        seconds: f64,
    },
}

/// Runs one of them; the servers do not return.
///
/// # Errors
/// Of the listening socket or the codec.
pub(crate) fn run(floor: &Floor) -> io::Result<()> {
    match floor {
        Floor::Produce { file } => {
            let sink = Sink::new(file);
            serve(|stream| sink.serve(stream))
        }
        Floor::Consume { file, by } => serve(|stream| source::serve(stream, file, *by)),
        Floor::Null => serve(null::serve),
        Floor::Gzip { shape, seconds } => {
            let cost = gzip::cost(&shape.shape().build()?.plain, *seconds)?;
            let (inflate, deflate) = (cost.inflate, cost.deflate);
            println!("{}", json!({"inflate": inflate, "deflate": deflate, "ratio": cost.ratio}));
            Ok(())
        }
    }
}
